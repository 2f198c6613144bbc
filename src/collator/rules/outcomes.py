"""The plan of results: what each does to its packet and its resource. Pure; rules R2, R12, R19, R26 and P2.

The lease decides who may speak: a result whose lease is lost changes nothing, and so does one for a resource that has
ended (R12). An output that would make the body too large fails its packet (R19). Every outcome gets the next number of
its resource (R26). An attempt that ended for no fault of the packet is not used up (R27).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from collator.messages import AnyResult, Failure, Key, Output, Recorded, Retry, RunOutputs
from collator.rules.footprint import of_packet, of_packets
from collator.rules.resource import INDEX_BITS, Snapshot
from collator.states import State


class LeasedRun(Protocol):
    """Packets of one resource that were leased together, as their leases know them; each is at a position."""

    resource_row: int
    indexes: Sequence[int]
    sizes: Sequence[int]
    """Bytes of their payloads."""
    used: Sequence[int | None]
    """Attempts that each has used up, `None` of one on which the store has no row; empty where it has none at all."""


class Outcomes(msgspec.Struct, gc=False):
    """Outputs of one resource, or one failure."""

    resource_row: int
    seq: int
    """The number of the first in its resource; those of the others follow it."""
    attempts: int
    """Of each of them, with the one that brought the outcome."""
    indexes: list[int]
    outputs: list[bytes]
    """In the same order; none of a failure."""
    reason: str | None = None
    """Of a failure."""


class _Came(NamedTuple):
    """What came of packets, in columns."""

    answers: list[bytes | Failure | Retry]
    """Their outputs, or what else."""
    known_at: list[float]
    """As that of an `Output`; 0 of what is none."""


class _Packet(msgspec.Struct, gc=False):
    """A packet of a run, where it is looked at by itself."""

    index: int
    size: int
    used: int | None


Reported = tuple[LeasedRun, Sequence[int], Sequence[int]]
"""A run of which some leases were held until now: the positions of these packets, and the places of their results."""
T = TypeVar("T")
_TOGETHER = 2
"""Results from which it takes less time to take them together."""


class OutcomePlan(msgspec.Struct):
    """The plan for a batch of results, before any of it is stored."""

    statuses: list[Recorded] = []
    """One for each packet of the reports, in order."""
    outcomes: list[Outcomes] = []
    """Those of each resource in the order of their numbers."""
    concluded: int = 0
    """The number of packets that got an outcome."""
    output_bytes: int = 0
    """Bytes of the outputs among them."""
    retries: list[tuple[int, int, float, str]] = []
    """Key, attempts used up, when it is due again, reason."""
    tried: list[int] = []
    """Packets whose row on earlier attempts can go."""
    failed: dict[int, Key] = {}
    """Packets that have failed for good, by the place of what was reported."""
    touched: dict[int, Snapshot] = {}
    """Snapshots that got outcomes, by handle."""
    known_at: dict[int, float] = {}
    """When the last output of each of them was known."""
    backlog: int = 0
    """What these packets counted as backlog."""


def plan_results(
    reports: Sequence[AnyResult],
    reported: Iterable[Reported],
    snapshots: Mapping[int, Snapshot],
    *,
    max_body: int,
    now: float,
) -> OutcomePlan:
    """Decide *reports*, as far as they are *reported* for packets that were held: of the others the lease is lost.

    As packet by packet, those of each run in their order; *snapshots*, by handle, change as they go on.
    """
    came = _came(reports)
    plan = OutcomePlan(statuses=[Recorded.LOST] * len(came.answers))
    for one in reported:
        run, positions, places = one
        snapshot = snapshots.get(run.resource_row)
        if snapshot is None or snapshot.state is not State.OPEN:
            for place in places:
                plan.statuses[place] = Recorded.CLOSED
            continue
        if len(places) < _TOGETHER or not _conclude_together(plan, one, came, snapshot, max_body):
            for position, place in zip(positions, places, strict=True):
                packet = _Packet(run.indexes[position], run.sizes[position], run.used[position] if run.used else None)
                _decide(plan, place, packet, came, snapshot, max_body=max_body, now=now)
    return plan


def taken(column: Sequence[T], places: Sequence[int]) -> list[T]:
    """Return the items of *column* at *places*."""
    if isinstance(places, range):
        return [*column[places.start : places.stop]]
    return [column[place] for place in places]


def _came(reports: Iterable[AnyResult]) -> _Came:
    """The columns of *reports*."""
    answers: list[bytes | Failure | Retry] = []
    known_at: list[float] = []
    for report in reports:
        if isinstance(report, RunOutputs):
            answers += report.outputs
            known_at += [report.known_at] * len(report.outputs)
        else:
            answers.append(report.output if isinstance(report, Output) else report)
            known_at.append(report.known_at if isinstance(report, Output) else 0.0)
    return _Came(answers, known_at)


def _conclude_together(plan: OutcomePlan, reported: Reported, came: _Came, snapshot: Snapshot, max_body: int) -> bool:
    """Give the packets that are *reported* their outputs at once, if nothing is odd about any of them.

    Returns whether it is so.
    """
    run, positions, places = reported
    outputs = [answer for answer in taken(came.answers, places) if type(answer) is bytes]
    size = sum(map(len, outputs))
    if run.used or len(outputs) < len(places) or snapshot.body_size + size + len(outputs) > max_body:
        return False
    for place in places:
        plan.statuses[place] = Recorded.RECORDED
    _add(plan, Outcomes(snapshot.key, snapshot.seq + 1, 1, taken(run.indexes, positions), outputs), snapshot)
    plan.output_bytes += size
    plan.known_at[snapshot.key] = came.known_at[places[-1]]
    plan.backlog += of_packets(taken(run.sizes, positions))
    snapshot.done += len(outputs)
    snapshot.body_size += size + len(outputs)
    return True


def _decide(
    plan: OutcomePlan, place: int, packet: _Packet, came: _Came, snapshot: Snapshot, *, max_body: int, now: float
) -> None:
    """Decide what *came* at *place* for a *packet* of *snapshot*."""
    answer = came.answers[place]
    plan.statuses[place] = Recorded.RECORDED
    key, used = snapshot.key << INDEX_BITS | packet.index, packet.used or 0
    if isinstance(answer, Retry):
        plan.retries.append((key, used + answer.counted, now + answer.delay, answer.reason))
        return
    if packet.used is not None:
        plan.tried.append(key)
    outcome = Outcomes(snapshot.key, snapshot.seq + 1, used + 1, [packet.index], [])
    if isinstance(answer, Failure):
        outcome.reason = answer.reason
    elif (size := snapshot.body_size + len(answer) + 1) > max_body:
        outcome.reason = f"the collated body would have {size} bytes, more than {max_body} (max_body)"
    else:
        outcome.outputs.append(answer)
        snapshot.done += 1
        snapshot.body_size = size
        plan.output_bytes += len(answer)
        plan.known_at[snapshot.key] = came.known_at[place]
    if outcome.reason is not None:
        snapshot.failed += 1
        plan.failed[place] = Key(snapshot.resource_id, snapshot.generation, packet.index)
    plan.backlog += of_packet(packet.size)
    _add(plan, outcome, snapshot)


def _add(plan: OutcomePlan, outcomes: Outcomes, snapshot: Snapshot) -> None:
    plan.outcomes.append(outcomes)
    plan.concluded += len(outcomes.indexes)
    plan.touched[snapshot.key] = snapshot
