"""A whole look at a store, which nodes may use meanwhile: is everything there, and is it what was written?

All of it sees one commit, and changes nothing. First what `checks.sql` asks: no row is without its owner, every packet
is in one place, the numbers of each resource are those of its rows; then every checksum; then the counts.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from importlib.resources import files

import asyncpg
import msgspec

from collator.errors import ConfigError, SchemaTooNew
from collator.ledgers.postgresql.address import address_of
from collator.ledgers.postgresql.bodies import framed_crc
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, translated
from collator.ledgers.postgresql.schema import newest
from collator.ledgers.postgresql.server import Server
from collator.ledgers.postgresql.step import Statements, load_statements
from collator.messages import Counts
from collator.messages.checks import SHOWN, Complaint, Report, compare_counts
from collator.rules.resource import INDEX_BITS, INDEX_MASK
from collator.settings import Settings

_PREFETCH = 200

_package = files("collator.ledgers.postgresql")

_PAYLOADS = "select k, payload, crc from packet"
_OUTPUTS = "select k, output, crc from outcome where output is not null"
_FRAMES = """
select id, coalesce(head, ''), coalesce(tail, ''), frame_crc from resource where frame_crc is not null
union all
select r.id, coalesce(s.head, ''), coalesce(s.tail, ''), s.frame_crc from superseded s join resource r on r.rk = s.rk
"""


async def check_database(settings: Settings) -> Report:
    """Check the store that *settings* name. `ConfigError`, `Unavailable`, `SchemaTooNew`."""
    server = Server(address_of(settings), relaxed=settings.ledger_durability == "relaxed")
    await server.examine()
    try:
        connection = await server.find(partial(server.address.connect_reader, whole_tables=True))
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await check(connection, await connection.fetchval("select current_database()"))
        finally:
            connection.terminate()
    except (*CONNECTION_ERRORS, asyncpg.InsufficientPrivilegeError) as error:
        raise translated(error) from error


async def check(connection: asyncpg.Connection, name: str) -> Report:
    """Check the store in the database *name*, in a transaction that sees one commit."""
    version = await _version(connection, name)
    found: list[Complaint] = []
    report = Report(database=name, schema=version, newest=newest(), counts=Counts(), rows={}, complaints=found)
    statements = Statements(connection, load_statements())
    (rows,) = await statements.rows("number_of_rows")
    if report.older:
        return msgspec.structs.replace(report, rows=dict(rows))
    found += [complaint async for complaint in _contents(connection)]
    found += await _sums(connection)
    counted, kept = [Counts(**dict((await statements.rows(name))[0])) for name in ("counted_rows", "counts")]
    found += compare_counts(kept, counted)
    return msgspec.structs.replace(report, counts=counted, rows=dict(rows))


async def _version(connection: asyncpg.Connection, name: str) -> int:
    if await connection.fetchval("select to_regclass('version')") is None:
        raise ConfigError(f"the database {name} has no store of Collator; collator serve makes it")
    version = int(await connection.fetchval("select number from version"))
    if version > newest():
        raise SchemaTooNew(f"the database has schema {version}; this version of Collator supports up to {newest()}")
    return version


async def _contents(connection: asyncpg.Connection) -> AsyncIterator[Complaint]:
    checks = (_package / "checks.sql").read_text("utf-8")
    for words, statement in re.findall(r"^-- name: \w+ \((.+)\)\n([^;]+);", checks, flags=re.MULTILINE):
        rows = await connection.fetch(statement)
        if rows:
            yield Complaint(words, len(rows), [await _place(connection, *row) for row in rows[:SHOWN]])


async def _place(connection: asyncpg.Connection, resource_row: int | None, index: int | None, words: str | None) -> str:
    """The place of a complaint, in words."""
    if resource_row is None:
        return words or ""
    resource_id = await connection.fetchval("select id from resource where rk = $1", resource_row)
    name = f"handle {resource_row}" if resource_id is None else f"resource {resource_id!r}"
    return name + (f", index {index}" if index is not None else "") + (f": {words}" if words else "")


async def _sums(connection: asyncpg.Connection) -> Sequence[Complaint]:
    """Complaints on what does not match its checksum, read a few rows at a time."""
    found = []
    for what, statement in (("a payload", _PAYLOADS), ("an output", _OUTPUTS)):
        wrong = []
        async for key, data, crc in connection.cursor(statement, prefetch=_PREFETCH):
            if zlib.crc32(data) != crc:
                wrong.append((key >> INDEX_BITS, key & INDEX_MASK))
        if wrong:
            places = [await _place(connection, *place, None) for place in wrong[:SHOWN]]
            found.append(Complaint(f"{what} does not match its checksum", len(wrong), places))
    bodies = []
    async for resource_id, head, tail, crc in connection.cursor(_FRAMES, prefetch=_PREFETCH):
        if framed_crc(head, tail) != crc:
            bodies.append(f"resource {resource_id!r}")
    if bodies:
        found.append(Complaint("the frame of a body does not match its checksum", len(bodies), bodies[:SHOWN]))
    return found
