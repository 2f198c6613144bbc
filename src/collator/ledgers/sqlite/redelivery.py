"""Repair of deliveries by people: replay, and giving up (R24)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collator.errors import Unknown
from collator.ledgers.repair_steps import ReplayResult
from collator.ledgers.sqlite.attempts import start_retention
from collator.ledgers.sqlite.slices import in_units
from collator.ledgers.sqlite.store import Store, as_json
from collator.rules.deliveries import FoundDelivery, ReplayPlan, gives_up, plan_replay
from collator.states import DeliveryState

_decode_found = msgspec.json.Decoder(list[FoundDelivery]).decode


def replay(store: Store, delivery_rows: Sequence[int], state: DeliveryState | None) -> ReplayResult:
    """Make those of *delivery_rows* that have ended, in *state* if given, due again, as long as a slice lasts."""
    replayed = ReplayResult()
    for some in store.slice().take(in_units(delivery_rows)):
        plan = _replay_some(store, some, state)
        replayed.number += len(plan.due)
        replayed.dead -= plan.moves.dead
        replayed.endpoints |= plan.endpoints
        replayed.looked += len(some)
    return replayed


def _replay_some(store: Store, delivery_rows: Sequence[int], state: DeliveryState | None) -> ReplayPlan:
    found = _decode_found(store.value("deliveries_to_repair", as_json(delivery_rows)).encode())
    plan = plan_replay(found, state)
    store.run_rows("replay_deliveries", plan.due, store.now)
    store.count(due=plan.moves.due, dead=plan.moves.dead)
    start_retention(store, plan.resource_keys)
    return plan


def give_up(store: Store, delivery_row: int) -> bool:
    """Give up the delivery *delivery_row*; whether it was due.

    `Unknown` where it has gone, `Ended` where it was delivered.
    """
    found = _decode_found(store.value("deliveries_to_repair", as_json([delivery_row])).encode())
    if not found:
        raise Unknown("the delivery was purged")
    if not gives_up(found[0]):
        return False
    store.deliveries.drop_key(delivery_row)
    store.run("stop_delivery", delivery_row)
    store.count(due=-1, dead=1)
    start_retention(store, [found[0].resource_key])
    return True
