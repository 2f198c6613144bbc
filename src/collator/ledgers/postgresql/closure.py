"""The end of a resource, inside whichever step brings it about: state, reason, closing time, frame, deliveries (R12).

Outputs are immutable from here on, so the frame of the body is all that has to be frozen. Deliveries are created due,
one for each endpoint; those that the caller has room for are leased to it, with their body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from collator.ledgers.postgresql.bodies import Frame, framed_crc
from collator.ledgers.postgresql.outbox import NewDelivery, store_ends
from collator.ledgers.postgresql.step import Step, as_json, clean
from collator.messages import PacketReport, StepResult, webhook_id, webhook_number
from collator.rules.body import MAX_FAILED, extent
from collator.rules.closure import (
    ClosePlan,
    Closure,
    Details,
    Former,
    ends_of,
    plan_close,
    seen_at_a_glance,
    supersedes,
)
from collator.rules.resource import INDEX_BITS, INDEX_MASK, Ranges, Snapshot
from collator.states import State


async def close_finished(
    step: Step, snapshots: Sequence[Snapshot], *, capacity: Mapping[str, int], known_at: Mapping[int, float]
) -> StepResult:
    """Close those of *snapshots* that are finished by the rules (R10, R16)."""
    return await close(step, ends_of(snapshots, step.ledger_limits.on_failure, known_at), capacity=capacity)


async def close(step: Step, ends: Iterable[Closure], *, capacity: Mapping[str, int]) -> StepResult:
    """End the resources of *ends*, which are locked, now."""
    rows, new_deliveries, ended = [], list[NewDelivery](), []
    limits, wall, now = step.ledger_limits, step.wall, step.now
    for end in ends:
        details = Details() if end.ending.state is State.COLLATED else await _stop_early(step, end.snapshot)
        former = await _look_back(step, end.snapshot) if supersedes(end.snapshot) else None
        wanted = step.route(end.snapshot.resource_id)
        plan = plan_close(end, details, endpoints=wanted, limits=limits, wall=wall, now=now, former=former)
        row, deliveries = _freeze(plan, end.known_at)
        rows.append(row)
        new_deliveries += deliveries
        ended.append(plan.snapshot)
        step.count(open=-1, backlog=-plan.freed, open_bytes=-plan.freed, **{plan.snapshot.state.value: 1})
    if not ended:
        return StepResult([], [], frozenset())
    step.touch(ended)
    leased, endpoints = await store_ends(step, rows, new_deliveries, capacity)
    return StepResult([], leased, endpoints, len(ended))


def _freeze(plan: ClosePlan, known_at: float) -> tuple[list[object], list[NewDelivery]]:
    """The row of the resource that ends by *plan*, and its deliveries."""
    snapshot = plan.snapshot
    head, tail = plan.head, plan.tail
    frozen = Frame(snapshot.key, snapshot.state, head, tail, framed_crc(head, tail), snapshot.done)
    whole = extent(snapshot.state, done=snapshot.done, size=snapshot.body_size, frame=len(head) + len(tail))
    row: list[object] = [
        snapshot.key,
        snapshot.state.value,
        plan.ended_by and plan.ended_by.value,
        plan.closed_at,
        None if plan.seen is None else as_json(plan.seen),
        head,
        tail,
        frozen.crc,
        snapshot.total,
        plan.purge_at,
        webhook_number(snapshot.resource_id, snapshot.generation) if plan.endpoints else None,
    ]
    new_deliveries = [
        NewDelivery(frozen, whole, snapshot.resource_id, snapshot.generation, name, known_at) for name in plan.endpoints
    ]
    return row, new_deliveries


async def _stop_early(step: Step, snapshot: Snapshot) -> Details:
    """Take back what still waits, and say what is there and what is not."""
    first, last = span(snapshot.key)
    seen = seen_at_a_glance(snapshot)
    if seen is None:
        seen = await _ranges(step, "packet_ranges", first, last)
    waiting = await _take_back(step, first, last, snapshot) if snapshot.unfinished else ()
    if not snapshot.failed:
        return Details(seen, waiting)
    rows = await step.rows("failures_of", first, last, MAX_FAILED)
    failures = [PacketReport(index, clean(reason), attempts) for index, reason, attempts in rows]
    behind = first + failures[-1].index + 1
    more = await _ranges(step, "failed_ranges", behind, last) if len(failures) == MAX_FAILED else ()
    return Details(seen, waiting, failures, more)


async def _look_back(step: Step, snapshot: Snapshot) -> Former:
    """The generations before *snapshot*, if there are any."""
    ((generation, due, dead),) = await step.rows("superseded_by", snapshot.key)
    return Former(None if generation is None else webhook_id(snapshot.resource_id, generation), due, dead)


async def _take_back(step: Step, first: int, last: int, snapshot: Snapshot) -> Ranges:
    """Let what has no outcome wait no more; its indexes."""
    size = await step.value("unfinished_size", first, last)
    step.count(waiting=-snapshot.unfinished, backlog=-size)
    await step.run("attempt_range", first, last)  # first, as a claim that is under way may make one of them wait
    await step.run("forget_waiting", snapshot.key)
    return await _ranges(step, "unfinished_ranges", first, last)


async def _ranges(step: Step, name: str, first: int, last: int) -> Ranges:
    return [(low, high) for low, high in await step.rows(name, first, last)]


def span(resource_row: int) -> tuple[int, int]:
    """The first and the last key that a packet of the resource *resource_row* can have."""
    return resource_row << INDEX_BITS, resource_row << INDEX_BITS | INDEX_MASK
