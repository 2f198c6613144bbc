"""Repair of deliveries by people: replay, and giving up (R24)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collator.errors import Ended, Unknown
from collator.ledgers.sqlite.attempts import count_move, start_retention
from collator.ledgers.sqlite.slices import Slice, in_units
from collator.ledgers.sqlite.store import Store, as_json
from collator.states import DELIVERY_STEPS, DeliveryState, check_step

DUE, LEASED, DELIVERED, DEAD = DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.DELIVERED, DeliveryState.DEAD

_decode_found = msgspec.json.Decoder(list[tuple[int, int, str, DeliveryState]]).decode


class Replayed(msgspec.Struct):
    """The result of one step of a replay."""

    number: int = 0
    endpoints: frozenset[str] = frozenset()
    looked: int = 0
    """How many of the deliveries that were named were looked at."""


def replay(store: Store, delivery_rows: Sequence[int], state: DeliveryState | None) -> Replayed:
    """Make those of *delivery_rows* that have ended, in *state* if given, due again, as long as a slice lasts."""
    replayed = Replayed()
    for some in Slice().take(in_units(delivery_rows)):
        number, endpoints = _replay_some(store, some, state)
        replayed.number += number
        replayed.endpoints |= endpoints
        replayed.looked += len(some)
    return replayed


def _replay_some(store: Store, delivery_rows: Sequence[int], state: DeliveryState | None) -> tuple[int, frozenset[str]]:
    """Return how many of *delivery_rows* are due again, and the endpoints of what is due."""
    found = _decode_found(store.value("deliveries_to_repair", as_json(delivery_rows)).encode())
    ended = [row for row in found if row[3] is not DUE and state in {None, row[3]}]
    for _, _, _, old in ended:
        check_step(DELIVERY_STEPS, old, DUE)
        count_move(store, old, DUE)
    store.run_rows("replay_deliveries", [delivery_row for delivery_row, *_ in ended], store.now())
    start_retention(store, {resource_row for _, resource_row, _, _ in ended})
    return len(ended), frozenset(endpoint for _, _, endpoint, old in found if old is DUE or state in {None, old})


def give_up(store: Store, delivery_row: int) -> bool:
    """Give up the delivery *delivery_row*; whether it was due.

    `Unknown` where it has gone, `Ended` where it was delivered.
    """
    found = _decode_found(store.value("deliveries_to_repair", as_json([delivery_row])).encode())
    if not found:
        raise Unknown("the delivery was purged")
    ((_, resource_row, endpoint, state),) = found
    if state is DELIVERED:
        raise Ended(f"the delivery to endpoint {endpoint!r} has ended (delivered); there is nothing to stop")
    if state is DEAD:
        return False
    if store.deliveries.drop_key(delivery_row) is not None:
        check_step(DELIVERY_STEPS, LEASED, DUE)
    check_step(DELIVERY_STEPS, DUE, DEAD)
    store.run("stop_delivery", delivery_row)
    count_move(store, DUE, DEAD)
    start_retention(store, [resource_row])
    return True
