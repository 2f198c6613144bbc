"""Tombstones of resources after their retention: enough to answer a late packet, and a person (R8, R25)."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from collator.errors import Unknown
from collator.ledgers.postgresql.step import Step, decode_ranges
from collator.ledgers.unknown import Remembered, unknown_resource
from collator.rules.resource import Snapshot
from collator.states import State

BY_PERSON = 2
"""What `resource.purging` says of one that is purged by a person, which leaves no tombstone."""


async def find(step: Step, resource_ids: Sequence[str]) -> dict[str, Snapshot]:
    """The snapshots of those of *resource_ids*, which are not stored, that are remembered."""
    return {row["id"]: _snapshot(row) for row in await step.rows("find_tombstones", resource_ids)}


def _snapshot(row: asyncpg.Record) -> Snapshot:
    state, total, seen = State(row["state"]), row["total"], row["seen"]
    there = decode_ranges(seen) if seen else [(0, total - 1)] if state is State.COLLATED and total else ()
    return Snapshot(resource_id=row["id"], generation=b"", state=state, total=total, seen=there)


def unknown(resource_id: str, tombstone: asyncpg.Record | None) -> Unknown:
    """The error for *resource_id*, which is not stored, with what its *tombstone* remembers."""
    remembered = tombstone and Remembered(tombstone["state"], tombstone["total"], tombstone["closed_at"])
    return unknown_resource(resource_id, remembered)
