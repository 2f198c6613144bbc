"""The checker under the faults of these tests, where a promise is broken on purpose: it says so.

Each is the control of a test beside it: the same fault, and a node, or a client, that has lost what the promise is kept
by.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from collator.errors import CollatorError
from tests.brokers import Valkey
from tests.cluster.cluster import Cluster
from tests.cluster.partition import SHORT
from tests.cluster.test_partition import cut_off
from tests.cluster.test_random_kills import SEED, supervise, two_of_each
from tests.cluster.variant import variant
from tests.harness.history import Packet, payload_of
from tests.servers import postgresql
from tests.wait import until

pytestmark = pytest.mark.cluster

FORGETS = ("workers/celery/sent_jobs.py", "elif now - job.heard >= SILENCE:", "elif now < 0:")
"""A node that never sends again what is lost."""
_COMMIT = "            await step.commit(self._number, number,"
_ANSWER = "            resolve(group, self._orphaned)\n            await asyncio.sleep(0.2)\n"
HASTY = ("ledgers/postgresql/writer.py", _COMMIT, _ANSWER + _COMMIT)
"""A ledger that answers before it commits."""
SOON = 25.0
"""Seconds within which a node that sends again has what was lost delivered."""


@pytest.mark.parametrize("fault", ["worker killed", "broker flushed"])
async def test_a_node_that_sends_nothing_again_is_seen(
    cluster: Cluster, valkey: Valkey, tmp_path: Path, fault: str
) -> None:
    """Of `test_worker_deaths` and `test_broker_faults`."""
    node = await cluster.node(valkey.url(), source=variant(tmp_path, *FORGETS))
    worker = cluster.worker(valkey.url(), "-P", "threads", "-c", "2", processor="dragging")
    await worker.start()
    await node.start()
    load = cluster.load()
    await load.send_packets([Packet("a", index, payload_of("a", index), last=index == 5) for index in range(6)])

    async def is_busy() -> bool:
        _, _, status = await node.get("/v1/status")
        return any(worker["jobs"] for worker in status["workers"])

    await until(is_busy)
    if fault == "worker killed":
        worker.kill()
        await worker.start()
    else:
        with redis.Redis(port=valkey.port) as client:  # while what is in hand is, and more is in the queue
            await until(lambda: client.llen("collator"))
            client.flushall()
    with pytest.raises(AssertionError, match="not within"):
        await load.delivered(SOON)
    assert any(complaint.startswith("I1 ") for complaint in cluster.judge(load, at_least=6))


async def test_a_client_that_does_not_try_again_is_seen_in_a_rolling_restart(cluster: Cluster, valkey: Valkey) -> None:
    """Of `test_random_kills`."""
    node = await cluster.node(valkey.url(), processor_retries=0)
    worker = cluster.worker(valkey.url(), "-P", "threads", "-c", "2")
    await worker.start()
    await node.start()
    load = cluster.load(patience=0.0)
    with pytest.RaisesGroup(CollatorError):
        async with load.run():
            await load.acknowledges(50)
            await node.stop()
            await load.acknowledges(50)


async def test_acknowledgements_before_the_commit_are_seen_where_nodes_are_killed(
    cluster: Cluster, valkey: Valkey, server: postgresql.Server, tmp_path: Path
) -> None:
    """Of `test_random_kills`."""
    hasty = variant(tmp_path, *HASTY)
    await two_of_each(cluster, f"{server.url}/cluster", valkey.url(), retries=20, source=hasty)
    load = cluster.load(SEED)
    async with load.run():
        for node in 2 * cluster.nodes:
            await load.acknowledges(40)
            node.kill()
            supervise(cluster)
    with pytest.raises(AssertionError, match="not within"):
        await load.delivered(SOON)
    assert any(complaint.startswith("I1 ") for complaint in cluster.judge(load, at_least=160))


def test_leases_that_never_pass_on_are_seen_where_a_node_is_cut_off(tmp_path: Path) -> None:
    """Of `test_partition`."""
    done = cut_off(tmp_path, "stuck")
    assert done.returncode == 1
    assert f"not within {SHORT:g} s" in done.stderr
