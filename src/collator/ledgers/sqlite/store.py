"""The writing connection and all that changes with it: statements, counters, leases, snapshots, the ledger's time.

Owned by the writer thread. `transaction` makes memory follow the database: what a failed transaction changed in
counters, leases or handles is undone with it, and snapshots are forgotten. SQLite's interpreter-lock cost is paid per
row that crosses into Python, so every statement takes its batch as one JSON text and gives its answer as one JSON text
(docs/decisions).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import apsw
import msgspec

from collator.clock import Clock, never
from collator.durability import sync_directory
from collator.files import open_private
from collator.ledgers.hints import Hints
from collator.ledgers.sqlite.leases import DeliveryLeases, PacketLeases
from collator.ledgers.sqlite.schema import migrate
from collator.ledgers.sqlite.slices import SECONDS, Slice
from collator.ledgers.sqlite.snapshot_cache import SnapshotCache
from collator.ledgers.sqlite.statements import bound_forms, load_statements
from collator.messages import Counts
from collator.rules.resource import LedgerLimits, Snapshot
from collator.seams.backend import Routing
from collator.states import EndedBy, State

DATABASE = "collator.db"
BULKY = 16 * 1024
"""Bytes of a row, in the mean, from which rows are bound one by one, two or three times as quick: JSON copies them."""
_UNDONE = ("counts", "paused", "next_rk", "next_did", "ready", "suspects", "next_retry")
"""What goes back with a transaction that fails, beside the leases: values, never changed in place."""
_values = attrgetter(*_UNDONE)

_encode = msgspec.json.Encoder().encode
_decode_counts = msgspec.json.Decoder(Counts).decode


def connect(path: Path, *, synchronous: str = "full", readonly: bool = False) -> apsw.Connection:
    """A connection to the database at *path*, durable at each commit."""
    if not readonly:
        make_private(path)
    flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(str(path), flags=flags)
    prepare(connection)
    if readonly:
        connection.pragma("cache_size", -8 * 1024)  # a large body or list goes through it once; the system has its own
        return connection
    if connection.pragma("page_count") == 0:
        connection.pragma("auto_vacuum", "incremental")
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", synchronous)
    connection.pragma("wal_autocheckpoint", 4000)
    connection.pragma("journal_size_limit", 32 * 1024 * 1024)
    if sys.platform == "darwin":  # a plain fsync there does not reach the drive
        connection.pragma("fullfsync", 1)
        connection.pragma("checkpoint_fullfsync", 1)
    return connection


def make_private(path: Path) -> None:
    """Make *path*, empty, for its owner alone, unless it is there. SQLite gives its mode to the log and its index."""
    if not path.exists():
        os.close(open_private(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))


def prepare(connection: apsw.Connection) -> None:
    """Set what every connection has, also one that only reads."""
    connection.set_busy_timeout(5000)
    connection.pragma("cache_size", -64 * 1024)
    connection.pragma("temp_store", "memory")  # the statement journal of a batch: 2.5 to 1.5 us a row


class Store:
    """The store that the steps of the verbs work on."""

    def __init__(
        self,
        path: Path,
        *,
        ledger_limits: LedgerLimits,
        clock: Clock,
        route: Routing,
        stood_still: Callable[[], float] = never,
        timer: Callable[[], float] = time.perf_counter,
        synchronous: str = "full",
    ) -> None:
        """Open the database at *path*, creating or migrating it. `SchemaTooNew`.

        *stood_still* gives the seconds for which nobody could act: see `running`; *timer* those that a slice counts.
        """
        self.ledger_limits, self.clock, self.route = ledger_limits, clock, route
        self.path = path
        self.opened_at = clock.wall()
        self._stood_still, self._timer = stood_still, timer
        self.statements = load_statements()
        self._bound = bound_forms(self.statements)
        self.connection = connect(path, synchronous=synchronous)
        self._execute = self.connection.execute
        self.hints = Hints()
        self._touched: list[Iterable[Snapshot]] = []
        try:
            self.begun = migrate(self.connection) == 0
            """Whether this start has made the database."""
            sync_directory(path.parent)
            self.packets, self.deliveries = PacketLeases(0), DeliveryLeases(1)
            self.resources = SnapshotCache(self.snapshots)
            self._load()
        except BaseException:
            self.connection.close()
            raise

    def _load(self) -> None:
        stored_clock, uptime, self.was_clean, counts = self.value("load")
        self.uptime: float = uptime
        self.counts = _decode_counts(counts)
        self.committed = self.counts
        ahead, most = self.clock.wall() - stored_clock, self.ledger_limits.clock_jump
        # A clock that was set wrong looks like the end of a long rest: a person has to say which it is.
        self.behind = ahead if not self.begun and most is not None and ahead > most else 0.0
        """Seconds by which the ledger's time stays behind a clock that has jumped."""
        self._base: float = max(stored_clock, self.clock.wall() - self.behind) - self.clock.monotonic()
        self._read_clock()
        self.persisted_at = self.now
        self.ticked_at = self.running
        self.next_rk, self.next_did, self.ready, self.suspects = self.value("handles")
        self.next_retry: float = self.value("next_retry") or float("inf")
        self.paused: frozenset[str] = frozenset(_decode_names(self.value("paused_names")))
        """The endpoints that are paused."""
        self.cursor = 0
        self.refused = False
        """Whether packets of any resource were refused since the last tick."""
        self.trouble: str | None = None
        """Why nothing could be written; `None` once a commit has succeeded that wrote something."""
        self.purged_until: int | None = None
        """Rows that were changed until the last step of a purge ended, if it left something due."""
        self.latest_next: set[tuple[str, bool]] = set()
        """Of which endpoints, and size, the next single delivery that is claimed is the one that became due last."""

    # Time.

    def time(self) -> float:
        """The ledger's time: seconds since 1970, never back, blind to jumps of the wall while it runs."""
        return self._base + self.clock.monotonic()

    def _read_clock(self) -> None:
        """Read the time for a step, once: all that it decides and stores has the same."""
        self.now = self.time()
        self.running = self.now - self._stood_still()
        """The time that leases and idle timeouts run on: `now`, less what nobody could act in."""
        self.wall = self.clock.wall()

    def slice(self, seconds: float = SECONDS, *, owed: int = 0) -> Slice:
        """The time that what a step does may take, from now on: longer until *owed* rows are done."""
        return Slice(seconds, now=self._timer, owed=owed)

    @property
    def active(self) -> float:
        """The uptime in this step, which an accepted packet or an outcome gets as its time."""
        return self.uptime + self.running - self.ticked_at

    def tick(self, *, accepting: bool) -> None:
        """Count the time since the last tick as uptime, where the service was *accepting* and refused nobody (R13)."""
        if accepting and not self.refused:
            self.uptime += self.running - self.ticked_at
        self.ticked_at = self.running
        self.refused = False

    # Statements.

    def run(self, name: str, *parameters: object) -> int:
        """Execute the statement *name*; how many rows it changed."""
        self._execute(self.statements[name], parameters)
        return self.connection.changes()

    def run_rows(self, name: str, rows: Sequence[Any], *parameters: object, size: int = 0) -> int:
        """Execute the statement *name* for all *rows* or none, given as one JSON text before *parameters*.

        A row alone, and rows that are `BULKY`, are bound one by one: *size* is that of all of them in bytes.
        """
        if not rows:
            return 0
        bound = self._bound.get(name)
        if bound is None or (len(rows) > 1 and size <= BULKY * len(rows)):
            return self.run(name, as_json(rows), *parameters)
        if len(rows) == 1:
            self._execute(bound, (*parameters, *rows[0]))
            return self.connection.changes()
        with self.connection:  # a savepoint
            changed = [self.run_rows(name, [row], *parameters) for row in rows]
        return sum(changed)

    def value(self, name: str, *parameters: object) -> Any:  # noqa: ANN401 - whatever the statement gives
        """The one row of the statement *name*: its only column, or a tuple of them."""
        row = first_row(self.connection, self.statements[name], parameters)
        return None if row is None else row[0] if len(row) == 1 else row

    def snapshots(self, name: str, keys: Sequence[str | int]) -> list[Snapshot]:
        """The resources that the statement *name* gives for *keys*; those that are open are had of `resources`."""
        return [as_snapshot(row) for row in _decode_snapshots(self.value(name, as_json(keys)).encode())]

    # Transactions.

    def touch(self, snapshots: Iterable[Snapshot]) -> None:
        """Have those hinted who wait for one of *snapshots*, which got outcomes or ended, once that is committed."""
        self._touched.append(snapshots)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, in the database and in memory; durable when it ends, if it changed anything."""
        before = self.connection.total_changes()
        self._touched = []
        memory = _values(self)
        self.packets.begin()
        self.deliveries.begin()
        self._execute("begin immediate")
        try:
            self._read_clock()  # behind the lock, for which it may have waited
            yield
            wrote = self.connection.total_changes() != before
            if wrote:
                self.run("persist", self.now, self.uptime, _encode(self.counts).decode())
                self.persisted_at = self.now
            self._execute("commit")
        except BaseException:
            if self.connection.in_transaction:  # a failed commit may have rolled back by itself
                self._execute("rollback")
            vars(self).update(zip(_UNDONE, memory, strict=True))
            self.packets.rollback()
            self.deliveries.rollback()
            self.resources.clear()
            raise
        self.committed = self.counts
        self.trouble = None if wrote else self.trouble
        self.hints.wake(self._touched)

    def count(self, **changes: int) -> None:
        """Add *changes* to the counters."""
        for name, change in changes.items():
            changes[name] = change + getattr(self.counts, name)
        self.counts = msgspec.structs.replace(self.counts, **changes)


def first_row(connection: apsw.Connection, statement: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    """The first row that *statement*, which changes nothing, gives.

    Stored bytes that are no UTF-8 any more come as replacement characters: what was damaged is then told by its
    checksum, and takes nothing with it that stands beside it in the answer.
    """
    try:
        return connection.execute(statement, parameters).fetchone()
    except UnicodeDecodeError:
        raw: bytes = connection.execute(f"select cast(({statement.rstrip(';')}) as blob)", parameters).get
        return (raw.decode(errors="replace"),)


def as_json(rows: object) -> str:
    """*rows* as the one text that a statement takes."""
    return _encode(rows).decode()


def as_snapshot(row: _Row) -> Snapshot:
    """A resource row as the rules see it."""
    resource_row, resource_id, generation, state, total, total_by, metadata = row[:7]
    received, highest, done, failed, size, withdrawn, seen = row[7:]
    return Snapshot(
        key=resource_row,
        resource_id=resource_id,
        generation=bytes.fromhex(generation),
        state=state,
        total=total,
        total_by=total_by,
        metadata=None if metadata is None else metadata.encode(),
        received=received,
        highest=highest,
        done=done,
        failed=failed,
        body_size=size,
        withdrawn=withdrawn,
        seen=decode_ranges(seen) if seen else [(0, total - 1)] if state is State.COLLATED and total else (),
    )


_Row = tuple[int, str, str, State, int | None, EndedBy | None, str | None, int, int, int, int, int, int, str | None]
_decode_snapshots = msgspec.json.Decoder(list[_Row]).decode
_decode_names = msgspec.json.Decoder(list[str]).decode
decode_ranges = msgspec.json.Decoder(list[tuple[int, int]]).decode
