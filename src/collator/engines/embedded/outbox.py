"""Deliveries: born at a closing, claimed, settled, replayed.

A lease on a delivery lives in memory, the row says only due, delivered or dead (R24): after a crash all that was in
flight is due again, under the same id with the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from collator.engines.embedded.bodies import Frame, inline_bodies
from collator.engines.embedded.leases import Held
from collator.engines.embedded.store import Store, as_json
from collator.errors import Unknown
from collator.exchange import Attempt, Delivery
from collator.states import DELIVERY_STEPS, DeliveryState, State, check_step

Loaded = tuple[int, int, str, str, State, str, int, int, int, str, str, int, int]
_decode_loaded = msgspec.json.Decoder(list[Loaded]).decode
_decode_states = msgspec.json.Decoder(list[tuple[int, int, int, DeliveryState, int, int]]).decode
_decode_ended = msgspec.json.Decoder(list[tuple[int, int, str, DeliveryState, int]]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_triples = msgspec.json.Decoder(list[tuple[int, int, int]]).decode


class Born(msgspec.Struct, frozen=True):
    """A delivery that a closing brings about."""

    frame: Frame
    resource_id: str
    generation: bytes
    endpoint: str
    known_at: float


class _Row(msgspec.Struct):
    """A delivery as it stands while a batch is settled."""

    did: int
    rk: int
    state: DeliveryState
    attempts: int
    step: int


def bear(store: Store, born: Sequence[Born], room: Mapping[str, int]) -> tuple[list[Delivery], frozenset[str]]:
    """Store *born* as due; lease what there is *room* for. The leased ones, and the endpoints of the others."""
    if not born:
        return [], frozenset()
    first = store.next_did
    store.next_did += len(born)
    now = store.now()
    rows = [(did, new.frame.rk, new.endpoint) for did, new in enumerate(born, first)]
    store.run_rows("insert_deliveries", rows, now)
    store.count(due=len(born))
    free = dict(room)
    leased: list[tuple[int, Born]] = []
    for did, new in enumerate(born, first):
        if free.get(new.endpoint, 0) > 0:
            free[new.endpoint] -= 1
            leased.append((did, new))
    bodies = inline_bodies(store, [new.frame for _, new in leased])
    until = now + store.terms.delivery_lease
    handed = [_hand_newborn(store, did, new, bodies.get(new.frame.rk), until) for did, new in leased]
    taken = {did for did, _ in leased}
    return handed, frozenset(new.endpoint for did, new in enumerate(born, first) if did not in taken)


def claim_deliveries(store: Store, endpoint: str, room: int) -> list[Delivery]:
    """Lease up to *room* due deliveries of *endpoint*."""
    now = store.now()
    for token in store.deliveries.expired(now):
        store.deliveries.drop(token)
    held = store.deliveries.keys()
    found = _decode_numbers(store.value("due_deliveries", endpoint, now, room + len(held)).encode())
    dids = [did for did in found if did not in held][: max(room, 0)]
    rows = {row[0]: row for row in _decode_loaded(store.value("load_deliveries", as_json(dids)).encode())}
    bodies = inline_bodies(store, [as_frame(row) for row in rows.values()])
    until = now + store.terms.delivery_lease
    return [_hand_row(store, rows[did], bodies.get(rows[did][1]), until) for did in dids]


def settle(store: Store, attempts: Sequence[Attempt]) -> list[bool]:
    """Store how *attempts* ended; whether each changed anything."""
    asked = [(one.delivery.resource_id, one.delivery.generation.hex(), one.delivery.endpoint) for one in attempts]
    stored = _decode_states(store.value("delivery_states", as_json(asked)).encode())
    rows = {did: _Row(did, rk, state, count, step) for _, did, rk, state, count, step in stored}
    places = {place: rows[did] for place, did, *_ in stored}
    updates: dict[int, list[object]] = {}
    changed = []
    for place, attempt in enumerate(attempts):
        held = store.deliveries.drop(attempt.delivery.lease) is not None
        row = places.get(place)  # none: the resource was purged, which what is due never is
        takes = row is not None and (_wins_late(attempt, row) or (held and row.state is DeliveryState.DUE))
        changed.append(takes)
        if row is not None and takes:
            updates[row.did] = _settle_one(store, attempt, row, held=held)
    store.run_rows("update_deliveries", [*updates.values()])
    _start_retention(store, {rows[did].rk for did in updates})
    return changed


def replay(store: Store, resource_id: str | None, endpoint: str | None, state: DeliveryState | None) -> frozenset[str]:
    """Make all ended deliveries that match due again; the endpoints that have something due."""
    found = _decode_ended(store.value("ended_deliveries", resource_id, endpoint, state).encode())
    if not found and resource_id is not None and not store.value("has_delivery", resource_id):
        raise Unknown(f"resource {resource_id!r} has no delivery")
    rows = []
    for did, _, _, old, attempts in found:
        check_step(DELIVERY_STEPS, old, DeliveryState.DUE)
        rows.append([did, DeliveryState.DUE, attempts, 0, store.now(), "replayed"])
        _count_move(store, old, DeliveryState.DUE)
    store.run_rows("update_deliveries", rows)
    _start_retention(store, {rk for _, rk, _, _, _ in found})
    return frozenset(name for _, _, name, _, _ in found)


def as_frame(row: Loaded) -> Frame:
    """The frame in a row that was loaded for a sender."""
    _, rk, _, _, state, _, _, _, size, head, tail, crc, done = row
    return Frame(rk, state, head, tail, crc, done, size)


def _wins_late(attempt: Attempt, row: _Row) -> bool:
    """A success counts whoever holds the lease now (R24)."""
    return attempt.state is DeliveryState.DELIVERED and row.state is not DeliveryState.DELIVERED


def _settle_one(store: Store, attempt: Attempt, row: _Row, *, held: bool) -> list[object]:
    if held:
        check_step(DELIVERY_STEPS, DeliveryState.LEASED, attempt.state)
    _count_move(store, row.state, attempt.state)
    row.state = attempt.state
    row.attempts += attempt.counted
    row.step += attempt.counted
    return [row.did, row.state, row.attempts, row.step, store.now() + attempt.delay, attempt.reason]


def _start_retention(store: Store, rks: Iterable[int]) -> None:
    """Retention runs while nothing is due; a dead delivery has a retention of its own (R25)."""
    terms, now = store.terms, store.now()
    rows = []
    for rk, due, dead in _decode_triples(store.value("delivery_ends", as_json([*rks])).encode()):
        kept = terms.dead_retention if dead else terms.retention
        rows.append([rk, None if due or kept is None else now + kept])
    store.run_rows("set_retention", rows)


def _count_move(store: Store, old: DeliveryState, new: DeliveryState) -> None:
    due, dead = DeliveryState.DUE, DeliveryState.DEAD
    store.count(due=(new is due) - (old is due), dead=(new is dead) - (old is dead))


def _hand_newborn(store: Store, did: int, new: Born, body: bytes | None, until: float) -> Delivery:
    lease = store.deliveries.grant(Held(did, until))
    return Delivery(new.resource_id, new.generation, new.endpoint, 1, 0, lease, body, new.known_at)


def _hand_row(store: Store, row: Loaded, body: bytes | None, until: float) -> Delivery:
    did, _, resource_id, generation, _, endpoint, attempts, step, *_ = row
    lease = store.deliveries.grant(Held(did, until))
    return Delivery(resource_id, bytes.fromhex(generation), endpoint, attempts + 1, step, lease, body)
