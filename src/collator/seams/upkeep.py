"""THE SEAM to upkeep and repair: what time and people ask of a ledger.

The contract that all verbs share is that of `collator.seams.ledger`.
"""

from __future__ import annotations

from typing import Protocol

from collator.messages import (
    DeliveryFilter,
    Replayed,
    ResourceFilter,
    RetriedResources,
    StepResult,
)
from collator.seams.capacity import Capacity


class Upkeep(Protocol):
    """What time brings about. Every node asks for it now and then; several at once do no more than one."""

    async def expire(self, *, accepting: bool, limit: int, capacity: Capacity, operation: str = "") -> StepResult:
        """Close up to *limit* open resources whose idle timeout or deadline has passed, as incomplete (R13, R14).

        The time since the call before counts as idle time only where the service was *accepting*; downtime never
        does. The condition is tested again inside the step, so that a packet that came first wins (R12). Not each at
        which it looks has been silent, so `StepResult.more` and not `closed` says whether to go on.
        """
        ...

    async def work_due(self) -> bool:
        """Return whether packets are due that nobody holds: what lost hints and lost leases left behind."""
        ...

    async def purge(self, *, limit: int, resource_id: str | None = None, operation: str = "") -> int:
        """Forget resources whose retention has passed, at most about *limit* rows at a time; how many rows went.

        Fewer than *limit* where nothing is left to forget. Several ledgers forget as many each. Under an unbroken load
        what is due goes as fast as it comes.

        Which indexes each of them had received, and how it ended, is remembered for `LedgerLimits.remember` more:
        meanwhile its packets are duplicate or closed, and all else that is asked of it is `Unknown`, in words (R25).
        With *resource_id* that resource may be forgotten at once, dead deliveries and what is remembered included;
        `Conflict` while it is open or has a delivery due. A forgotten id opens anew.
        """
        ...


class Repair(Protocol):
    """What people ask for. Each verb is safe to repeat."""

    async def complete(
        self,
        resource_id: str,
        *,
        total: int | None = None,
        force: bool = False,
        capacity: Capacity | None = None,
        operation: str = "",
    ) -> StepResult:
        """Fix the *total* of an open resource, or close it now by *force* (R15).

        `Conflict` where another total is fixed or an index at or above it is there; `Unknown`. Asking the same of a
        resource that has ended changes nothing; another total is a `Conflict`. A *total* of 0 opens a resource that is
        unknown, and closes it in the same step, collated and empty (R10).
        """
        ...

    async def cancel(self, resource_id: str, *, operation: str = "") -> bool:
        """End an open resource without a webhook; whether it was open. Repeating it changes nothing.

        `Ended` where it ended otherwise.
        """
        ...

    async def retry(self, resource_id: str, *, operation: str = "") -> int:
        """Give the failed packets of a resource a new set of attempts (R16); how many packets. `Unknown`, `Ended`.

        Of an *open* resource many get them in several steps: `Ended` too where it ends between two of them.

        One that has ended as incomplete is *opened again*, in one step, if packets that it had received have no output:
        they failed, or were not finished as it ended. It is a new generation of the same packets (R11), with its
        outputs, their numbers and its total as they were; what has no output waits, also what somebody is still at
        work on under a lease, which is lost. Idle timeout and deadline begin anew. Its webhook has a new id, and
        `supersedes` the one before. What was to be delivered of the generation before is delivered, or may be
        replayed, under its id and byte for byte, as if nothing had been retried; retention runs from the end of the
        last delivery of all generations. `Ended`, in words, for all others, and for one that has
        `rules.repair.MAX_SUPERSEDED` generations. `Unavailable` where a limit of open resources or of the backlog
        allows no other (R9).
        """
        ...

    async def retry_all(
        self, wanted: ResourceFilter, *, after: str = "", limit: int = 256, operation: str = ""
    ) -> RetriedResources:
        """Retry those of up to *limit* resources, in order of id, that are *wanted*; each as `retry` does.

        A step at a time: `RetriedResources.after` begins the next, which leaves out resources that came after the
        first. One that somebody else retried since it was found is left as it is, and so is one that cannot be opened
        again. Where a limit allows no other, `after` begins with that one: `Unavailable` where it is the first.
        `Malformed` for an *after* that no step gave. `Views.unfinished` finds them, and changes nothing.
        """
        ...

    async def replay(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 1000, operation: str = ""
    ) -> Replayed:
        """Make up to *limit* of the *wanted* deliveries that have ended due again, with the same id and bytes (R24).

        Their schedule starts anew, and their attempts go on counting. A step at a time, so that a million of them hold
        up nobody: `Replayed.after` begins the next, which leaves out what was created after the first. Where a part of
        the ledger is away, `after` begins with it: `Unavailable` where it is the first. `Unknown` where an `id` or
        `resource_id` has no delivery.
        """
        ...

    async def give_up(self, delivery_id: str, *, operation: str = "") -> bool:
        """Give up a delivery that is due: it is dead, and may be replayed; whether it was due. It is safe to repeat.

        An attempt that is under way counts only if it succeeds (R24). `Unknown`; `Ended` where it was delivered.
        """
        ...

    async def pause(self, endpoint: str, *, reason: str, operation: str = "") -> bool:
        """Hand out nothing to *endpoint* until `resume`, over restarts; what is due stays due.

        Whether it was not paused before. Repeating it changes nothing: the first *reason* stays.
        """
        ...

    async def resume(self, endpoint: str, *, operation: str = "") -> bool:
        """Hand out again what is due to *endpoint*. Whether it was paused; repeating it changes nothing."""
        ...
