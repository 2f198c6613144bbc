"""Deletion of resources after their retention, or at once by a person, and of tombstones (R25).

Small resources go as sets, each in one statement: a round trip costs as much as the rows of several of them. One that
is large goes in pieces.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import asyncpg

from collator.ledgers.postgresql import audit, tombstones
from collator.ledgers.postgresql.closure import span
from collator.ledgers.postgresql.lookup import look_for
from collator.ledgers.postgresql.step import Step, clean
from collator.ledgers.repair_steps import PurgeResult
from collator.rules.repair import check_purge

ROWS = 4096
"""Rows that one step deletes, about: as many as a commit that is full of packets writes."""
SET = 64
"""Resources in a set."""


async def purge(step: Step, limit: int, resource_id: str | None) -> PurgeResult:
    """Forget what may be forgotten, about *limit* rows at most, and no more than a step may."""
    most = min(limit, ROWS)
    removed = 0 if resource_id is None else await _purge_now(step, resource_id)
    while removed < most:
        due = await step.rows("purge_due", step.now, SET)
        if not due:
            return await _purge_little(step, removed, most)
        outputs_too = [2 * one["received"] for one in due]
        if small := due[: bisect_right([*accumulate(outputs_too)], most - removed)]:
            removed += await _purge_set(step, small)
        else:
            removed += await _purge_pieces(step, due[0], most - removed)
    return PurgeResult(removed, more=True)


async def _purge_set(step: Step, due: Sequence[asyncpg.Record]) -> int:
    """Forget the resources *due*; how many rows went."""
    remembers = step.ledger_limits.remember is not None
    kept = [one["rk"] for one in due if remembers and one["purging"] != tombstones.BY_PERSON]
    (gone,) = await step.rows("purge_resources", [one["rk"] for one in due], kept, step.now)
    step.count(remembered=gone["remembered"], dead=-gone["dead"])
    step.count(**{state: -number for state, number in Counter(one["state"] for one in due).items()})
    return int(gone["rows"])


async def _purge_pieces(step: Step, due: asyncpg.Record, limit: int) -> int:
    """Forget the resource *due*, or as many of its rows as *limit* says; how many rows went."""
    first, last = span(due["rk"])
    removed = await step.run("purge_outcomes", first, last, limit)
    if removed < limit:
        removed += await step.run("purge_packets", first, last, limit - removed)
    if removed < limit:
        return removed + await _purge_set(step, [due])
    await step.run("purge_begins", due["rk"])
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
