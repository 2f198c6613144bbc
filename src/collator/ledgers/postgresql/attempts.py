"""The end of attempts: the state of the delivery, its history, and what that means for its resource (R24, R25).

What an attempt does is decided in `collator.rules.deliveries`. Resources are locked before their deliveries, as a
closing or a purge does it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from collator.ledgers.postgresql.endpoints import pause
from collator.ledgers.postgresql.step import Step, clean
from collator.messages import LOG, Attempt
from collator.rules.deliveries import DeliveryCounts, LogRow, StoredDelivery, plan_attempts, purge_at
from collator.states import DeliveryState


async def record_attempts(step: Step, batch: Sequence[Sequence[Attempt]]) -> list[list[bool]]:
    """Store how the attempts of *batch* ended; for each of its parts, whether each changed anything."""
    changed = iter(await _record_attempts(step, [attempt for attempts in batch for attempt in attempts]))
    return [[next(changed) for _ in attempts] for attempts in batch]


async def _record_attempts(step: Step, attempts: Sequence[Attempt]) -> list[bool]:
    asked = [
        (place, one.delivery.resource_id, one.delivery.generation, one.delivery.endpoint)
        for place, one in enumerate(attempts)
    ]
    stored = await step.rows("lock_delivery_states", *zip(*asked, strict=True)) if asked else []
    deliveries: dict[int, StoredDelivery] = {}
    tokens: dict[int, int | None] = {}
    places: dict[int, int] = {}
    moves: dict[int, DeliveryCounts] = {}
    for place, key, rk, state, *rest, token, due, dead in stored:
        places[place] = key
        if key not in deliveries:
            deliveries[key] = StoredDelivery(key, rk, DeliveryState(state), *rest)
            tokens[key] = token
            moves[rk] = DeliveryCounts(due, dead)
    states = {key: one.state for key, one in deliveries.items()}
    ended = []
    for place, attempt in enumerate(attempts):
        found = places.get(place)
        held = found is not None and tokens[found] == attempt.delivery.lease.token
        if found is not None and held:
            tokens[found] = None
        ended.append((attempt, None if found is None else deliveries[found], held))
    plan = plan_attempts(ended, now=step.now, wall=step.wall)
    for key in plan.overtaken:
        tokens[key] = None
    for endpoint, reason in plan.paused.items():
        await pause(step, endpoint, reason)
    step.count(due=plan.moves.due, dead=plan.moves.dead)
    for key, delivery in plan.touched.items():
        moves[delivery.resource_key].add(states[key], delivery.state)
    kept = {one.resource_key: moves[one.resource_key] for one in plan.touched.values()}
    await _write(step, [*plan.touched.values()], tokens, plan.log, _retention(step, kept))
    await step.run_rows("keep_answers", [*plan.answers.items()])
    return plan.changed


async def start_retention(step: Step, resource_rows: Iterable[int]) -> None:
    """Let the retention of *resource_rows* run from now, where nothing of them is due (R25)."""
    asked = [*resource_rows]
    if asked:
        counts = {rk: DeliveryCounts(due, dead) for rk, due, dead in await step.rows("delivery_ends", asked)}
        await step.run_rows("set_retention", _retention(step, counts))


def _retention(step: Step, counts: Mapping[int, DeliveryCounts]) -> list[tuple[int, float | None]]:
    """Until when resources are kept that have so many deliveries due and dead: (resource, time)."""
    limits, now = step.ledger_limits, step.now
    return [(rk, purge_at(due=one.due, dead=one.dead, limits=limits, now=now)) for rk, one in counts.items()]


async def _write(
    step: Step,
    rows: Sequence[StoredDelivery],
    tokens: Mapping[int, int | None],
    log: Sequence[LogRow],
    retention: Sequence[tuple[int, float | None]],
) -> None:
    updates = [
        (
            row.key,
            row.state.value,
            row.attempts,
            row.step,
            row.due_at,
            clean(row.reason),
            None if row.note is None else clean(row.note),
            row.tried_at,
            row.seconds,
            row.result,
            tokens[row.key],
        )
        for row in rows
    ]
    await step.run_rows("update_deliveries", updates, *zip(*retention, strict=True))
    await step.run_rows("log_attempts", [[*row[:-1], clean(row[-1])] for row in {row[:2]: row for row in log}.values()])
    await step.run_rows("trim_log", [(row.key, row.attempts - LOG) for row in rows if row.attempts > LOG])
