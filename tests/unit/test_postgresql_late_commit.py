"""A step that is committed once its node has been marked as dead: nobody looks for the leases of that node any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.steps import claim, due, finish, packet, record, send
from tests.conformance.store import default_route
from tests.requirements import need

pytest.importorskip("asyncpg")

from collator.messages import Output
from collator.rules.resource import LedgerLimits
from tests.conformance.postgresql_harness import PostgresqlHarness

LIMITS = LedgerLimits(task_lease=30.0, delivery_lease=30.0)


async def test_what_it_leased_passes_on_when_the_lease_ends(tmp_path: Path) -> None:
    need(PostgresqlHarness.needs() is None, str(PostgresqlHarness.needs()))
    harness = PostgresqlHarness(tmp_path)
    late, other = [await harness.open(LIMITS, default_route) for _ in range(2)]
    await finish(other, "whole")
    await send(other, packet("open", 0, last=True))
    connection = await harness.connect()
    try:
        await connection.execute("update node set seen = '-infinity' where node = $1", late.node)
        assert await claim(other, 0) == []  # which marks it
        assert await connection.fetchval("select count(*) from node") == 1
        assert [task.key.resource_id for task in await claim(late)] == ["open"]
        assert [delivery.resource_id for delivery in await due(late)] == ["whole"]
        late.abandon()
        harness.clock.advance(29.5)
        assert (await claim(other), await due(other)) == ([], [])
        harness.clock.advance(1.0)
        (task,) = await claim(other)
        assert [delivery.resource_id for delivery in await due(other)] == ["whole"]
        await record(other, Output(task.lease, b"1"))
        assert (await other.counts()).collated == 2
    finally:
        connection.terminate()
        await harness.stop(other)
        await harness.kill(late)
        await harness.close()
