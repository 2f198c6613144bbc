"""Deletion of resources after their retention, or at once by a person, and of tombstones (R25)."""

from __future__ import annotations

from typing import NamedTuple

from collator.ledgers.repair_steps import PurgeResult
from collator.ledgers.sqlite import audit, tombstones
from collator.ledgers.sqlite.closure import span
from collator.ledgers.sqlite.lookup import look_for
from collator.ledgers.sqlite.slices import BYTES, ROWS, Slice
from collator.ledgers.sqlite.store import Store
from collator.ledgers.sqlite.vacuum import shrink
from collator.rules.repair import check_purge


class _Due(NamedTuple):
    """A resource that is to be forgotten."""

    resource_row: int
    state: str
    received: int
    size: int
    """Bytes of its outputs."""
    purging: int


def purge(store: Store, limit: int, resource_id: str | None) -> PurgeResult:
    """Forget what may be forgotten, about *limit* rows at most, as long as a slice lasts."""
    time = Slice()
    removed = 0 if resource_id is None else _purge_now(store, resource_id)
    while removed < limit and time.lasts():
        due = store.value("purge_due", store.now)
        if due is None:
            return _purge_little(store, time, removed, limit)
        removed += _purge_resource(store, time, _Due(*due), limit - removed)
    return PurgeResult(removed, more=True)


def _purge_resource(store: Store, time: Slice, due: _Due, limit: int) -> int:
    """Forget the resource *due*, or as many of its rows as there is time for; how many rows went."""
    first, last = span(due.resource_row)
    removed = 0
    if due.received <= min(ROWS, limit) and due.size + store.value("packet_bytes", first, last) <= BYTES:
        removed = store.run("outcome_range", first, last) + store.run("packet_range", first, last)
    else:
        while rows := (
            store.run("purge_outcomes", first, last, min(ROWS, limit - removed), BYTES)
            or store.run("purge_packets", first, last, min(ROWS, limit - removed), BYTES)
        ):
            removed += rows
            if removed >= limit or not time.lasts():
                store.run("purge_begins", due.resource_row)
                return removed
    if due.purging != tombstones.BY_PERSON:
        tombstones.leave(store, due.resource_row)
    store.count(dead=-store.value("dead_of", due.resource_row), **{due.state: -1})
    parts = ("purge_log", "purge_deliveries", "purge_superseded", "purge_resource")
    return removed + sum(store.run(rows, due.resource_row) for rows in parts)


def _purge_little(store: Store, time: Slice, removed: int, limit: int) -> PurgeResult:
    """Forget old tombstones, where no resource is to be forgotten, and then give space back to the disk."""
    while removed < limit and time.lasts():
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
