"""Steps of the ledger on PostgreSQL, where the server, or the driver, does not do what one would think."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from tests.conformance.steps import delivered, drain, due_one, finish, packet, process, send
from tests.conformance.store import default_route
from tests.wait import until

pytest.importorskip("asyncpg")

import asyncpg

from collator.errors import Broken
from collator.ledgers.postgresql.step import Step, load_statements
from collator.messages import Lease
from collator.rules.resource import LedgerLimits
from tests.conformance.postgresql_harness import PostgresqlHarness


@pytest.mark.parametrize(
    ("name", "given", "columns", "values"),
    [("take_suspects", (0, 9, 1), "stops, waits", "1, true"), ("take_due_retries", (9.0, 1), "due_at", "1")],
)
async def test_no_more_rows_are_taken_than_asked_for_by_a_plan_that_was_made_for_an_empty_table(
    connection: asyncpg.Connection, name: str, given: tuple[object, ...], columns: str, values: str
) -> None:
    statement = load_statements()[name]
    await connection.execute("vacuum analyze attempt")
    assert not await connection.fetch(statement, *given)
    numbers = "from generate_series(1, 7) k"
    await connection.execute(f"insert into attempt (k, {columns}) select k, {values} {numbers}")
    assert len(await connection.fetch(statement, *given)) == 1
    await connection.execute("truncate attempt")


async def test_suspects_are_seen_whoever_else_has_just_found_none(connection: asyncpg.Connection) -> None:
    """A flag in the row of the ledger was cleared by a claim that did not see yet what another step committed."""
    assert not await connection.fetchval("select suspects from look_around()")
    await connection.execute("insert into attempt (k, stops, waits) values (1, 1, false)")
    assert await connection.fetchval("select suspects from look_around()")
    await connection.execute("truncate attempt")


async def test_a_node_that_begins_after_a_standstill_is_dead_no_later_than_others(
    harness: PostgresqlHarness, connection: asyncpg.Connection
) -> None:
    await harness.stop(await harness.open(LedgerLimits(), default_route))
    harness.stand_still(3600)
    node = await harness.open(LedgerLimits(), default_route)
    running = await connection.fetchval("select running from look_around()")
    assert await connection.fetchval("select seen from node where node = $1", node.node) == running
    await harness.stop(node)


async def test_what_the_driver_cannot_send_fails_alone(harness: PostgresqlHarness) -> None:
    node = await harness.open(LedgerLimits(), default_route)
    calls = node.release([Lease(1 << 80, 1)]), send(node, packet("r", 0))
    refused, statuses = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(refused, Broken)
    assert not isinstance(statuses, BaseException)
    assert node.health() is None
    await harness.stop(node)


async def test_small_resources_are_deleted_as_sets(harness: PostgresqlHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself took ten round trips, so that deletion could not keep up with a stream."""
    node = await harness.open(LedgerLimits(retention=100.0), default_route)
    await send(node, *[packet(f"r{number}", 0, last=True) for number in range(100)])
    await process(node)
    await drain(node)
    harness.clock.advance(101)
    sets: list[int] = []
    rows = Step.rows

    async def counted(step: Step, name: str, *parameters: Any) -> list[asyncpg.Record]:  # noqa: ANN401
        if name == "purge_resources":
            sets.append(len(parameters[0]))
        return await rows(step, name, *parameters)

    monkeypatch.setattr(Step, "rows", counted)
    assert await node.purge(limit=1000) == 400
    assert sets == [64, 36]
    assert (await node.counts()).remembered == 100
    await harness.stop(node)


async def test_what_two_nodes_say_of_a_delivery_while_both_wait_for_its_resource_is_judged_one_after_the_other(
    harness: PostgresqlHarness, connection: asyncpg.Connection
) -> None:
    nodes = [await harness.open(LedgerLimits(), default_route) for _ in range(2)]
    await finish(nodes[0])
    delivery = await due_one(nodes[0])
    lock = connection.transaction()
    await lock.start()
    await connection.execute("select from resource for update")
    settled = [asyncio.create_task(node.record_attempts([delivered(delivery)])) for node in nodes]
    await until(partial(both_wait, connection))
    await lock.rollback()
    assert sorted([*await settled[0], *await settled[1]]) == [False, True]
    assert (await nodes[0].counts()).due == 0
    for node in nodes:
        await harness.stop(node)


async def both_wait(connection: asyncpg.Connection) -> bool:
    """Whether two steps wait for a lock."""
    number: int = await connection.fetchval("select count(*) from pg_locks where not granted")
    return number > 1
