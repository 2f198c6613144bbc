"""The end of a resource, inside whichever step brings it about: state, reason, closing time, frame, deliveries (R12).

Outputs are immutable from here on, so the frame of the body is all that has to be frozen. Deliveries are born due,
one for each endpoint; those that the caller has room for are leased to it, with their body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from collator.clock import rfc3339
from collator.collation import MAX_FAILED, Closing, frame
from collator.engines.embedded.bodies import Frame, extent, framed_crc
from collator.engines.embedded.outbox import Born, bear
from collator.engines.embedded.store import INDEX_BITS, INDEX_MASK, Store, as_json
from collator.exchange import Outcome, PacketReport, webhook_number
from collator.footprint import of_resource
from collator.resource import Ending, Ranges, Standing, finished, gaps, ranges
from collator.states import RESOURCE_STEPS, EndedBy, State, check_step

_decode_failures = msgspec.json.Decoder(list[tuple[int, str, int]]).decode

_LONG = 64 * 1024
"""Characters of a resource beyond which it is stored by a statement of its own."""


class End(msgspec.Struct, frozen=True):
    """A resource that ends in this step."""

    standing: Standing
    ending: Ending
    known_at: float = 0.0
    """Monotonic reading when its last output was known; 0 where no output ended it."""


class _Details(msgspec.Struct, frozen=True):
    """What an end that is not whole has to say."""

    seen: Ranges = ()
    unfinished: Ranges = ()
    failed: Sequence[PacketReport] = ()
    failed_more: Ranges = ()


def close_finished(
    store: Store, standings: Sequence[Standing], *, room: Mapping[str, int], known_at: Mapping[int, float]
) -> Outcome:
    """Close those of *standings* that are finished by the rules (R10, R16)."""
    ends = []
    for standing in standings:
        ending = finished(standing, store.terms.on_failure)
        if ending is not None:
            ends.append(End(standing, ending, known_at.get(standing.key, 0.0)))
    return close(store, ends, room=room)


def close(store: Store, ends: Iterable[End], *, room: Mapping[str, int]) -> Outcome:
    """End the resources of *ends* now, one by one as they are given."""
    wall = store.clock.wall()
    rows, born, ended = [], [], []
    for end in ends:
        check_step(RESOURCE_STEPS, end.standing.state, end.ending.state)
        row, deliveries = _close_one(store, end, wall)
        rows.append(row)
        born += deliveries
        ended.append(end.standing)
    if not ended:
        return Outcome([], [], frozenset())
    long = [row for row in rows if _is_long(row)]
    store.run_rows("close_resources", [row for row in rows if row not in long] if long else rows)
    for row in long:
        store.run("close_resource", *row)
    store.touch(ended)
    leased, endpoints = bear(store, born, room)
    return Outcome([], leased, endpoints, len(ended))


def _is_long(row: Sequence[object]) -> bool:
    """Whether *row* has so much text that one JSON for all columns would cost several copies of it."""
    seen, tail = str(row[4]), str(row[6])
    return len(seen) + len(tail) > _LONG


def _close_one(store: Store, end: End, wall: float) -> tuple[list[object], list[Born]]:
    standing, state = end.standing, end.ending.state
    details = _Details() if state is State.COLLATED else _stop_early(store, standing)
    if state is State.COLLATED and standing.total is None:
        standing.total = standing.done
    head, tail = _frame(standing, end.ending, details, rfc3339(wall))
    crc = framed_crc(head, tail)
    frozen = Frame(standing.key, state, head.decode(), tail.decode(), crc, standing.done)
    whole = extent(state, done=standing.done, size=standing.body_size, frame=len(head) + len(tail))
    standing.state = state
    taken = of_resource(standing.resource_id, standing.metadata)
    store.count(open=-1, backlog=-taken, open_bytes=-taken, **{state.value: 1})
    endpoints = [] if state is State.CANCELLED else store.route(standing.resource_id)
    row = [
        standing.key,
        state,
        end.ending.ended_by,
        wall,
        None if state is State.COLLATED else as_json(details.seen),
        frozen.head,
        frozen.tail,
        frozen.crc,
        standing.total,
        None if endpoints else store.now() + store.terms.retention,
        webhook_number(standing.resource_id, standing.generation) if endpoints else None,
    ]
    born = [Born(frozen, whole, standing.resource_id, standing.generation, name, end.known_at) for name in endpoints]
    return row, born


def _frame(standing: Standing, ending: Ending, details: _Details, timestamp: str) -> tuple[bytes, bytes]:
    if ending.state is State.CANCELLED:
        return b"", b""
    end = standing.highest + 1 if standing.total is None else standing.total
    closing = Closing(
        resource_id=standing.resource_id,
        state=ending.state,
        ended_by=ending.ended_by or EndedBy.FORCED,
        timestamp=timestamp,
        total=standing.total,
        metadata=standing.metadata,
        missing=() if ending.state is State.COLLATED else gaps(details.seen, end),
        unfinished=details.unfinished,
        failed=details.failed,
        failed_more=details.failed_more,
    )
    return frame(closing)


def _stop_early(store: Store, standing: Standing) -> _Details:
    """Take back what still waits, and say what is there and what is not."""
    first, last = span(standing.key)
    dense = standing.received == standing.highest + 1  # nearly all are
    seen = [(0, standing.highest)][: standing.received] if dense else _ranges(store, "packet_keys", first, last)
    unfinished = standing.received - standing.done - standing.failed
    waiting = _take_back(store, first, last, unfinished) if unfinished else ()
    if not standing.failed:
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


def span(rk: int) -> tuple[int, int]:
    """The first and the last key that a packet of the resource *rk* can have."""
    return rk << INDEX_BITS, rk << INDEX_BITS | INDEX_MASK
