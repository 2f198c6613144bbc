"""Tombstones of resources after their retention: enough to answer a late packet, and a person (R8, R25).

A tombstone is written once, in the step that removes the resource, and is looked for only where an id is new. Its
handle rises with the time of the removal, so that the oldest are found without an index of times.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collator.errors import Unknown
from collator.ledgers.sqlite.slices import BYTES
from collator.ledgers.sqlite.store import Store
from collator.ledgers.unknown import Remembered, unknown_resource
from collator.rules.resource import Snapshot
from collator.states import State

BY_PERSON = 2
"""What `resource.purging` says of one that is purged by a person, which leaves no tombstone."""
_decode = msgspec.json.Decoder(tuple[State, int | None, float]).decode


def leave(store: Store, resource_rows: Sequence[int]) -> None:
    """Remember how the resources *resource_rows* ended, which are removed in this step."""
    if store.ledger_limits.remember is not None:
        store.count(remembered=store.run_rows("leave_tombstones", resource_rows, store.now))


def find(store: Store, resource_ids: Sequence[str | int]) -> list[Snapshot]:
    """The snapshots of those of *resource_ids*, which are not stored, that are remembered."""
    return store.snapshots("find_tombstones", resource_ids)


def delete(store: Store, resource_id: str) -> int:
    """Delete the tombstone of *resource_id*, so that the id is free: how many that were."""
    deleted = store.run("delete_tombstone", resource_id)
    store.count(remembered=-deleted)
    return deleted


def delete_old(store: Store, limit: int) -> int:
    """Delete up to *limit* tombstones that are older than `LedgerLimits.remember`: how many that were."""
    if limit <= 0 or not store.counts.remembered:
        return 0
    last = store.value("old_tombstones", store.now - (store.ledger_limits.remember or 0.0), limit, BYTES)
    deleted = 0 if last is None else store.run("delete_tombstones", last)
    store.count(remembered=-deleted)
    return deleted


def unknown(resource_id: str, tombstone: str | None) -> Unknown:
    """The error for *resource_id*, which is not stored, with what its *tombstone* remembers."""
    return unknown_resource(resource_id, None if tombstone is None else Remembered(*_decode(tombstone)))
