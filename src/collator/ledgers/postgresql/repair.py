"""Changes to resources by time and by people: timeouts, deadlines, complete, cancel, retry (R13 to R16)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from collator.ledgers.postgresql import tombstones
from collator.ledgers.postgresql.acceptance import lock, store_opened
from collator.ledgers.postgresql.closure import close
from collator.ledgers.postgresql.lookup import find
from collator.ledgers.postgresql.records import lock_rows
from collator.ledgers.postgresql.step import Step, clean
from collator.messages import StepResult
from collator.rules.closure import CANCELLED, PAST_DEADLINE, Closure
from collator.rules.expiry import plan_idle
from collator.rules.footprint import of_resource
from collator.rules.repair import cancels, check_total, plan_completion
from collator.rules.resource import Snapshot

LOOKED = 64
"""Resources at which one step looks: none of them takes packets meanwhile."""


async def expire(step: Step, limit: int, capacity: Mapping[str, int]) -> StepResult:
    """Close what has been idle too long or is past its deadline."""
    limit = min(limit, LOOKED)
    late = [row["rk"] for row in await step.rows("past_deadline", step.now, limit)]
    ends = [Closure(snapshot, PAST_DEADLINE) for snapshot in (await lock_rows(step, late)).values()]
    idle, looked = await _idle(step, limit - len(ends), {end.snapshot.key for end in ends})
    closed = await close(step, [*ends, *idle], capacity=capacity)
    return msgspec.structs.replace(closed, more=len(late) + looked >= limit)


async def complete(
    step: Step,
    resource_id: str,
    total: int | None,
    force: bool,  # noqa: FBT001 - a step takes its call as it came
    capacity: Mapping[str, int],
) -> StepResult:
    """Fix the total, or close now (R15)."""
    check_total(total, step.ledger_limits.packet_limits)
    snapshot = await _find_or_open(step, resource_id) if total == 0 else await find(step, resource_id)
    plan = plan_completion(snapshot, total, force=force, on_failure=step.ledger_limits.on_failure)
    if plan.fixes:
        await step.run("fix_total", snapshot.key, total)
    return await close(step, [Closure(snapshot, plan.ending)] if plan.ending else [], capacity=capacity)


async def cancel(step: Step, resource_id: str) -> bool:
    """End without a webhook; whether it was open."""
    snapshot = await find(step, resource_id)
    ends = cancels(snapshot)
    await close(step, [Closure(snapshot, CANCELLED)] if ends else [], capacity={})
    return ends


async def _idle(step: Step, limit: int, but: set[int]) -> tuple[list[Closure], int]:
    """The resources that have been silent too long, and at how many it looked; at those that go on it looks later."""
    timeout = step.ledger_limits.idle_timeout
    if timeout is None or limit <= 0:
        return [], 0
    active_at = {row["rk"]: row["active_at"] for row in await step.rows("idle_resources", step.active, limit)}
    asked = {resource_row: at for resource_row, at in active_at.items() if resource_row not in but}
    snapshots = await lock_rows(step, asked)
    plan = plan_idle(asked, snapshots.values(), timeout=timeout, uptime=step.active)
    await step.run_rows("look_again", plan.again)
    return plan.ends, len(active_at)


async def _find_or_open(step: Step, resource_id: str) -> Snapshot:
    """The resource, or a new generation of one that nobody sent a packet for (R10). `Unknown` where it is gone."""
    found, new = await lock(step, [clean(resource_id)])
    if resource_id in new:
        await store_opened(step, [new[resource_id]], of_resource(resource_id, None))
        return new[resource_id]
    snapshot = found.get(resource_id)
    if snapshot is None or not snapshot.key:
        raise tombstones.unknown(resource_id, await step.row("tombstone", clean(resource_id)))
    return snapshot
