"""The end of a resource, inside whichever step brings it about: state, reason, closing time, frame, deliveries (R12).

Outputs are immutable from here on, so the frame of the body is all that has to be frozen. Deliveries are created due,
one for each endpoint; those that the caller has room for are leased to it, with their body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from collator.clock import rfc3339
from collator.ledgers.sqlite.bodies import Frame, extent, framed_crc
from collator.ledgers.sqlite.outbox import NewDelivery, create_deliveries
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import PacketReport, StepResult, webhook_number
from collator.rules.body import MAX_FAILED, Closing, frame
from collator.rules.footprint import of_resource
from collator.rules.resource import INDEX_BITS, INDEX_MASK, Ending, Ranges, Snapshot, finished, gaps, ranges
from collator.states import RESOURCE_STEPS, EndedBy, State, check_step

_decode_failures = msgspec.json.Decoder(list[tuple[int, str, int]]).decode

_LONG = 64 * 1024
"""Characters of a resource beyond which it is stored by a statement of its own."""


class Closure(msgspec.Struct, frozen=True):
    """A resource that ends in this step."""

    snapshot: Snapshot
    ending: Ending
    known_at: float = 0.0
    """Monotonic reading when its last output was known; 0 where no output ended it."""


class _Details(msgspec.Struct, frozen=True):
    """The details of an incomplete end."""

    seen: Ranges = ()
    unfinished: Ranges = ()
    failed: Sequence[PacketReport] = ()
    failed_more: Ranges = ()


def close_finished(
    store: Store, snapshots: Sequence[Snapshot], *, capacity: Mapping[str, int], known_at: Mapping[int, float]
) -> StepResult:
    """Close those of *snapshots* that are finished by the rules (R10, R16)."""
    ends = []
    for snapshot in snapshots:
        ending = finished(snapshot, store.ledger_limits.on_failure)
        if ending is not None:
            ends.append(Closure(snapshot, ending, known_at.get(snapshot.key, 0.0)))
    return close(store, ends, capacity=capacity)


def close(store: Store, ends: Iterable[Closure], *, capacity: Mapping[str, int]) -> StepResult:
    """End the resources of *ends* now, one by one as they are given."""
    wall = store.clock.wall()
    rows, new_deliveries, ended = [], [], []
    for end in ends:
        check_step(RESOURCE_STEPS, end.snapshot.state, end.ending.state)
        row, deliveries = _close_one(store, end, wall)
        rows.append(row)
        new_deliveries += deliveries
        ended.append(end.snapshot)
    if not ended:
        return StepResult([], [], frozenset())
    long = [row for row in rows if _is_long(row)]
    store.run_rows("close_resources", [row for row in rows if row not in long] if long else rows)
    for row in long:
        store.run("close_resource", *row)
    store.touch(ended)
    leased, endpoints = create_deliveries(store, new_deliveries, capacity)
    return StepResult([], leased, endpoints, len(ended))


def _is_long(row: Sequence[object]) -> bool:
    """Return whether *row* has so much text that one JSON for all columns would cost several copies of it."""
    seen, tail = str(row[4]), str(row[6])
    return len(seen) + len(tail) > _LONG


def _close_one(store: Store, end: Closure, wall: float) -> tuple[list[object], list[NewDelivery]]:
    snapshot, state = end.snapshot, end.ending.state
    details = _Details() if state is State.COLLATED else _stop_early(store, snapshot)
    if state is State.COLLATED and snapshot.total is None:
        snapshot.total = snapshot.done
    head, tail = _frame(snapshot, end.ending, details, rfc3339(wall))
    crc = framed_crc(head, tail)
    frozen = Frame(snapshot.key, state, head.decode(), tail.decode(), crc, snapshot.done)
    whole = extent(state, done=snapshot.done, size=snapshot.body_size, frame=len(head) + len(tail))
    snapshot.state = state
    taken = of_resource(snapshot.resource_id, snapshot.metadata)
    store.count(open=-1, backlog=-taken, open_bytes=-taken, **{state.value: 1})
    endpoints = [] if state is State.CANCELLED else store.route(snapshot.resource_id)
    row = [
        snapshot.key,
        state,
        end.ending.ended_by,
        wall,
        None if state is State.COLLATED else as_json(details.seen),
        frozen.head,
        frozen.tail,
        frozen.crc,
        snapshot.total,
        None if endpoints else store.now() + store.ledger_limits.retention,
        webhook_number(snapshot.resource_id, snapshot.generation) if endpoints else None,
    ]
    new_deliveries = [
        NewDelivery(frozen, whole, snapshot.resource_id, snapshot.generation, name, end.known_at) for name in endpoints
    ]
    return row, new_deliveries


def _frame(snapshot: Snapshot, ending: Ending, details: _Details, timestamp: str) -> tuple[bytes, bytes]:
    if ending.state is State.CANCELLED:
        return b"", b""
    end = snapshot.highest + 1 if snapshot.total is None else snapshot.total
    closing = Closing(
        resource_id=snapshot.resource_id,
        state=ending.state,
        ended_by=ending.ended_by or EndedBy.FORCED,
        timestamp=timestamp,
        total=snapshot.total,
        metadata=snapshot.metadata,
        missing=() if ending.state is State.COLLATED else gaps(details.seen, end),
        unfinished=details.unfinished,
        failed=details.failed,
        failed_more=details.failed_more,
    )
    return frame(closing)


def _stop_early(store: Store, snapshot: Snapshot) -> _Details:
    """Take back what still waits, and say what is there and what is not."""
    first, last = span(snapshot.key)
    dense = snapshot.received == snapshot.highest + 1  # nearly all are
    seen = [(0, snapshot.highest)][: snapshot.received] if dense else _ranges(store, "packet_keys", first, last)
    unfinished = snapshot.received - snapshot.done - snapshot.failed
    waiting = _take_back(store, first, last, unfinished) if unfinished else ()
    if not snapshot.failed:
        return _Details(seen, waiting)
    failures = _decode_failures(store.value("failures_of", first, last, MAX_FAILED).encode())
    return _Details(
        seen,
        waiting,
        [PacketReport(index, reason, attempts) for index, reason, attempts in failures],
        _ranges(store, "failed_keys_from", first + failures[-1][0] + 1, last) if len(failures) == MAX_FAILED else (),
    )


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
