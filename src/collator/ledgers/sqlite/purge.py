"""Deletion of resources after their retention, or at once by a person, and of tombstones (R25).

Small resources go as sets, in one unit of a slice: a statement for each table costs as much as the rows of several of
them. One that is large goes in pieces.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

from collator.ledgers.repair_steps import PurgeResult
from collator.ledgers.sqlite import audit, tombstones
from collator.ledgers.sqlite.closure import span
from collator.ledgers.sqlite.lookup import look_for
from collator.ledgers.sqlite.slices import BYTES, ROWS, Slice
from collator.ledgers.sqlite.store import Store, as_json
from collator.ledgers.sqlite.vacuum import shrink
from collator.rules.repair import check_purge
from collator.rules.resource import ranges

SET = 64
"""Resources in a set: more take hardly less time for each."""
PACKETS = 1024
"""Packets of a set: 64 resources of 16, in 3 ms."""

WORTH = 32
"""Packets for which a statement of their own takes less time than theirs in one for all."""


class _Due(NamedTuple):
    """A resource that is to be forgotten."""

    resource_row: int
    state: str
    received: int
    size: int
    """Bytes of its outputs."""
    purging: int


_decode_due = msgspec.json.Decoder(list[_Due]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode


def purge(store: Store, limit: int, resource_id: str | None) -> PurgeResult:
    """Forget what may be forgotten, about *limit* rows at most, as long as a slice lasts.

    Where the step before left something due, a slice lasts until as many rows are gone as others have written since. So
    what is due does not grow, however long a step waits for its turn.
    """
    changes = store.connection.total_changes
    time = store.slice(owed=0 if store.purged_until is None else changes() - store.purged_until)
    result = _purge(store, time, limit, resource_id)
    store.purged_until = changes() if result.more else None
    return result


def _purge(store: Store, time: Slice, limit: int, resource_id: str | None) -> PurgeResult:
    removed = 0 if resource_id is None else _purge_now(store, resource_id)
    due: Sequence[_Due] = ()
    while removed < limit and time.lasts(removed):
        due = due or _decode_due(store.value("purge_due", store.now, SET).encode())
        if not due:
            return _purge_little(store, time, removed, limit)
        if small := _small(store, due, min(PACKETS, limit - removed)):
            removed += _purge_set(store, small)
            due = due[len(small) :]
        else:
            removed += _purge_pieces(store, time, due[0], limit - removed)
            due = ()
    return PurgeResult(removed, more=True)


def _small(store: Store, due: Sequence[_Due], rows: int) -> Sequence[_Due]:
    """The first of *due* that make a unit: *rows* packets and `BYTES` at most; none where the first is too large."""
    fit = _fitting([one.received for one in due], rows)
    fit = _fitting([one.size for one in due[:fit]], BYTES)
    if not fit:
        return ()
    payloads = _decode_numbers(store.value("payload_bytes", as_json([one.resource_row for one in due[:fit]])).encode())
    return due[: _fitting([one.size + size for one, size in zip(due, payloads, strict=False)], BYTES)]


def _fitting(sizes: Sequence[int], most: int) -> int:
    """The number of *sizes*, from the first on, that are *most* together."""
    return bisect_right([*accumulate(sizes)], most)


def _purge_set(store: Store, due: Sequence[_Due]) -> int:
    """Forget the resources *due*, of which little or nothing is left but their own rows; how many rows went."""
    rows = [one.resource_row for one in due]
    resource_rows = as_json(rows)
    removed = store.run("delete_outruns", resource_rows) + _delete_packets(store, due, resource_rows)
    tombstones.leave(store, [one.resource_row for one in due if one.purging != tombstones.BY_PERSON])
    superseded = _decode_numbers(store.value("superseded_handles", resource_rows).encode())
    handles = as_json(rows + superseded)
    dead, logged = store.value("dead_of", handles)
    gone = Counter(one.state for one in due)
    store.count(dead=-dead, **{state: -number for state, number in gone.items()})
    if logged:
        removed += store.run("delete_log", handles)
    if superseded:
        removed += store.run("delete_superseded", resource_rows)
    return removed + store.run("delete_deliveries", handles) + store.run("delete_resources", resource_rows)


def _delete_packets(store: Store, due: Sequence[_Due], resource_rows: str) -> int:
    """Delete the packets of *due*: of neighbours together, where that takes few statements; how many they were.

    *resource_rows* are all their rows, as JSON.
    """
    neighbours = ranges(sorted([one.resource_row for one in due]))
    if sum([one.received for one in due]) < WORTH * len(neighbours):
        return store.run("delete_packets", resource_rows)
    return sum([store.run("delete_packet_range", span(first)[0], span(last)[1]) for first, last in neighbours])


def _purge_pieces(store: Store, time: Slice, due: _Due, limit: int) -> int:
    """Forget the resource *due*, or as many of its rows as there is time for; how many rows went."""
    first, last = span(due.resource_row)
    removed = 0
    while rows := (
        store.run("purge_outruns", due.resource_row, min(ROWS, limit - removed), BYTES)
        or store.run("purge_packets", first, last, min(ROWS, limit - removed), BYTES)
    ):
        removed += rows
        if removed >= limit or not time.lasts():
            store.run("purge_begins", due.resource_row)
            return removed
    return removed + _purge_set(store, [due])


def _purge_little(store: Store, time: Slice, removed: int, limit: int) -> PurgeResult:
    """Forget old tombstones, where no resource is to be forgotten, and then give space back to the disk."""
    while removed < limit and time.lasts(removed):
        deleted = tombstones.delete_old(store, min(ROWS, limit - removed))
        removed += deleted
        if not deleted:
            audit.delete_old(store)
            shrink(store, time)
            return PurgeResult(removed, more=False)
    return PurgeResult(removed, more=True)


def _purge_now(store: Store, resource_id: str) -> int:
    """Have the resource forgotten first; how many rows went at once."""
    snapshot = look_for(store, resource_id)
    if snapshot is None and (deleted := tombstones.delete(store, resource_id)):
        return deleted
    if snapshot is None:
        raise tombstones.unknown(resource_id, None)
    check_purge(snapshot, due=store.value("due_of", snapshot.key))
    store.run("purge_now", snapshot.key)
    return 0
