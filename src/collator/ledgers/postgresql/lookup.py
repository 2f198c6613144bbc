"""A resource by its id, for the verbs of people, locked until the step ends; and what to say where it is not there."""

from __future__ import annotations

from collator.ledgers.postgresql import tombstones
from collator.ledgers.postgresql.step import Step, as_snapshot, clean
from collator.rules.resource import Snapshot


async def find(step: Step, resource_id: str) -> Snapshot:
    """The resource *resource_id*. `Unknown`."""
    snapshot = await look_for(step, resource_id)
    if snapshot is None:
        raise tombstones.unknown(resource_id, await step.row("tombstone", clean(resource_id)))
    return snapshot


async def look_for(step: Step, resource_id: str) -> Snapshot | None:
    """The resource *resource_id*, if it is there."""
    row = await step.row("lock_resource", clean(resource_id))
    return None if row is None else as_snapshot(row)
