"""Deletion of resources after their retention, or at once by a person, and of tombstones (R25)."""

from __future__ import annotations

from collator.ledgers.postgresql import audit, tombstones
from collator.ledgers.postgresql.closure import span
from collator.ledgers.postgresql.lookup import look_for
from collator.ledgers.postgresql.step import Step, clean
from collator.ledgers.repair_steps import PurgeResult
from collator.rules.repair import check_purge

ROWS = 1000
"""Rows that one step deletes, about: as many as a few commits of others have."""


async def purge(step: Step, limit: int, resource_id: str | None) -> PurgeResult:
    """Forget what may be forgotten, about *limit* rows at most, and no more than a step may."""
    most = min(limit, ROWS)
    removed = 0 if resource_id is None else await _purge_now(step, resource_id)
    while removed < most:
        due = await step.row("purge_due", step.now)
        if due is None:
            return await _purge_little(step, removed, most)
        removed += await _purge_resource(step, due["rk"], due["state"], due["purging"], most - removed)
    return PurgeResult(removed, more=True)


async def _purge_resource(step: Step, resource_row: int, state: str, purging: int, limit: int) -> int:
    """Forget the resource, or as many of its rows as *limit* says; how many rows went."""
    first, last = span(resource_row)
    removed = await step.run("purge_outcomes", first, last, limit)
    if removed < limit:
        removed += await step.run("purge_packets", first, last, limit - removed)
    if removed >= limit:
        await step.run("purge_begins", resource_row)
        return removed
    if purging != tombstones.BY_PERSON and step.ledger_limits.remember is not None:
        step.count(remembered=await step.run("leave_tombstone", resource_row, step.now))
    step.count(dead=-await step.value("dead_of", resource_row), **{state: -1})
    for rows in ("purge_log", "purge_deliveries", "purge_superseded", "purge_resource"):
        removed += await step.run(rows, resource_row)
    return removed


async def _purge_little(step: Step, removed: int, limit: int) -> PurgeResult:
    """Forget old tombstones, where no resource is to be forgotten."""
    deleted = 0
    if step.counts.remembered:
        old = step.now - (step.ledger_limits.remember or 0.0)
        deleted = await step.run("delete_tombstones", old, limit - removed)
        step.count(remembered=-deleted)
    if not deleted:
        await audit.delete_old(step)
    return PurgeResult(removed + deleted, more=deleted >= limit - removed)


async def _purge_now(step: Step, resource_id: str) -> int:
    """Have the resource forgotten first; how many rows went at once."""
    snapshot = await look_for(step, resource_id)
    if snapshot is None:
        deleted = await step.run("delete_tombstone", clean(resource_id))
        step.count(remembered=-deleted)
        if not deleted:
            raise tombstones.unknown(resource_id, None)
        return deleted
    check_purge(snapshot, due=await step.value("due_of", snapshot.key))
    await step.run("purge_now", snapshot.key)
    return 0
