"""`collator check` on PostgreSQL: it finds what is damaged, says where, and looks at a store that is in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.steps import packet, process, send
from tests.conformance.store import default_route
from tests.requirements import need

pytest.importorskip("asyncpg")

from collator.ledgers.postgresql.check import check
from collator.rules.resource import LedgerLimits
from tests.conformance.postgresql_harness import PostgresqlHarness

DAMAGE = {
    "update packet set payload = '7' where k & 16777215 = 1": "a payload does not match its checksum",
    "update outcome set output = '7'": "an output does not match its checksum",
    "update resource set head = '' where head is not null": "the frame of a body does not match its checksum",
    "delete from waiting": "a packet without an outcome is in nobody's hands",
    "insert into waiting select rk, 5, '{2}' from waiting": "a packet is in the hands of two",
    "delete from packet where k & 16777215 = 0": "an outcome belongs to no packet",
    "update resource set received = 9 where state = 'open'": "the packets of a resource are not as many as it counts",
    "update outcome set seq = 2 where seq = 1": "the outcomes of a resource are not numbered one by one",
    "update writer set due = 5": "the stored counters do not match the rows",
}
MANY = """
with r as (insert into resource (id, generation, opened_at, active_at, received, highest)
           values ('many', '', 0, 0, 50000, 49999) returning rk),
w as (insert into waiting select rk, 0, array(select generate_series(0, 49999)) from r)
insert into packet select rk << 24 | i, '0', 4108050209 from r, generate_series(0, 49999) as i
"""
"""A resource with 50,000 packets that wait."""
SOON = "10s"
"""For each statement, which takes 0.1 s on an idle machine; when each packet was looked for alone, it took minutes."""


async def test_a_look_takes_as_long_as_there_are_packets_that_wait(tmp_path: Path) -> None:
    need(PostgresqlHarness.needs() is None, str(PostgresqlHarness.needs()))
    harness = PostgresqlHarness(tmp_path)
    connection = await harness.connect()
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(f"{MANY}; set local statement_timeout to '{SOON}'")
        found = {complaint.what for complaint in (await check(connection, "calls")).complaints}
        assert found == {"the stored counters do not match the rows"}
        await connection.execute("update waiting set indexes = indexes[2:]")
        found_then = {complaint.what: complaint for complaint in (await check(connection, "calls")).complaints}
        assert found_then["a packet without an outcome is in nobody's hands"].where == ["resource 'many', index 0"]
        await transaction.rollback()
    finally:
        connection.terminate()
        await harness.close()


async def test_what_is_damaged_is_found_and_nothing_else(tmp_path: Path) -> None:
    need(PostgresqlHarness.needs() is None, str(PostgresqlHarness.needs()))
    harness = PostgresqlHarness(tmp_path)
    ledger = await harness.open(LedgerLimits(), default_route)
    await send(ledger, packet("whole", 0, last=True), packet("open", 0))
    await process(ledger)
    await send(ledger, packet("open", 1), packet("open", 2))
    connection = await harness.connect()
    try:
        async with connection.transaction(isolation="repeatable_read"):
            report = await check(connection, "calls")
        assert (report.sound, report.rows["packets"], report.counts.waiting) == (True, 4, 2)
        for statement, words in DAMAGE.items():
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(statement)
            found = {complaint.what: complaint for complaint in (await check(connection, "calls")).complaints}
            await transaction.rollback()
            assert words in found, statement
            assert found[words].cases >= 1
            assert found[words].where
    finally:
        connection.terminate()
        await harness.stop(ledger)
        await harness.close()
