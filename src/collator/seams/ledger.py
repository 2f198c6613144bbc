"""THE SEAM to what must survive: the ledger.

Contract of every verb. *Atomic per resource*: each resource of a batch changes wholly or not at all, and a batch may
succeed in part, with a result for every item in the place of the item. *Durable when it returns*: what a verb says
happened survives ``kill -9`` and a power cut. *Capacity*: what a verb hands to its caller is leased to it in the same
step, never more than the capacity that the caller said it has; the rest stays due and is found by `claim`,
`claim_deliveries` and `work_due`. *Time*: the ledger owns the clock; callers pass durations. *Errors*: `Unavailable`
(and its kinds) means that nothing was stored; `Unknown`, `Ended`, `Conflict` and `Malformed` mean that nothing changed;
`Damaged`, that what is stored of this resource cannot be read, whatever the verb. Nobody else hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

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
)
from collator.packet import Packet
from collator.paging import UNBOUNDED
from collator.seams.audit import AuditLog
from collator.states import State

Capacity = Mapping[str, int]
"""For each endpoint, how many deliveries the caller can take."""


class Ledger(AuditLog, Protocol):
    """The store of all that survives a crash. Every verb is one atomic step for each resource it touches."""

    async def accept(self, packets: Sequence[Packet], *, capacity: int) -> Accepted:
        """Store the *packets* that `resource.judge` accepts, each once; answer each with its receipt, in order (R4-R9).

        The first packet of an id that is unknown, and not remembered, opens a new generation of it. Packets of one
        batch count one by one in order; between concurrent calls any order is right. At most *capacity* of them are
        handed out, and none while other packets wait for a worker: those come first.
        """
        ...

    async def claim(self, *, capacity: int) -> Sequence[Run]:
        """Lease up to *capacity* due packets of open resources, those of one resource as runs.

        Due is: waiting and its time has come, or leased and the lease has ended, which uses up an attempt. Fair:
        resources take turns, so that a resource of one packet never waits for the whole of another. After an unclean
        stop the packets that were in work come before all others. One that was in work at more than
        `LedgerLimits.side_by_side` unclean stops comes alone: nothing is handed out beside it until it has ended, or
        was in work for `LedgerLimits.alone`, four times as long after each further stop. One that was in work alone
        when the process ended, `LedgerLimits.max_deaths` times, has failed. A call may give fewer than there is room
        for, though more are due: what is handed out is bounded by its bytes too.
        """
        ...

    async def record(self, results: Sequence[Result], *, capacity: Capacity) -> StepResult:
        """Store one outcome for each task, and close what is now finished, all in the same step.

        An outcome counts once: who has lost the lease changes nothing and is told `LOST`; one for a resource that
        has ended is dropped and told `CLOSED` (R12). `Retry` makes the packet due again after its delay. An output
        that would make the body larger than `LedgerLimits.max_body` fails its packet with that reason (R19). A resource
        that finishes (R10, R16) gets its closing time, its frozen body and one delivery for each endpoint.
        """
        ...

    async def renew(self, leases: Sequence[Lease]) -> Sequence[bool]:
        """Prolong *leases* on packets by `LedgerLimits.task_lease` from now. False for each that is no longer held."""
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back what was not worked on, packets and deliveries alike: due at once, no attempt used up."""
        ...

    async def expire(self, *, accepting: bool, limit: int, capacity: Capacity) -> StepResult:
        """Close up to *limit* open resources whose idle timeout or deadline has passed, as incomplete (R13, R14).

        The time since the call before counts as idle time only where the service was *accepting*; downtime never
        does. The condition is tested again inside the step, so that a packet that came first wins (R12). Not each at
        which it looks has been silent, so `Outcome.more` and not `closed` says whether to go on.
        """
        ...

    async def work_due(self) -> bool:
        """Return whether packets are due that nobody holds: what lost hints and lost leases left behind."""
        ...

    async def claim_deliveries(
        self, endpoint: str, *, capacity: int, large: bool = False, probe: bool = False
    ) -> Sequence[Delivery]:
        """Lease up to *capacity* deliveries of *endpoint* that are due; none while it is paused.

        Where more are due, half of them are those that are longest due, and half those that have become due last, turn
        by turn over all calls: so a backlog gets smaller, and keeps nothing fresh waiting.

        Those that are not large, or those that are: what is *large* is handed out here alone, and takes the capacity of
        no other.

        For a *probe* of a receiver that fails: those that were tried least, and then those that will be due next,
        though their time has not come. So what fails again and again is not tried before others that may succeed, and
        something is tried as long as there is any. One that cannot be read, as what is stored of it is damaged, is
        dead.
        """
        ...

    def pieces(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The body of *delivery*, byte for byte the same at every call (P3), in pieces of some 256 KiB.

        Nothing of it beside a piece is in memory, and other looks have their turn between two of them. `Damaged` where
        a checksum differs, at the latest before the last byte of what it covers; `Unknown` where the delivery is gone.
        """
        ...

    async def body(self, delivery: Delivery) -> bytes:
        """The same as a whole, for who can do nothing with a part of it."""
        ...

    async def record_attempts(self, attempts: Sequence[Attempt]) -> Sequence[bool]:
        """Store how *attempts* to deliver ended. False for each that changed nothing, as its lease was lost.

        False too for one that the store could not take: it is due again when its lease ends. A delivery that
        succeeded is delivered whether or not the lease still holds (R24). The end of the last delivery of a resource
        starts its retention (R25). An attempt that `pauses` does so in the same step.
        """
        ...

    # Repair: each by a person, each safe to repeat.

    async def complete(
        self, resource_id: str, *, total: int | None = None, force: bool = False, capacity: Capacity | None = None
    ) -> StepResult:
        """Fix the *total* of an open resource, or close it now by *force* (R15).

        `Conflict` where another total is fixed or an index at or above it is there; `Unknown`. Asking the same of a
        resource that has ended changes nothing; another total is a `Conflict`. A *total* of 0 opens a resource that is
        unknown, and closes it in the same step, collated and empty (R10).
        """
        ...

    async def cancel(self, resource_id: str) -> bool:
        """End an open resource without a webhook; whether it was open. Repeating it changes nothing.

        `Ended` where it ended otherwise.
        """
        ...

    async def retry(self, resource_id: str) -> int:
        """Give the failed packets of an open resource a new set of attempts (R16); how many. `Unknown`, `Ended`.

        Many get them in several steps: `Ended` too where the resource ends between two of them.
        """
        ...

    async def replay(self, wanted: DeliveryFilter, *, after: str = "", limit: int = 1000) -> Replayed:
        """Make up to *limit* of the *wanted* deliveries that have ended due again, with the same id and bytes (R24).

        Their schedule starts anew, and their attempts go on counting. A step at a time, so that a million of them hold
        up nobody: `Replayed.after` begins the next, which leaves out what was created after the first. `Unknown` where
        an `id` or `resource_id` has no delivery.
        """
        ...

    async def give_up(self, delivery_id: str) -> bool:
        """Give up a delivery that is due: it is dead, and may be replayed; whether it was due. It is safe to repeat.

        An attempt that is under way counts only if it succeeds (R24). `Unknown`; `Ended` where it was delivered.
        """
        ...

    async def pause(self, endpoint: str, *, reason: str) -> bool:
        """Hand out nothing to *endpoint* until `resume`, over restarts; what is due stays due.

        Whether it was not paused before. Repeating it changes nothing: the first *reason* stays.
        """
        ...

    async def resume(self, endpoint: str) -> bool:
        """Hand out again what is due to *endpoint*. Whether it was paused; repeating it changes nothing."""
        ...

    async def purge(self, *, limit: int, resource_id: str | None = None) -> int:
        """Forget resources whose retention has passed, at most about *limit* rows at a time; how many rows went.

        Which indexes each of them had received, and how it ended, is remembered for `LedgerLimits.remember` more:
        meanwhile its packets are duplicate or closed, and all else that is asked of it is `Unknown`, in words (R25).
        With
        *resource_id* that resource may be forgotten at once, dead deliveries and what is remembered included;
        `Conflict` while it is open or has a delivery due. A forgotten id opens anew.
        """
        ...

    # Look: never waits for a writer, never holds a transaction across an answer.

    async def resource(self, resource_id: str) -> ResourceReport:
        """Return what a person may want to know of one resource. `Unknown`.

        Of what there is much, it has the first, and says how many more there are. Of a large resource the ranges may be
        found in several looks, so that other views have their turn meanwhile.
        """
        ...

    async def resources(
        self, *, state: State | None = None, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[ResourceSummary]:
        """Up to *limit* resources in order of id, from behind the id *after*; of *state*, with *prefix*."""
        ...

    async def outputs(
        self,
        resource_id: str,
        *,
        after: int = -1,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """Up to *limit* outputs in index order, from behind the index *after*. `Unknown`, `Damaged`.

        They have up to *size* bytes together; the first is given whatever it has, so that only the end is empty.
        `Conflict` where the resource is another generation than that of *webhook_id*.
        """
        ...

    async def outcomes(
        self,
        resource_id: str,
        *,
        after_seq: int = 0,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """As `outputs`, but outputs and failures in the order in which they were recorded, behind *after_seq* (R26).

        Who asks again behind the last `seq` that he got sees each outcome once, whatever order the indexes come in. A
        failure that `retry` withdraws is gone, and the outcome that follows has a number of its own. `Conflict` too
        where so many outcomes were never recorded.
        """
        ...

    def hint(self, resource_id: str) -> AbstractContextManager[asyncio.Event]:
        """An event that is set after each step that gave the resource an outcome or ended it, within the context.

        For who waits for news: ask for hints first, then look. A hint may be idle, and where several processes share
        a store it may be late; what there is says the look. Whoever waits clears it.
        """
        ...

    async def deliveries(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 100, size: int = UNBOUNDED
    ) -> DeliveryPage:
        """Up to *limit* deliveries that are *wanted*, in an order that stays, from where `DeliveryPage.after` says.

        They have up to *size* bytes together as JSON; where there is any, one is given whatever it has.
        Who follows `after` to the end sees every delivery that was there all the time once. `Malformed` for an *after*
        that no page gave; `Unknown` where an `id` has no delivery.
        """
        ...

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery and its history. `Unknown`."""
        ...

    async def paused(self) -> Mapping[str, Pause]:
        """The endpoints that are paused, by name."""
        ...

    async def due_endpoints(self) -> frozenset[str]:
        """The endpoints that have a delivery due, leased ones included, and are not paused."""
        ...

    async def counts(self) -> Counts:
        """Return what the store holds."""
        ...
