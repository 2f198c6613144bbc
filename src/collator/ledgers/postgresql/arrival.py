"""A store into which a data directory is moved, slice by slice, while nobody serves it.

Each slice is a transaction, which also notes up to where the move has come. So whoever goes on, whatever happened,
begins behind the last slice that is there, and nothing arrives twice. Nodes are kept out until the move is finished.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import msgspec

from collator.errors import ConfigError, Conflict, Damaged, Occupied, Unavailable
from collator.ledgers.move_slices import COLUMNS, Extent, Origin, Row, RowSlice, Shift
from collator.ledgers.postgresql.address import address_of
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, in_words, refused
from collator.ledgers.postgresql.schema import SCHEMA, migrate
from collator.ledgers.postgresql.server import Server
from collator.ledgers.postgresql.step import Statements, load_statements
from collator.messages import Counts
from collator.settings import Settings
from collator.text import counted

LONG = 3600.0
"""Seconds in which a statement has to be done that looks at all rows."""
_NOBODY = 0
_GIVE_UP = "; nothing is lost: take it back with collator move --give-up, and run collator move again"
_AGAIN = "; run the command again, and it goes on where it was"
_PAIRS = frozenset({"waiting", "delivery_log"})
"""The tables of which two columns tell a row."""
_TAKE_BACK = (
    "delete from lease where rk > $1",
    "delete from waiting where rk > $1",
    "delete from attempt where k > ($1::bigint << 24 | 16777215)",
    "delete from outcome where k > ($1::bigint << 24 | 16777215)",
    "delete from packet where k > ($1::bigint << 24 | 16777215)",
    "delete from resource where rk > $1",
)


@asynccontextmanager
async def arriving(settings: Settings) -> AsyncIterator[Arrival]:
    """The store of `Settings.ledger`, made or brought up to date. `ConfigError`, `Unavailable`, `SchemaTooNew`."""
    server = Server(address_of(settings), relaxed=settings.ledger_durability == "relaxed")
    await server.examine()
    with _errors_in_words():
        connection = await server.connect()
        try:
            await migrate(connection)
            yield Arrival(connection)
        finally:
            connection.terminate()


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except CONNECTION_ERRORS as error:
        raise Unavailable(in_words(error) + _AGAIN) from error
    except asyncpg.PostgresError as error:
        if (words := refused(error)) is not None:
            raise type(words)(words.detail + _AGAIN) from error
        raise Unavailable(in_words(error) + _AGAIN) from error


class Arrival:
    """A store that takes in a data directory."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Use *connection*."""
        self.finished = False
        """Whether all of it is there since before."""
        self.stage = self.position = 0
        """What is there already: see `RowSlice`."""
        self._connection = connection
        self._statements = Statements(connection, load_statements() | load_statements("arrival.sql"))
        self._move: dict[str, Any] = {}

    async def begin(self, origin: Origin, ids: Iterable[Sequence[str]]) -> Shift:
        """Begin the move of *origin*, which has the resources *ids*, or go on with it.

        What had arrived of an earlier state of *origin* is taken back, unless that move was finished. `Occupied` where
        nodes use the store, or another directory is just moved into it; `Conflict` where one of *ids* is known.
        """
        async with self._connection.transaction():
            await self._statements.rows("keep_nodes_out")
            begun = await self._begun(origin)
            if begun is None:
                if await self._connection.fetchval("select exists (select from division)"):
                    raise ConfigError("the database is one of a list of ledgers, which would not find what is moved")
                now = await self._require_no_nodes()
                await self._require_unknown(origin, ids)
                begun = await self._reserve(origin, now)
        self._move = dict(begun)
        self.finished, self.stage, self.position = begun["finished"], begun["stage"], begun["position"]
        return Shift(**{name: begun[name] for name in Shift.__struct_fields__})

    async def _begun(self, origin: Origin) -> asyncpg.Record | None:
        """The move of *origin*, as it is now, if there is one; others are not in its way any more. `Occupied`."""
        rows = await self._statements.rows("moves", origin.directory)
        for row in rows:
            if row["directory"] != origin.directory:
                raise Occupied(
                    f"the move of {row['directory']} into this ledger is not finished; finish it before, or give it up "
                    "with collator move --give-up"
                )
        for row in rows:
            if row["state"] != origin.state and not row["finished"]:
                await self._take_back(row)
        return next((row for row in rows if row["state"] == origin.state), None)

    async def _require_no_nodes(self) -> float:
        """See that no node uses the store; its time. `Occupied`."""
        (times,) = await self._statements.rows("times")
        if number := await self._statements.value("other_nodes", _NOBODY, times["running"]):
            raise Occupied(
                f"the ledger is in use by {counted(number, 'node')}: stop them (one that was killed counts for 30 s)"
            )
        now: float = times["now"]
        return now

    async def _require_unknown(self, origin: Origin, ids: Iterable[Sequence[str]]) -> None:
        """See that the store knows none of *ids*. `Conflict`."""
        for some in ids:
            if (known := await self._statements.value("known", some)) is not None:
                raise Conflict(
                    f"the ledger knows the resource {known!r}, which {origin.directory} has too; nothing was moved: "
                    "purge one of them at its service, or choose another database"
                )

    async def _reserve(self, origin: Origin, now: float) -> asyncpg.Record:
        statements = self._statements
        handles = [
            await statements.value("reserve_resources", origin.last_resource),
            await statements.value("reserve_superseded", -origin.last_superseded),
            await statements.value("reserve_deliveries", origin.last_delivery),
        ]
        state = (origin.directory, origin.state, origin.clock, origin.uptime)
        (row,) = await statements.rows("begin_move", *state, *handles, now)
        return row

    async def write(self, slice_: RowSlice) -> None:
        """Store *slice_*, and that the move has come so far."""
        async with self._connection.transaction():
            for table, rows in slice_.rows.items():
                if rows:
                    await self._connection.copy_records_to_table(
                        table, schema_name=SCHEMA, columns=COLUMNS[table], records=rows
                    )
            await self._statements.run("has_arrived", self._move["move"], slice_.stage, slice_.position)

    async def compare(self, slice_: RowSlice) -> None:
        """See that *slice_* is there as it was written. `Damaged`."""
        for table, rows in slice_.rows.items():
            if rows and await self._stored(table, rows) != sorted(rows, key=_key):
                raise Damaged(f"what has arrived in the table {table} is not what was sent{_GIVE_UP}")

    async def _stored(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """The rows that are stored under the keys of *rows*."""
        names = COLUMNS[table][: 2 if table in _PAIRS else 1]
        keys = [[*column] for column in zip(*(row[: len(names)] for row in rows), strict=True)]
        kind = "text" if table == "tombstone" else "bigint"
        asked = ", ".join(f"${number}::{kind}[]" for number in range(1, len(names) + 1))
        statement = (
            f"select {', '.join(COLUMNS[table])} from {table} "  # noqa: S608 - the names are ours
            f"where ({', '.join(names)}) in (select * from unnest({asked}))"
        )
        return sorted(map(tuple, await self._connection.fetch(statement, *keys)), key=_key)

    async def finish(self, extent: Extent, paused: Sequence[tuple[str, float, str]]) -> None:
        """Let nodes have what has arrived, which is as much as *extent* says, and pause endpoints. `Damaged`."""
        statements, execute = self._statements, self._connection.execute
        async with self._connection.transaction():
            await execute("set local enable_seqscan to on; set local enable_hashjoin to on")
            row = await self._look_at_all("count_rows", self._move["move"])
            if Extent(*row) != extent:
                raise Damaged(f"{dict(row)} have arrived of {msgspec.structs.asdict(extent)}{_GIVE_UP}")
            counted, kept = await self._look_at_all("counted_rows"), await self._look_at_all("counts")
            changes = [counted[name] - kept[name] for name in Counts.__struct_fields__]
            node = self._move["node"]
            leased = await statements.value("bytes_in_work", node)
            await statements.run("store_counts", _NOBODY, 0, 0, *changes, leased)
            await self._connection.executemany(statements.statement("pause_endpoint"), paused)
            await statements.run("bury_node", node)
            await statements.run("finish_move", self._move["move"])

    async def give_up(self, directory: str) -> bool:
        """Take back what has arrived of *directory*; whether there was a move that is not finished."""
        async with self._connection.transaction():
            rows = [row for row in await self._statements.rows("moves", directory) if row["directory"] == directory]
            begun = [row for row in rows if not row["finished"]]
            for row in begun:
                await self._take_back(row)
        return bool(begun)

    async def _take_back(self, row: asyncpg.Record) -> None:
        execute = self._connection.execute
        for statement in _TAKE_BACK:
            await execute(statement, row["resource"], timeout=LONG)
        await execute("delete from superseded where gk < $1", row["superseded"], timeout=LONG)
        await execute("delete from delivery where did > $1", row["delivery"], timeout=LONG)
        await execute("delete from delivery_log where did > $1", row["delivery"], timeout=LONG)
        await execute("delete from tombstone where tk > $1", row["tombstone"], timeout=LONG)
        await self._statements.run("forget_move", row["move"])

    async def _look_at_all(self, name: str, *parameters: object) -> asyncpg.Record:
        (row,) = await self._connection.fetch(self._statements.statement(name), *parameters, timeout=LONG)
        return row


def _key(row: Row) -> tuple[object, object]:
    """The part of *row* that no other row of its table has."""
    return row[0], row[1]
