"""Statements on PostgreSQL read the rows that they are about, though they were planned while there were none.

A table that was vacuumed while it was empty is planned for as if it stayed so, until it is analyzed again: a lookup for
each of so many keys then goes through all that has come since.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType

import pytest

from tests.conformance.steps import (
    claim,
    dead,
    drain,
    due,
    fail,
    finish,
    listed,
    packet,
    packets,
    process,
    record,
    replay,
    send,
)
from tests.conformance.store import default_route

pytest.importorskip("asyncpg")

import asyncpg

from collator.ledgers.postgresql import PostgresqlLedger
from collator.ledgers.postgresql.step import load_statements
from collator.messages import Retry
from collator.rules.resource import LedgerLimits
from collator.states import OnFailure
from tests.conformance.postgresql_harness import PostgresqlHarness

SMALL = frozenset({"ledger", "lease", "move", "node", "paused_endpoint", "turn", "writer"})
"""Tables whose rows are as many as nodes, endpoints, or what workers hold."""
WHOLE = MappingProxyType(
    {
        "counted_rows": "for a whole check",
        "number_of_rows": "for a whole check",
        "count_idle_times": "once, as a node starts",
        "shorten_dead_retention": "once, as a node starts with another setting: all that is undelivered",
        "release_deliveries_of": "once, as a node stops: all that is undelivered",
        "delete_tombstones": "the first so many",
        "forget_audit": "the first so many",
        "last_resource": "the last one",
        "last_delivery": "the last one",
        "due_endpoints": "the least name, and the next",
        "work_waits": "whether there is one",
        "hand_out_allowed": "whether there is one",
        "suspect_waits": "whether there is one, in an index that has no others",
        "take_suspects": "the first so many, in an index that has no others",
    }
)
"""Statements that go through a table, or an index, from its first row on, and why that is all right."""
OTHERS = 10_000
"""Rows of each table beside those that a step is about."""
_FILL = """
insert into resource (rk, id, generation, state, opened_at, active_at, received, done, total)
  select 1000000 + k, 'f-' || k, '', 'collated', 0, 0, 1, 1, 1 from generate_series(1, $N) k;
insert into packet select (1000000 + k) << 24, '1', 1 from generate_series(1::bigint, $N) k;
insert into outcome select (1000000 + k) << 24, '1', 1, null, 1, 1 from generate_series(1::bigint, $N) k;
insert into attempt (k) select (1000000 + k) << 24 from generate_series(1::bigint, $N) k;
insert into delivery (did, rk, endpoint, large, state, due_at)
  select 1000000 + k, 1000000 + k, 'other', false, 'delivered', 0 from generate_series(1, $N) k;
insert into superseded (gk, rk, generation, done, body_size, last_seq)
  select -1000000 - k, 1000000 + k, '', 0, 0, 0 from generate_series(1, $N) k;
insert into delivery_log select 1000000 + k, 1, 0, 0, '', '' from generate_series(1, $N) k;
insert into tombstone (id, state, closed_at, removed_at)
  select 'g-' || k, 'collated', 0, 0 from generate_series(1, $N) k;
"""
_CONNECTED = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name like 'collator%'
"""
_READ = """
select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables where relname <> 'test_clock'
"""
_REMOVE = """
delete from resource where rk > 1000000;
delete from packet where k > 1000000::bigint << 24;
delete from outcome where k > 1000000::bigint << 24;
truncate attempt;
delete from delivery where did > 1000000;
delete from superseded where gk < -1000000;
delete from delivery_log where did > 1000000;
truncate tombstone;
"""


def goes_through(plan: Sequence[str]) -> set[str]:
    """The tables of which *plan* does not ask an index for rows."""
    found = set()
    for line, below in zip(plan, [*plan[1:], ""], strict=True):
        scan = re.search(r"(Seq|Index|Index Only) Scan.* on (\w+)", line)
        if scan and (scan[1] == "Seq" or "Index Cond" not in below):
            found.add(scan[2])
    return found


@pytest.mark.parametrize(
    "before",
    [
        [],
        ["vacuum analyze"],
        [_FILL.replace("$N", str(OTHERS)), "vacuum analyze", _REMOVE, "vacuum analyze"],  # indexes keep their pages
    ],
    ids=["new", "analyzed", "emptied"],
)
async def test_no_plan_for_empty_tables_goes_through_one_as_a_whole(
    connection: asyncpg.Connection, before: Sequence[str]
) -> None:
    for statement in before:
        await connection.execute(statement)
    found = {}
    for name, statement in load_statements().items():
        await connection.execute(f"prepare planned as {statement}")
        (types,) = await connection.fetchrow(
            "select parameter_types from pg_prepared_statements where name = 'planned'"
        )
        given = f"({', '.join(['null'] * len(types))})" if types else ""
        plan = [line for (line,) in await connection.fetch(f"explain (costs off) execute planned{given}")]
        await connection.execute("deallocate planned")
        if tables := goes_through(plan) - SMALL:
            found[name] = tables
    assert found.keys() <= WHOLE.keys(), {name: found[name] for name in found.keys() - WHOLE.keys()}


async def test_steps_and_looks_read_what_they_are_about_whatever_came_after_they_were_planned(
    harness: PostgresqlHarness, connection: asyncpg.Connection
) -> None:
    await connection.execute("vacuum analyze")
    before = await rows_read(connection)
    node = await harness.open(LedgerLimits(on_failure=OnFailure.HOLD), default_route)
    for number in range(4):  # each connection has plans of its own
        await work(node, f"before-{number}")
    await connection.execute(_FILL.replace("$N", str(OTHERS)))
    for number in range(4):
        await work(node, f"behind-{number}")
    await harness.stop(node)
    assert await rows_read(connection) - before < OTHERS
    await connection.execute(_REMOVE)


async def work(node: PostgresqlLedger, name: str) -> None:
    """Each verb, by the way that is plain and by the one that is not."""
    await send(node, *packets(3, f"{name}-a"), *packets(3, f"{name}-b"))
    await send(node, packet(f"{name}-a", 1), packet(f"{name}-c", 7, metadata=b'{"a":1}'))
    await process(node)
    await finish(node, f"{name}-d")
    await send(node, *packets(2, f"{name}-e"))
    await fail(node)
    assert await node.retry(f"{name}-e") == 2
    tasks = await claim(node)
    await node.renew([task.lease for task in tasks])
    await node.release([tasks[0].lease])
    await record(node, Retry(tasks[1].lease, "later", 0.0))
    await process(node)
    first, *others = await due(node)
    await node.body(first)
    await node.record_attempts([dead(first)])
    await node.release([delivery.lease for delivery in others])
    assert await replay(node, resource_id=first.resource_id) == {"default"}
    await node.complete(f"{name}-c", force=True)
    await drain(node)
    for resource_id in (first.resource_id, f"{name}-c"):
        await node.resource(resource_id)
        await node.outputs(resource_id)
        await node.outcomes(resource_id)
        await listed(node, resource_id=resource_id)
    await node.packet(f"{name}-a", 1)
    await node.purge(resource_id=f"{name}-c", limit=100)


async def rows_read(connection: asyncpg.Connection) -> int:
    """Rows of tables that were read, once all other connections are gone and have said so."""
    while await connection.fetchval(_CONNECTED):
        pass
    return int(await connection.fetchval(_READ))
