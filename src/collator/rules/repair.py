"""The wishes of people for a resource: complete, cancel, retry, purge. Pure; rules R15, R16 and R25.

Each is tested against the snapshot as it stands in the step that carries it out (R12): a contradiction is raised in
words for the one who asked, and nothing has changed then.
"""

from __future__ import annotations

import msgspec

from collator.errors import Conflict, Ended, Malformed, Unavailable
from collator.messages import Counts
from collator.packet import PacketLimits
from collator.rules.footprint import of_resource
from collator.rules.resource import Ending, LedgerLimits, Snapshot, finished, forced
from collator.states import PACKET_STEPS, RESOURCE_STEPS, EndedBy, OnFailure, PacketState, State, check_step

MAX_SUPERSEDED = 100
"""Generations of one resource that are kept beside the last: how often it can be opened again."""


class CompletionPlan(msgspec.Struct, frozen=True):
    """The plan for a completion."""

    fixes: bool = False
    """Whether the total was not known before."""
    ending: Ending | None = None
    """How the resource ends; `None` where it goes on, or has ended before."""


def check_total(total: int | None, packet_limits: PacketLimits) -> None:
    """Raise `Malformed` for a *total* that no resource can have."""
    if total is not None and not 0 <= total <= packet_limits.max_packets:
        raise Malformed(f"total: {total} is not between 0 and {packet_limits.max_packets}")


def plan_completion(snapshot: Snapshot, total: int | None, *, force: bool, on_failure: OnFailure) -> CompletionPlan:
    """Fix *total* in *snapshot*, if given, and end it where it is finished then, or by *force* (R15). `Conflict`.

    Repeating what was said before changes nothing, also once it has ended.
    """
    if total is not None and snapshot.total not in (None, total):
        raise Conflict(f"the total {total} contradicts the known total {snapshot.total}")
    fixes = total is not None and snapshot.total is None
    if snapshot.state is not State.OPEN:
        if fixes:
            raise Conflict(f"the resource has ended ({snapshot.state}) without a total")
        return CompletionPlan()
    if total is not None and fixes:
        if total <= snapshot.highest:
            raise Conflict(f"the total {total} contradicts the stored index {snapshot.highest}")
        snapshot.total, snapshot.total_by = total, EndedBy.TOTAL
    ending = finished(snapshot, on_failure)
    return CompletionPlan(fixes, forced(snapshot) if ending is None and force else ending)


def cancels(snapshot: Snapshot) -> bool:
    """Return whether a cancellation ends *snapshot*; False where it was cancelled before. `Ended`."""
    if snapshot.state not in (State.OPEN, State.CANCELLED):
        raise Ended(f"resource {snapshot.resource_id!r} has ended ({snapshot.state}); it cannot be cancelled")
    return snapshot.state is State.OPEN


def retries(snapshot: Snapshot) -> bool:
    """Return whether *snapshot*, which is open, has failed packets that a retry gives a new set of attempts (R16).

    `Ended` where it has ended meanwhile.
    """
    if snapshot.state is not State.OPEN:
        raise Ended(f"resource {snapshot.resource_id!r} has ended ({snapshot.state}) during the retry; repeat it")
    check_step(PACKET_STEPS, PacketState.FAILED, PacketState.WAITING)
    return snapshot.failed > 0


def check_reopening(snapshot: Snapshot, *, superseded: int) -> None:
    """Raise `Ended` unless a retry opens *snapshot*, which has ended, again (R16).

    That mends what ended with packets that it had received and that have no output: they failed, or were not finished
    as it ended. *superseded*: how many generations there are before this one.
    """
    ended = f"resource {snapshot.resource_id!r} has ended ({snapshot.state})"
    if snapshot.state is State.CANCELLED:
        raise Ended(f"{ended}; a resource that was cancelled cannot be retried")
    if snapshot.received == snapshot.done:
        raise Ended(f"{ended}; there is nothing to retry: each packet received has an output")
    if superseded >= MAX_SUPERSEDED:
        raise Ended(f"{ended} after {superseded} retries, and cannot be retried again; purge it to send it anew")


def check_limits(snapshot: Snapshot, size: int, *, counts: Counts, limits: LedgerLimits) -> int:
    """The size that *snapshot* counts once it is open, without the *size* that its packets count which wait then (R9).

    `Unavailable` where a limit does not allow it: of open resources, or of the backlog. `Ended` where it can never fit.
    """
    growth = of_resource(snapshot.resource_id, snapshot.metadata)
    if size + growth > limits.max_backlog:
        raise Ended(
            f"resource {snapshot.resource_id!r} has ended ({snapshot.state}); its packets without an output count "
            f"{size + growth} bytes, more than the whole backlog may have (max_backlog)"
        )
    if counts.open >= limits.max_open:
        raise Unavailable(f"the limit of {limits.max_open} open resources is reached (max_open)")
    if counts.backlog + size + growth > limits.max_backlog:
        raise Unavailable(f"the backlog of {counts.backlog} bytes is near its limit (max_backlog)")
    return growth


def reopen(snapshot: Snapshot, generation: bytes, *, withdrawn: int) -> int:
    """Let *snapshot* go on as the new *generation*, with its outputs alone; how many packets wait again (R11, R16).

    *withdrawn*: its numbers that were withdrawn before. Those of its failures are too, and one more (R26): so each
    resource that supersedes a generation has some, and no other has to be asked at its end.
    """
    check_step(RESOURCE_STEPS, snapshot.state, State.OPEN)
    snapshot.state, snapshot.generation = State.OPEN, generation
    snapshot.withdrawn = withdrawn + snapshot.failed + 1
    snapshot.failed, snapshot.seen = 0, ()
    return snapshot.unfinished


def check_purge(snapshot: Snapshot, *, due: int) -> None:
    """Raise `Conflict` unless *snapshot*, which has *due* deliveries, may be forgotten at once (R25)."""
    if snapshot.state is State.OPEN:
        raise Conflict(f"resource {snapshot.resource_id!r} is open; cancel it first")
    if due:
        raise Conflict(f"resource {snapshot.resource_id!r} has a due delivery; give it up first")


def withdraw(snapshot: Snapshot, number: int) -> None:
    """Take *number* failures of *snapshot* back; their numbers are not given again (R26)."""
    snapshot.failed -= number
    snapshot.withdrawn += number
