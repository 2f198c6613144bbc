"""The ledger on SQLite (`collator.seams.ledger`): verbs are steps of the writer, views statements of the reader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from collator.clock import Clock, never
from collator.errors import Unavailable, Vanished
from collator.ledgers.batching.answers import Answers
from collator.ledgers.batching.calls import Verb
from collator.ledgers.repair_steps import FoundResources
from collator.ledgers.sqlite import move_mark, steps
from collator.ledgers.sqlite.lock import DirectoryLock
from collator.ledgers.sqlite.log import Log
from collator.ledgers.sqlite.presence import Presence
from collator.ledgers.sqlite.reader import Reader
from collator.ledgers.sqlite.reserve import Reserve
from collator.ledgers.sqlite.startup import RESERVE, close_store, open_store
from collator.ledgers.sqlite.store import DATABASE, Store
from collator.ledgers.sqlite.views import SqliteViews
from collator.ledgers.sqlite.writer import Committed, Writer
from collator.ledgers.work_verbs import WorkVerbs
from collator.messages import AuditPage, Delivery, DeliveryFilter, ResourceFilter, Run, StepResult
from collator.paging import UNBOUNDED
from collator.rules.resource import LedgerLimits
from collator.seams.backend import Routing
from collator.seams.ledger import Capacity

R = TypeVar("R")


async def open_ledger(
    data_dir: Path,
    *,
    ledger_limits: LedgerLimits,
    clock: Clock,
    route: Routing,
    stood_still: Callable[[], float] = never,
    timer: Callable[[], float] = time.perf_counter,
    synchronous: str = "full",
) -> SqliteLedger:
    """The ledger in *data_dir*, which is created. Raises what the lock, the mark of a move and `open_store` raise.

    *route* gives the endpoints of a resource by its id, *stood_still* the seconds for which nobody could act, so that
    neither leases nor idle timeouts ran; *timer* counts the seconds that a step works (`slices`). *synchronous* is
    SQLite's; anything but ``full`` breaks the durable acknowledgement (P1) and exists for the test that shows this.
    """

    def open_directory() -> SqliteLedger:
        lock = DirectoryLock(data_dir)
        database = data_dir / DATABASE
        try:
            move_mark.refuse(data_dir)
            made = partial(Store, database, ledger_limits=ledger_limits, clock=clock, route=route)
            make = partial(made, stood_still=stood_still, timer=timer, synchronous=synchronous)
            store = open_store(data_dir, make)
            presence = Presence(data_dir)
            return SqliteLedger(store, Reader(database, now=store.time), Reserve(data_dir / RESERVE), lock, presence)
        except BaseException:
            lock.release()
            raise

    return await asyncio.to_thread(open_directory)


class SqliteLedger(WorkVerbs[Writer], SqliteViews):
    """A data directory, open. The contract of each verb is in `collator.seams.ledger`."""

    _steps = steps

    def __init__(self, store: Store, reader: Reader, reserve: Reserve, lock: DirectoryLock, presence: Presence) -> None:
        """Use `open_ledger`."""
        self.begun = store.begun
        """Whether this start has made the database."""
        self.behind = store.behind
        """Seconds by which the ledger's time stays behind a clock that has jumped (`LedgerLimits.clock_jump`)."""
        self._store, self._reader, self._lock = store, reader, lock
        self._answers = Answers()  # of verbs that take several steps
        self._presence = presence
        log = Log(store.path, store.connection, reader.looking)
        self._writer = Writer(store, reserve, presence, log, orphaned=self._take_back_orphaned)

    async def claim(self, *, capacity: int, operation: str = "") -> Sequence[Run]:
        """Lease due packets."""
        return await self._writer.call(steps.CLAIM, (capacity,), operation=operation)

    async def expire(self, *, accepting: bool, limit: int, capacity: Capacity, operation: str = "") -> StepResult:
        """Close what time has ended."""
        return await self._writer.call(steps.EXPIRE, (accepting, limit, capacity), operation=operation)

    def pieces(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The frozen body, piece by piece."""
        return self._reader.body(delivery)

    async def audit(self, *, after: int | None = None, limit: int = 100, size: int = UNBOUNDED) -> AuditPage:
        """A page of the audit log."""
        return await self._reader.ask(self._reader.audit, after, limit, size)

    def watch(self, committed: Committed) -> None:
        """Tell *committed* of each commit from now on: its seconds and its size, in the thread that commits."""
        self._writer.committed = committed

    def health(self) -> str | None:
        """The reason why no packets are accepted, in words; `None` while they are."""
        return self._writer.health()

    def refusal(self) -> Unavailable | None:
        """The error for all packets while they would wait for long; `None` while they would not."""
        reason = self._writer.stalled()
        return None if reason is None else Unavailable(reason, retry_after=2.0)

    def lost(self) -> Vanished | None:
        """The error to end with where the files of the data directory are gone, and do not come back."""
        return self._presence.lost()

    async def aclose(self) -> None:
        """A clean stop."""
        await asyncio.to_thread(self._close, clean=True)  # the writer finishes its queue first

    def abandon(self) -> None:
        """Stop as a dying process does: nothing is marked, memory is lost. For tests of what a start finds."""
        self._close(clean=False)

    async def _repair(self, verb: Verb[Store, R], arguments: tuple[Any, ...], operation: str = "") -> R:
        return await self._writer.call(verb, arguments, operation=operation)

    async def _find_resources(self, wanted: ResourceFilter, after: str, limit: int) -> FoundResources:
        return await self._reader.ask(self._reader.unfinished.find, wanted, after, limit)

    async def _find_deliveries(
        self, wanted: DeliveryFilter, after: str, limit: int
    ) -> tuple[Sequence[int], str | None]:
        found = await self._reader.ask(self._reader.deliveries.find_to_replay, wanted, after, limit)
        return found.delivery_rows(), found.after

    async def _find_delivery(self, delivery_id: str) -> int:
        return await self._reader.ask(self._reader.deliveries.delivery_row, delivery_id)

    def _close(self, *, clean: bool) -> None:
        self._writer.stop()
        self._reader.close()
        gone = self._presence.gone()
        close_store(self._store, clean=clean and not gone and self._writer.writable(), gone=gone)
        self._lock.release()
