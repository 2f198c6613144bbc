"""A node that is cut off: what its last step holds up, and a step that it commits after it was found dead."""

from __future__ import annotations

import pytest

from tests.conformance.steps import claim, due, finish, packet, record, send
from tests.conformance.store import default_route

pytest.importorskip("asyncpg")

import asyncpg

from collator.ledgers.postgresql import nodes
from collator.ledgers.postgresql.step import Step, load_statements
from collator.messages import Output
from collator.rules.resource import LedgerLimits
from tests.conformance.postgresql_harness import PostgresqlHarness

LIMITS = LedgerLimits(task_lease=30.0, delivery_lease=900.0)


async def test_what_it_leased_passes_on_with_the_next_beat_of_another(
    harness: PostgresqlHarness, connection: asyncpg.Connection
) -> None:
    late, other = [await harness.open(LIMITS, default_route) for _ in range(2)]
    await finish(other, "whole")
    await send(other, packet("open", 0, last=True))
    await connection.execute("update node set seen = '-infinity' where node = $1", late.node)
    assert await claim(other, 0) == []  # which marks it
    assert await connection.fetchval("select count(*) from node") == 1
    assert [task.key.resource_id for task in await claim(late)] == ["open"]
    assert [delivery.resource_id for delivery in await due(late)] == ["whole"]
    late.abandon()
    await other.expire(accepting=True, limit=1, capacity={})
    (task,) = await claim(other)
    assert [delivery.resource_id for delivery in await due(other)] == ["whole"]
    await record(other, Output(task.lease, b"1"))
    assert (await other.counts()).collated == 2
    await harness.stop(other)
    await harness.kill(late)


async def test_what_a_living_node_was_granted_stays_with_it(harness: PostgresqlHarness) -> None:
    holder, other = [await harness.open(LIMITS, default_route) for _ in range(2)]
    await finish(other, "whole")
    await send(other, packet("open", 0, last=True))
    assert (len(await claim(holder)), len(await due(holder))) == (1, 1)
    await other.expire(accepting=True, limit=1, capacity={})
    assert (await claim(other), await due(other)) == ([], [])
    for node in (holder, other):
        await harness.stop(node)


@pytest.mark.parametrize("accepting", [True, False])
async def test_a_beat_that_is_cut_off_before_its_commit_holds_up_no_other(
    harness: PostgresqlHarness, connection: asyncpg.Connection, accepting: bool
) -> None:
    node = await harness.open(LIMITS, default_route)
    step = Step(await harness.connect(), load_statements(), node=node.node, ledger_limits=LIMITS, route=default_route)
    await step.begin()
    await step.look_around()
    await nodes.beat(step, accepting)
    async with connection.transaction():
        assert await connection.fetchval("select 1 from ledger for update nowait") == 1
    step.connection.terminate()
    await harness.stop(node)
