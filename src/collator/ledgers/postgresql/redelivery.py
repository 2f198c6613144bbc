"""Repair of deliveries by people: replay, and giving up (R24)."""

from __future__ import annotations

from collections.abc import Sequence

from collator.errors import Unknown
from collator.ledgers.postgresql.attempts import start_retention
from collator.ledgers.postgresql.step import Step
from collator.ledgers.repair_steps import ReplayResult
from collator.rules.deliveries import FoundDelivery, gives_up, plan_replay
from collator.states import DeliveryState

ROWS = 256
"""Deliveries at which one step looks."""


async def replay(step: Step, delivery_rows: Sequence[int], state: DeliveryState | None) -> ReplayResult:
    """Make those of the first `ROWS` of *delivery_rows* that have ended, in *state* if given, due again."""
    some = delivery_rows[:ROWS]
    plan = plan_replay(await _found(step, some), state)
    if plan.due:
        await step.run("replay_deliveries", plan.due, step.now)
    step.count(due=plan.moves.due, dead=plan.moves.dead)
    await start_retention(step, plan.resource_keys)
    return ReplayResult(len(plan.due), -plan.moves.dead, frozenset(plan.endpoints), len(some))


async def give_up(step: Step, delivery_row: int) -> bool:
    """Give up the delivery *delivery_row*; whether it was due.

    `Unknown` where it has gone, `Ended` where it was delivered.
    """
    found = await _found(step, [delivery_row])
    if not found:
        raise Unknown("the delivery was purged")
    if not gives_up(found[0]):
        return False
    await step.run("stop_delivery", delivery_row)
    step.count(due=-1, dead=1)
    await start_retention(step, [found[0].resource_key])
    return True


async def _found(step: Step, delivery_rows: Sequence[int]) -> list[FoundDelivery]:
    rows = await step.rows("deliveries_to_repair", delivery_rows)
    return [FoundDelivery(did, rk, endpoint, DeliveryState(state)) for did, rk, endpoint, state in rows]
