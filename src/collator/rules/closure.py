"""The end of a resource: which of them end, and what their end freezes. Pure; rules R10, R12 and R16 to R19, R25.

A ledger asks for the ends, looks up what an early end has to tell (`Details`), asks for the plan of each end, and
stores the plans in the step that brought them about. Outputs are immutable from then on, so that the frame of the body
is all that has to be frozen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from collator.clock import rfc3339
from collator.messages import PacketReport
from collator.rules.body import Closing, frame
from collator.rules.deliveries import purge_at
from collator.rules.footprint import of_resource
from collator.rules.resource import Ending, LedgerLimits, Ranges, Snapshot, finished, gaps
from collator.states import RESOURCE_STEPS, EndedBy, OnFailure, State, check_step

CANCELLED = Ending(State.CANCELLED, None)
PAST_DEADLINE = Ending(State.INCOMPLETE, EndedBy.DEADLINE)
SILENT = Ending(State.INCOMPLETE, EndedBy.IDLE_TIMEOUT)


class Closure(msgspec.Struct, frozen=True):
    """A resource that ends in this step."""

    snapshot: Snapshot
    ending: Ending
    known_at: float = 0.0
    """Monotonic reading when its last output was known; 0 where no output ended it."""


class Details(msgspec.Struct, frozen=True):
    """The details of an early end, which a ledger has to look up."""

    seen: Ranges = ()
    """The indexes received."""
    unfinished: Ranges = ()
    failed: Sequence[PacketReport] = ()
    """The first `body.MAX_FAILED` failures."""
    failed_more: Ranges = ()


class Former(msgspec.Struct, frozen=True):
    """The generations before that of a resource that was opened again, as its end has to know them."""

    webhook_id: str | None = None
    """That of the last of them, which the webhook supersedes (R16)."""
    due: int = 0
    """Deliveries of all of them that have not ended: retention does not begin before (R25)."""
    dead: int = 0


NOTHING_LEFT = Details()
"""The details of a resource that ends whole."""
NO_FORMER = Former()


class ClosePlan(msgspec.Struct, frozen=True):
    """The plan for the end of one resource, before it is stored."""

    snapshot: Snapshot
    """With its state and total as they are from now on."""
    ended_by: EndedBy | None
    closed_at: float
    """By the wall clock."""
    head: bytes
    """The body up to its outputs; empty where there is none."""
    tail: bytes
    seen: Ranges | None
    """The indexes received; `None` for all up to the total."""
    endpoints: Sequence[str]
    """Those that get a delivery."""
    purge_at: float | None
    """When retention ends; `None` while a delivery is due (R25)."""
    freed: int
    """What it counted as an open resource."""


def ends_of(
    snapshots: Iterable[Snapshot], on_failure: OnFailure, known_at: Mapping[int, float] | None = None
) -> list[Closure]:
    """Return the ends of those of *snapshots* that are finished; *known_at*: when outputs were known, by handle."""
    times = known_at or {}
    return [
        Closure(snapshot, ending, times.get(snapshot.key, 0.0))
        for snapshot in snapshots
        if (ending := finished(snapshot, on_failure)) is not None
    ]


def plan_close(
    closure: Closure,
    details: Details,
    *,
    endpoints: Sequence[str],
    limits: LedgerLimits,
    wall: float,
    now: float,
    former: Former | None = None,
) -> ClosePlan:
    """End the resource of *closure*, whose snapshot is changed; *endpoints* are those that match it."""
    snapshot, ending = closure.snapshot, closure.ending
    check_step(RESOURCE_STEPS, snapshot.state, ending.state)
    whole = ending.state is State.COLLATED
    if whole and snapshot.total is None:
        snapshot.total = snapshot.done
    cancelled = ending.state is State.CANCELLED
    former = former or NO_FORMER
    head, tail = (b"", b"") if cancelled else _frame(snapshot, ending, details, rfc3339(wall), former.webhook_id)
    snapshot.state = ending.state
    receivers = () if cancelled else endpoints
    return ClosePlan(
        snapshot=snapshot,
        ended_by=ending.ended_by,
        closed_at=wall,
        head=head,
        tail=tail,
        seen=None if whole else details.seen,
        endpoints=receivers,
        purge_at=purge_at(due=len(receivers) + former.due, dead=former.dead, limits=limits, now=now),
        freed=of_resource(snapshot.resource_id, snapshot.metadata),
    )


def seen_at_a_glance(snapshot: Snapshot) -> Ranges | None:
    """Return the indexes received where the snapshot tells, as nearly all do; `None` where they have to be read."""
    if snapshot.received != snapshot.highest + 1:
        return None
    return [(0, snapshot.highest)] if snapshot.received else ()


def supersedes(snapshot: Snapshot) -> bool:
    """Return whether *snapshot* may have generations before it: see `collator.rules.repair.reopen`."""
    return snapshot.withdrawn > 0


def _frame(
    snapshot: Snapshot, ending: Ending, details: Details, timestamp: str, superseded: str | None
) -> tuple[bytes, bytes]:
    end = snapshot.highest + 1 if snapshot.total is None else snapshot.total
    closing = Closing(
        resource_id=snapshot.resource_id,
        state=ending.state,
        ended_by=ending.ended_by or EndedBy.FORCED,
        timestamp=timestamp,
        total=snapshot.total,
        metadata=snapshot.metadata,
        supersedes=superseded,
        missing=() if ending.state is State.COLLATED else gaps(details.seen, end),
        unfinished=details.unfinished,
        failed=details.failed,
        failed_more=details.failed_more,
    )
    return frame(closing)
