"""What is forgotten: resources whose retention has passed, or at once by a person, and tombstones (R25)."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from collator.engines.embedded import audit, tombstones
from collator.engines.embedded.closing import span
from collator.engines.embedded.finding import look_for
from collator.engines.embedded.shrinking import shrink
from collator.engines.embedded.slices import BYTES, ROWS, Slice
from collator.engines.embedded.store import Store
from collator.errors import Conflict
from collator.states import State


class Purged(msgspec.Struct, frozen=True):
    """What one step has forgotten."""

    rows: int
    more: bool
    """Whether there is more to forget; an upper bound of rows may have ended the step, or its time."""


class _Due(NamedTuple):
    """A resource that is to be forgotten."""

    rk: int
    state: str
    received: int
    size: int
    """Bytes of its outputs."""
    purging: int


def purge(store: Store, limit: int, resource_id: str | None) -> Purged:
    """Forget what may be forgotten, about *limit* rows at most, as long as a slice lasts."""
    time = Slice()
    removed = 0 if resource_id is None else _purge_now(store, resource_id)
    while removed < limit and time.lasts():
        due = store.value("purge_due", store.now())
        if due is None:
            return _purge_little(store, time, removed, limit)
        removed += _purge_resource(store, time, _Due(*due), limit - removed)
    return Purged(removed, more=True)


def _purge_resource(store: Store, time: Slice, due: _Due, limit: int) -> int:
    """Forget the resource *due*, or as many of its rows as there is time for; how many rows went."""
    first, last = span(due.rk)
    removed = 0
    if due.received <= min(ROWS, limit) and due.size + store.value("packet_bytes", first, last) <= BYTES:
        removed = store.run("outcome_range", first, last) + store.run("packet_range", first, last)
    else:
        while rows := _purge_rows(store, first, last, min(ROWS, limit - removed)):
            removed += rows
            if removed >= limit or not time.lasts():
                store.run("purge_begins", due.rk)
                return removed
    if due.purging != tombstones.BY_PERSON:
        tombstones.leave(store, due.rk)
    store.count(dead=-store.value("dead_of", due.rk), **{due.state: -1})
    return removed + sum(store.run(rows, due.rk) for rows in ("purge_log", "purge_deliveries", "purge_resource"))


def _purge_rows(store: Store, first: int, last: int, limit: int) -> int:
    """Forget a unit of outcomes or, where none is left, of packets; how many went."""
    return store.run("purge_outcomes", first, last, limit, BYTES) or store.run(
        "purge_packets", first, last, limit, BYTES
    )


def _purge_little(store: Store, time: Slice, removed: int, limit: int) -> Purged:
    """Forget old tombstones, where no resource is to be forgotten, and then give space back to the disk."""
    while removed < limit and time.lasts():
        deleted = tombstones.delete_old(store, min(ROWS, limit - removed))
        removed += deleted
        if not deleted:
            audit.delete_old(store)
            shrink(store, time)
            return Purged(removed, more=False)
    return Purged(removed, more=True)


def _purge_now(store: Store, resource_id: str) -> int:
    """Have the resource forgotten first; how many rows went at once."""
    standing = look_for(store, resource_id)
    if standing is None and (deleted := tombstones.delete(store, resource_id)):
        return deleted
    if standing is None:
        raise tombstones.unknown(resource_id, None)
    if standing.state is State.OPEN:
        raise Conflict(f"resource {resource_id!r} is open; cancel it first")
    if store.value("due_of", standing.key):
        raise Conflict(f"resource {resource_id!r} has a delivery that is due; stop it first")
    store.run("purge_now", standing.key)
    return 0
