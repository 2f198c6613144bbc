"""A step: one transaction of a node, with the time and the counts that all it decides goes by, and its statements.

Memory holds nothing of the store, so that a step that fails leaves nothing to be undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import asyncpg
import msgspec

from collator.ledgers.named_statements import named_statements
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS
from collator.messages import Counts
from collator.rules.resource import LedgerLimits, Snapshot
from collator.seams.backend import Routing
from collator.states import EndedBy, State

_COUNTS = Counts.__struct_fields__
_STORED = (*_COUNTS, "leased")
_encode = msgspec.json.Encoder().encode
decode_ranges = msgspec.json.Decoder(list[tuple[int, int]]).decode


def load_statements(file: str = "statements.sql") -> dict[str, str]:
    """The statements of *file* by name."""
    return named_statements("collator.ledgers.postgresql", file)


class Statements:
    """The statements of the ledger, on one connection."""

    def __init__(self, connection: asyncpg.Connection, statements: dict[str, str]) -> None:
        """Use *connection*."""
        self.connection, self._statements = connection, statements

    def statement(self, name: str) -> str:
        """The text of the statement *name*."""
        return self._statements[name]

    async def rows(self, name: str, *parameters: object) -> list[asyncpg.Record]:
        """The rows that the statement *name* gives."""
        found: list[asyncpg.Record] = await self.connection.fetch(self._statements[name], *parameters)
        return found

    async def row(self, name: str, *parameters: object) -> asyncpg.Record | None:
        """The first row of the statement *name*."""
        return await self.connection.fetchrow(self._statements[name], *parameters)

    async def value(self, name: str, *parameters: object) -> Any:  # noqa: ANN401 - whatever the statement gives
        """The first column of the first row of the statement *name*."""
        return await self.connection.fetchval(self._statements[name], *parameters)

    async def run(self, name: str, *parameters: object) -> int:
        """Execute the statement *name*; how many rows it changed."""
        done: str = await self.connection.execute(self._statements[name], *parameters)
        return int(done.rpartition(" ")[2])

    async def run_rows(self, name: str, rows: Sequence[Sequence[object]], *parameters: object) -> int:
        """Execute the statement *name* once for all *rows*, given as an array for each column, before *parameters*."""
        return await self.run(name, *zip(*rows, strict=True), *parameters) if rows else 0

    async def run_each(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        """Execute the statement *name* for each of *rows*, in one round trip."""
        await self.connection.executemany(self._statements[name], rows)


class Beside(NamedTuple):
    """Resources that a step touches after those that it locks first, and locks with them."""

    ids: Sequence[str] = ()
    handles: Sequence[int] = ()


class Step(Statements):
    """A transaction that is open."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        statements: dict[str, str],
        *,
        node: int,
        ledger_limits: LedgerLimits,
        route: Routing,
    ) -> None:
        """Prepare, before `begin`, what *node* does by *ledger_limits*."""
        super().__init__(connection, statements)
        self.node, self.ledger_limits, self.route = node, ledger_limits, route
        self.changes: dict[str, int] = {}
        """What has changed of the counts, and of `leased`."""
        self.touched: list[Iterable[Snapshot]] = []
        """Resources that got outcomes or ended."""
        self.beside = Beside()
        self._seen = False
        self._end = ""
        self.wrote = False
        """Whether it changed anything."""

    async def run(self, name: str, *parameters: object) -> int:
        """Execute the statement *name*; how many rows it changed."""
        changed = await super().run(name, *parameters)
        self.wrote |= changed > 0
        return changed

    def at_end(self, name: str) -> None:
        """Execute the statement *name*, which has no parameters, in the round trip of the commit.

        What it locks is free at once: a node that is cut off in the middle of a step holds up nobody who needs it.
        """
        self._end += self._statements[name]
        self.wrote = True

    async def begin(self) -> None:
        """Begin, unless the commit before has."""
        if not self.connection.is_in_transaction():
            await self.connection.execute("begin")

    async def look_around(self) -> None:
        """Read the time, the counts, and what else verbs go by, unless that was seen in this step."""
        if not self._seen:
            (row,) = await self.rows("look_around")
            self.see(row)

    def see(self, row: asyncpg.Record) -> None:
        """Go by what the function ``look_around`` gave, *row*, unless that was seen in this step."""
        if self._seen:
            return
        self._seen = True
        self.now: float = row["now"]
        """The ledger's time: that of the server, and never back."""
        self.running: float = row["running"]
        """The time that leases and idle timeouts run on: `now`, less what no node could act in."""
        self.active: float = row["active"]
        """The uptime in this step, which an accepted packet or an outcome gets as its time."""
        self.wall: float = row["wall"]
        self.suspects: bool = row["suspects"]
        self.paused: frozenset[str] = frozenset(row["paused"])
        self.dead_nodes: Sequence[int] = row["dead_nodes"]
        self.counts = Counts(**{name: row[name] for name in _COUNTS})
        self.leased: int = row["leased"]
        """Payload bytes of all that is handed out."""

    def count(self, **changes: int) -> None:
        """Add *changes* to the counts."""
        for name, change in changes.items():
            self.changes[name] = self.changes.get(name, 0) + change
        now = {name: getattr(self.counts, name) + change for name, change in changes.items()}
        self.counts = msgspec.structs.replace(self.counts, **now)

    def count_leased(self, size: int) -> None:
        """Add *size* bytes to what is handed out."""
        self.leased += size
        self.changes["leased"] = self.changes.get("leased", 0) + size

    def touch(self, snapshots: Iterable[Snapshot]) -> None:
        """Have those hinted who wait for one of *snapshots*, once this is committed."""
        self.touched.append(snapshots)

    async def prepare(self) -> None:
        """Prepare a new connection for `commit`."""
        await self.connection.execute(f"prepare store_counts as {self.statement('store_counts')}")

    async def enter(self, writer: int) -> None:
        """Have *writer* known as one of the node that has stored nothing yet."""
        await self.run("store_counts", self.node, writer, 0, *[0] * len(_STORED))

    async def commit(self, writer: int, number: int, *, more: bool) -> None:
        """Commit, with what has changed of the counts as those of *writer*, and that its step *number* was taken.

        In one round trip; where *more* waits, with the beginning of the next step.
        """
        changed = [self.changes.get(name, 0) for name in _STORED]
        numbers = ", ".join(map(str, (self.node, writer, number, *changed)))
        await self.connection.execute(f"execute store_counts({numbers}); {self._end} commit; {'begin' if more else ''}")

    async def roll_back(self) -> None:
        """Undo all; of a connection that is lost nothing is stored either way."""
        with suppress(*CONNECTION_ERRORS):
            if self.connection.is_in_transaction():
                await self.connection.execute("rollback")


def as_json(rows: object) -> str:
    """*rows* as the text that is stored of them."""
    return _encode(rows).decode()


def as_snapshot(row: asyncpg.Record) -> Snapshot:
    """A resource row as the rules see it."""
    rk, id_, generation, state, total, total_by, metadata, received, highest, done, failed, size, withdrawn = row[:13]
    state = State(state)
    return Snapshot(
        key=rk,
        resource_id=id_,
        generation=generation,
        state=state,
        total=total,
        total_by=None if total_by is None else EndedBy(total_by),
        metadata=metadata,
        received=received,
        highest=highest,
        done=done,
        failed=failed,
        body_size=size,
        withdrawn=withdrawn if state is State.OPEN else 0,
        seen=[(0, total - 1)] if state is State.COLLATED and total else (),
    )


def clean(text: str) -> str:
    """*text* as the server can store it: without NUL, which no text of a person needs."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
