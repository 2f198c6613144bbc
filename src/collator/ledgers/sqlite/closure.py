"""The end of a resource, inside whichever step brings it about: state, reason, closing time, frame, deliveries (R12).

Outputs are immutable from here on, so the frame of the body is all that has to be frozen. Deliveries are created due,
one for each endpoint; those that the caller has room for are leased to it, with their body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from collator.ledgers.sqlite.bodies import Frame, framed_crc
from collator.ledgers.sqlite.outbox import NewDelivery, create_deliveries
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import PacketReport, StepResult, webhook_id, webhook_number
from collator.rules.body import MAX_FAILED, extent
from collator.rules.closure import (
    NOTHING_LEFT,
    ClosePlan,
    Closure,
    Details,
    Former,
    ends_of,
    plan_close,
    seen_at_a_glance,
    supersedes,
)
from collator.rules.resource import INDEX_BITS, INDEX_MASK, Ranges, Snapshot, ranges
from collator.states import EndedBy, State

_EndRow = tuple[
    int, State, EndedBy | None, int | None, int, int, int, float | None, int | None, int, str, str, str | None
]
"""What is written of a resource that ends, as `close_resources` has it."""
_decode_failures = msgspec.json.Decoder(list[tuple[int, str, int]]).decode

_LONG = 64 * 1024
"""Characters of a resource beyond which it is stored by a statement of its own."""


def close_finished(
    store: Store, snapshots: Sequence[Snapshot], *, capacity: Mapping[str, int], known_at: Mapping[int, float]
) -> StepResult:
    """Close those of *snapshots* that are finished by the rules (R10, R16)."""
    return close(store, ends_of(snapshots, store.ledger_limits.on_failure, known_at), capacity=capacity)


def close(store: Store, ends: Iterable[Closure], *, capacity: Mapping[str, int]) -> StepResult:
    """End the resources of *ends* now, one by one as they are given."""
    rows: list[_EndRow] = []
    long: list[_EndRow] = []
    new_deliveries: list[NewDelivery] = []
    ended: list[Snapshot] = []
    freed = 0
    limits, wall, now = store.ledger_limits, store.wall, store.now
    for end in ends:
        details = NOTHING_LEFT if end.ending.state is State.COLLATED else _stop_early(store, end.snapshot)
        wanted = store.route(end.snapshot.resource_id)
        former = _look_back(store, end.snapshot) if supersedes(end.snapshot) else None
        plan = plan_close(end, details, endpoints=wanted, limits=limits, wall=wall, now=now, former=former)
        row, deliveries = _freeze(plan, end.known_at)
        (long if _is_long(row) else rows).append(row)
        new_deliveries += deliveries
        ended.append(plan.snapshot)
        freed += plan.freed
    if not ended:
        return StepResult([], [], frozenset())
    store.run_rows("close_resources", rows, wall)
    for row in long:
        store.run_rows("close_resources", [row], wall)
    store.touch(ended)
    states: dict[str, int] = {}
    for snapshot in ended:
        states[str(snapshot.state)] = states.get(str(snapshot.state), 0) + 1
    store.count(open=-len(ended), backlog=-freed, open_bytes=-freed, due=len(new_deliveries), **states)
    leased, endpoints = create_deliveries(store, new_deliveries, capacity)
    return StepResult([], leased, endpoints, len(ended))


def _is_long(row: _EndRow) -> bool:
    """Return whether *row* has so much text that one JSON for all columns would cost several copies of it."""
    tail, seen = row[-2:]
    return len(tail) + len(seen or "") > _LONG


def _freeze(plan: ClosePlan, known_at: float) -> tuple[_EndRow, list[NewDelivery]]:
    """The row of the resource that ends by *plan*, and its deliveries."""
    snapshot, head, tail = plan.snapshot, plan.head, plan.tail
    frozen = Frame(snapshot.key, snapshot.state, head, tail, framed_crc(head, tail), snapshot.done)
    whole = extent(snapshot.state, done=snapshot.done, size=snapshot.body_size, frame=len(head) + len(tail))
    row = (
        snapshot.key,
        snapshot.state,
        plan.ended_by,
        snapshot.total,
        snapshot.done,
        snapshot.failed,
        snapshot.body_size,
        plan.purge_at,
        webhook_number(snapshot.resource_id, snapshot.generation) if plan.endpoints else None,
        frozen.crc,
        head.decode(),
        tail.decode(),
        None if plan.seen is None else as_json(plan.seen),
    )
    new_deliveries = [
        NewDelivery(frozen, whole, snapshot.resource_id, snapshot.generation, name, known_at, snapshot.outputs)
        for name in plan.endpoints
    ]
    return row, new_deliveries


def _stop_early(store: Store, snapshot: Snapshot) -> Details:
    """Take back what still waits, and say what is there and what is not."""
    first, last = span(snapshot.key)
    seen = seen_at_a_glance(snapshot)
    if seen is None:
        seen = _ranges(store, "packet_keys", first, last)
    waiting = _take_back(store, first, last, snapshot.unfinished) if snapshot.unfinished else ()
    if not snapshot.failed:
        return Details(seen, waiting)
    failures = _decode_failures(store.value("failures_of", first, last, MAX_FAILED).encode())
    return Details(
        seen,
        waiting,
        [PacketReport(index, reason, attempts) for index, reason, attempts in failures],
        _ranges(store, "failed_keys_from", first + failures[-1][0] + 1, last) if len(failures) == MAX_FAILED else (),
    )


def _look_back(store: Store, snapshot: Snapshot) -> Former:
    """The generations before *snapshot*, if there are any."""
    generation, due, dead = store.value("superseded_by", snapshot.key)
    try:
        webhook = None if generation is None else webhook_id(snapshot.resource_id, bytes.fromhex(generation))
    except ValueError:  # it is damaged, as `collator check` says: the end of its resource does not wait for it
        webhook = None
    return Former(webhook, due, dead)


def _take_back(store: Store, first: int, last: int, unfinished: int) -> Ranges:
    """Let what has no outcome wait no more; its indexes."""
    store.count(waiting=-unfinished, backlog=-store.value("unfinished_size", first, last))
    store.ready -= store.run("ready_range", first, last)
    store.suspects -= store.value("suspects_range", first, last)
    store.run("attempt_range", first, last)
    return _ranges(store, "unfinished_keys", first, last)


def _ranges(store: Store, name: str, first: int, last: int) -> Ranges:
    keys = store.connection.execute(store.statements[name], (first, last))
    return ranges(key & INDEX_MASK for (key,) in keys)


def span(resource_row: int) -> tuple[int, int]:
    """The first and the last key that a packet of the resource *resource_row* can have."""
    return resource_row << INDEX_BITS, resource_row << INDEX_BITS | INDEX_MASK
