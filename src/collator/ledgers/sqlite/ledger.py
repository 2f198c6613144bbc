"""The ledger on SQLite (`collator.seams.ledger`): verbs are steps of the writer, views statements of the reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from collator.clock import Clock, never
from collator.errors import Unavailable, Vanished
from collator.ledgers.sqlite import steps
from collator.ledgers.sqlite.audit_verbs import AuditVerbs
from collator.ledgers.sqlite.lock import DirectoryLock
from collator.ledgers.sqlite.log import Log
from collator.ledgers.sqlite.presence import Presence
from collator.ledgers.sqlite.reader import Reader
from collator.ledgers.sqlite.reserve import Reserve
from collator.ledgers.sqlite.startup import RESERVE, close_store, open_store
from collator.ledgers.sqlite.store import DATABASE, Store
from collator.ledgers.sqlite.writer import Committed, Writer
from collator.messages import (
    Accepted,
    Attempt,
    Counts,
    Delivery,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
    Lease,
    OutcomePage,
    Pause,
    Replayed,
    ResourceReport,
    ResourceSummary,
    Result,
    Run,
    StepResult,
    output_size,
)
from collator.packet import Packet
from collator.paging import UNBOUNDED
from collator.rules.resource import INDEX_MASK, LedgerLimits
from collator.seams.backend import Route
from collator.seams.ledger import Capacity
from collator.states import State


async def open_ledger(
    data_dir: Path,
    *,
    ledger_limits: LedgerLimits,
    clock: Clock,
    route: Route,
    stood_still: Callable[[], float] = never,
    synchronous: str = "full",
) -> SqliteLedger:
    """The ledger in *data_dir*, which is created. Raises what `DirectoryLock` and `open_store` raise.

    *route* gives the endpoints of a resource by its id, *stood_still* the seconds for which nobody could act, so that
    neither leases nor idle timeouts ran. *synchronous* is SQLite's; anything but ``full`` breaks the
    durable acknowledgement (P1) and exists for the test that shows this.
    """

    def open_directory() -> SqliteLedger:
        lock = DirectoryLock(data_dir)
        database = data_dir / DATABASE
        try:
            made = partial(Store, database, ledger_limits=ledger_limits, clock=clock, route=route)
            make = partial(made, stood_still=stood_still, synchronous=synchronous)
            store = open_store(data_dir, make)
            presence = Presence(data_dir)
            return SqliteLedger(store, Reader(database, now=store.time), Reserve(data_dir / RESERVE), lock, presence)
        except BaseException:
            lock.release()
            raise

    return await asyncio.to_thread(open_directory)


class SqliteLedger(AuditVerbs):
    """A data directory, open. The contract of each verb is in `collator.seams.ledger`."""

    def __init__(self, store: Store, reader: Reader, reserve: Reserve, lock: DirectoryLock, presence: Presence) -> None:
        """Use `open_ledger`."""
        self.begun = store.begun
        """Whether this start has made the database."""
        self.behind = store.behind
        """Seconds by which the ledger's time stays behind a clock that has jumped (`LedgerLimits.clock_jump`)."""
        self._store, self._reader, self._lock = store, reader, lock
        self._presence = presence
        log = Log(store.path, store.connection, reader.looking)
        self._writer = Writer(store, reserve, presence, log, orphaned=self._take_back_orphaned)

    async def accept(self, packets: Sequence[Packet], *, capacity: int) -> Accepted:
        """Store what the rules accept."""
        weight = sum([len(packet.payload) for packet in packets])
        return await self._writer.call(steps.ACCEPT, (packets, capacity), size=len(packets), weight=weight)

    async def claim(self, *, capacity: int) -> Sequence[Run]:
        """Lease due packets."""
        return await self._writer.call(steps.CLAIM, (capacity,))

    async def record(self, results: Sequence[Result], *, capacity: Capacity) -> StepResult:
        """Store outcomes; close what is finished."""
        return await self._writer.call(
            steps.RECORD, (results, capacity), size=len(results), weight=output_size(results)
        )

    async def renew(self, leases: Sequence[Lease]) -> Sequence[bool]:
        """Prolong leases."""
        return await self._writer.call(steps.RENEW, (leases,))

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back."""
        await self._writer.call(steps.RELEASE, (leases,))

    async def expire(self, *, accepting: bool, limit: int, capacity: Capacity) -> StepResult:
        """Close what time has ended."""
        return await self._writer.call(steps.EXPIRE, (accepting, limit, capacity))

    async def work_due(self) -> bool:
        """Return whether packets are due that nobody holds."""
        return await self._writer.call(steps.WORK_DUE, ())

    async def claim_deliveries(
        self, endpoint: str, *, capacity: int, large: bool = False, probe: bool = False
    ) -> Sequence[Delivery]:
        """Lease due deliveries."""
        return await self._writer.call(steps.CLAIM_DELIVERIES, (endpoint, capacity, large, probe))

    def pieces(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The frozen body, piece by piece."""
        return self._reader.body(delivery)

    async def body(self, delivery: Delivery) -> bytes:
        """The frozen body."""
        return b"".join([piece async for piece in self._reader.body(delivery)])

    async def record_attempts(self, attempts: Sequence[Attempt]) -> Sequence[bool]:
        """Store how attempts ended."""
        return await self._writer.call(steps.SETTLE, attempts, size=len(attempts))

    async def complete(
        self, resource_id: str, *, total: int | None = None, force: bool = False, capacity: Capacity | None = None
    ) -> StepResult:
        """Fix the total, or close now."""
        verb = steps.COMPLETE_EMPTY if total == 0 else steps.COMPLETE
        return await self._writer.call(verb, (resource_id, total, force, capacity or {}))

    async def cancel(self, resource_id: str) -> bool:
        """End without a webhook."""
        return await self._writer.call(steps.CANCEL, (resource_id,))

    async def retry(self, resource_id: str) -> int:
        """New attempts for failed packets."""
        retried, after = 0, -1
        while after < INDEX_MASK:
            step = await self._writer.call(steps.RETRY, (resource_id, after))
            retried += step.number
            after = step.after
        return retried

    async def replay(self, wanted: DeliveryFilter, *, after: str = "", limit: int = 1000) -> Replayed:
        """Make ended deliveries due again."""
        found = await self._reader.ask(self._reader.deliveries.find_to_replay, wanted, after, limit)
        delivery_rows, number, endpoints = found.delivery_rows(), 0, frozenset[str]()
        while delivery_rows:
            step = await self._writer.call(steps.REPLAY, (delivery_rows, wanted.state))
            delivery_rows, number, endpoints = (
                delivery_rows[step.looked :],
                number + step.number,
                endpoints | step.endpoints,
            )
        return Replayed(replayed=number, endpoints=endpoints, after=found.after)

    async def give_up(self, delivery_id: str) -> bool:
        """Give up a delivery."""
        delivery_row = await self._reader.ask(self._reader.deliveries.delivery_row, delivery_id)
        return await self._writer.call(steps.STOP, (delivery_row,))

    async def pause(self, endpoint: str, *, reason: str) -> bool:
        """Hand out nothing to an endpoint."""
        return await self._writer.call(steps.PAUSE, (endpoint, reason))

    async def resume(self, endpoint: str) -> bool:
        """Go on with an endpoint."""
        return await self._writer.call(steps.RESUME, (endpoint,))

    async def purge(self, *, limit: int, resource_id: str | None = None) -> int:
        """Forget what may be forgotten."""
        step = await self._writer.call(steps.PURGE, (limit, resource_id))
        removed = step.rows
        while step.more and removed < limit:  # what a person wants to be gone goes first
            step = await self._writer.call(steps.PURGE, (limit - removed, None))
            removed += step.rows
        return removed

    async def resource(self, resource_id: str) -> ResourceReport:
        """All of one resource."""
        return await self._reader.report(resource_id)

    async def resources(
        self, *, state: State | None = None, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[ResourceSummary]:
        """A page of resources."""
        return await self._reader.ask(self._reader.resources, state, prefix, after, limit)

    async def outputs(
        self,
        resource_id: str,
        *,
        after: int = -1,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """A page of outputs, by index."""
        return await self._reader.ask(self._reader.outputs, resource_id, webhook_id, after, limit, size)

    async def outcomes(
        self,
        resource_id: str,
        *,
        after_seq: int = 0,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """A page of outcomes, by number."""
        return await self._reader.ask(self._reader.outcomes, resource_id, webhook_id, after_seq, limit, size)

    def hint(self, resource_id: str) -> AbstractContextManager[asyncio.Event]:
        """An event that is set when the resource may have news."""
        return self._store.hints.of(resource_id)

    async def deliveries(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 100, size: int = UNBOUNDED
    ) -> DeliveryPage:
        """A page of deliveries."""
        return await self._reader.ask(self._reader.deliveries.page, wanted, after, limit, size)

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery and its history."""
        return await self._reader.ask(self._reader.deliveries.detail, delivery_id)

    async def paused(self) -> Mapping[str, Pause]:
        """The endpoints that are paused."""
        return await self._reader.ask(self._reader.deliveries.paused)

    async def due_endpoints(self) -> frozenset[str]:
        """The endpoints that have a delivery due."""
        return await self._reader.ask(self._reader.deliveries.due_endpoints)

    async def counts(self) -> Counts:
        """Return what the store holds."""
        return self._store.committed

    def watch(self, committed: Committed) -> None:
        """Tell *committed* of each commit from now on: its seconds and its size, in the thread that commits."""
        self._writer.committed = committed

    def health(self) -> str | None:
        """Return why no packets are taken, in words; `None` while they are."""
        return self._writer.health()

    def refusal(self) -> Unavailable | None:
        """Return why packets are not even to be tried: who did would wait for long. `None` while they are."""
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

    def _close(self, *, clean: bool) -> None:
        self._writer.stop()
        self._reader.close()
        gone = self._presence.gone()
        close_store(self._store, clean=clean and not gone and self._writer.writable(), gone=gone)
        self._lock.release()

    def _take_back_orphaned(self, result: object) -> None:
        """Take back what was handed to a caller who has gone."""
        handed = [*getattr(result, "runs", ()), *getattr(result, "deliveries", ())]
        if isinstance(result, list):
            handed += [item for item in result if isinstance(item, Run | Delivery)]
        leases = [lease for item in handed for lease in (item.leases() if isinstance(item, Run) else [item.lease])]
        if leases:
            self._writer.post(steps.RELEASE, (leases,))
