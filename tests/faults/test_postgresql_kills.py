"""P1 to P4 when a node on PostgreSQL is killed at an exact point: the others end what it left.

Where the point is a statement, the proxy of the node kills it: before the statement is executed, or behind its commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.harness.checker import innocents
from tests.harness.nodes import Nodes, nodes
from tests.harness.note import note
from tests.servers.postgresql import Server
from tests.wait import until

pytestmark = pytest.mark.faults

Arm = Callable[[Nodes, Callable[[], None]], None]


def before(statement: str) -> Arm:
    return lambda it, kill: it.proxies[0].at(statement, kill)


def behind(statement: str) -> Arm:
    return lambda it, kill: it.proxies[0].at(statement, kill, committed=True)


POINTS: dict[str, Arm] = {
    "before packets are stored": before("accept_plain"),
    "packets are stored, and nobody is told": behind("accept_plain"),
    "packets are claimed, and not processed": behind("take_waiting"),
    "packets are processed, and not recorded": before("record_plain"),
    "a resource has ended, and its webhook is not sent": behind("close_resources"),
    "while a webhook is received": lambda it, kill: it.sink.arrivals.set(1, kill),
    "a webhook is received, and that is not recorded": before("update_deliveries"),
    "that a webhook was received is recorded, and nobody is told": behind("update_deliveries"),
    "while resources are forgotten": before("purge_resources"),
    "resources are forgotten, and nobody is told": behind("purge_resources"),
    "a beat": behind("tick"),
}


SOME = ("packets are stored, and nobody is told", "a resource has ended, and its webhook is not sent")


@pytest.mark.parametrize("points", [SOME, pytest.param(tuple(POINTS), marks=pytest.mark.cluster)], ids=["some", "all"])
async def test_p1_p4_a_node_that_dies_at_any_point_loses_nothing(
    tmp_path: Path, postgresql_server: Server, points: Sequence[str]
) -> None:
    async with nodes(tmp_path, postgresql_server, retention=1, concurrency=2) as it:
        dying = it.services[0]
        for point in points:
            POINTS[point](it, dying.kill)
            while dying.running():
                with it.sending(10) as sending:
                    await until(lambda: sending.done() or not dying.running(), 60)
                await until(lambda: not dying.running() or it.all_delivered(), 60)
            note(f"{point}: {len(it.history.acked)} acknowledged, {len(it.sink.webhooks)} webhooks")
            await it.declare_dead(0)
            await it.start(0)
        assert await it.conclude() == []
        assert it.history.lost == set()
    assert innocents(it.sink.webhooks) <= len(points) // 2


async def test_the_test_of_points_sees_a_commit_that_was_answered_and_never_made(
    tmp_path: Path, postgresql_server: Server
) -> None:
    async with nodes(tmp_path, postgresql_server) as it:
        for proxy in it.proxies:
            proxy.lies = True
        with it.sending(40):
            await it.acknowledged(30)
        for proxy in it.proxies:
            proxy.lies = False
        assert [sentence for sentence in await it.conclude() if sentence.startswith("I1")]
        assert it.history.lost
