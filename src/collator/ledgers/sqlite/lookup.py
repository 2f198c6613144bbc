"""A resource by its id, for the verbs of people; and what to say where it is not there."""

from __future__ import annotations

from collator.errors import Damaged
from collator.ledgers.sqlite import tombstones
from collator.ledgers.sqlite.store import Store
from collator.rules.resource import Snapshot


def find(store: Store, resource_id: str) -> Snapshot:
    """The resource *resource_id*. `Unknown`, `Damaged`."""
    snapshot = look_for(store, resource_id)
    if snapshot is None:
        raise tombstones.unknown(resource_id, store.value("tombstone", resource_id))
    return snapshot


def look_for(store: Store, resource_id: str) -> Snapshot | None:
    """The resource *resource_id*, if it is there. `Damaged`."""
    try:
        return store.resources.take_by_id([resource_id], anew=True).get(resource_id)
    except ValueError as error:
        raise Damaged(f"the stored data of resource {resource_id!r} is damaged: {error}") from error
