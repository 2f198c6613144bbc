"""Deliveries: born at a closing, claimed, settled, replayed.

A lease on a delivery lives in memory, the row says only due, delivered or dead (R24): after a crash all that was in
flight is due again, under the same id with the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from collator.collation import body
from collator.engines.embedded.leases import Held
from collator.engines.embedded.store import INDEX_BITS, INDEX_MASK, Store, as_json
from collator.errors import Damaged, Unknown
from collator.exchange import Attempt, Delivery
from collator.resource import Standing
from collator.states import DELIVERY_STEPS, DeliveryState, State, check_step

INLINE_BODY = 1024 * 1024
"""Outputs of up to so many bytes are joined in the step itself; a larger body is built by a reader."""

_Loaded = tuple[int, int, str, str, State, str, int, int, int, str, str, int, int]
_decode_loaded = msgspec.json.Decoder(list[_Loaded]).decode
_decode_outputs = msgspec.json.Decoder(list[tuple[int, str, int]]).decode
_decode_states = msgspec.json.Decoder(list[tuple[int, int, int, DeliveryState, int, int]]).decode
_decode_ended = msgspec.json.Decoder(list[tuple[int, int, str, DeliveryState, int]]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_triples = msgspec.json.Decoder(list[tuple[int, int, int]]).decode


class NewDelivery(msgspec.Struct, frozen=True):
    """A delivery about to be born."""

    standing: Standing
    endpoint: str
    head: bytes
    tail: bytes
    known_at: float


def bear(store: Store, born: Sequence[NewDelivery], room: Mapping[str, int]) -> tuple[list[Delivery], frozenset[str]]:
    """Store *born* as due; lease what there is *room* for. The leased ones, and the endpoints of the others."""
    if not born:
        return [], frozenset()
    first = store.next_did
    store.next_did += len(born)
    now = store.now()
    rows = [(did, new.standing.key, new.endpoint) for did, new in enumerate(born, first)]
    store.run_rows("insert_deliveries", rows, now)
    store.count(due=len(born))
    free = dict(room)
    leased, left = [], set()
    for did, new in enumerate(born, first):
        if free.get(new.endpoint, 0) > 0:
            free[new.endpoint] -= 1
            leased.append((did, new))
        else:
            left.add(new.endpoint)
    bodies = _bodies(store, [(new.standing.key, new.standing.body_size) for _, new in leased])
    until = now + store.terms.delivery_lease
    return [_newborn(store, did, new, bodies, until) for did, new in leased], frozenset(left)


def claim_deliveries(store: Store, endpoint: str, room: int) -> list[Delivery]:
    """Lease up to *room* due deliveries of *endpoint*."""
    now = store.now()
    for token in store.deliveries.expired(now):
        store.deliveries.drop(token)
    limit = room + len(store.deliveries)
    found = _decode_numbers(store.value("due_deliveries", endpoint, now, limit).encode())
    dids = [did for did in found if not store.deliveries.holds(did)][:room]
    rows = {row[0]: row for row in _decode_loaded(store.value("load_deliveries", as_json(dids)).encode())}
    bodies = _bodies(store, [(row[1], row[8]) for row in rows.values()])
    until = now + store.terms.delivery_lease
    deliveries = []
    for did in dids:
        _, rk, resource_id, generation, state, _, attempts, step, _, head, tail, crc, done = rows[did]
        outputs = bodies.get(rk)
        whole = None if outputs is None else build(state, (head, tail, crc), outputs, done)
        lease = store.deliveries.grant(Held(did, until))
        deliveries.append(Delivery(resource_id, bytes.fromhex(generation), endpoint, attempts + 1, step, lease, whole))
    return deliveries


def build(state: State, framed: tuple[str, str, int], outputs: Sequence[tuple[int, str, int]], done: int) -> bytes:
    """The body from its frame (head, tail, crc32) and *outputs* (index, JSON, crc32). `Damaged`."""
    head, tail, crc = framed[0].encode(), framed[1].encode(), framed[2]
    if zlib.crc32(tail, zlib.crc32(head)) != crc:
        raise Damaged("the frame of a body does not match its checksum")
    if len(outputs) != done:
        raise Damaged(f"{done} outputs were stored, {len(outputs)} are there")
    return body(state, head, checked(outputs), tail)


def checked(outputs: Iterable[tuple[int, str, int]]) -> list[tuple[int, bytes]]:
    """*outputs* (key or index, JSON, crc32) as (index, JSON). `Damaged` where a checksum differs."""
    found = []
    for key, text, crc in outputs:
        output = text.encode()
        if zlib.crc32(output) != crc:
            raise Damaged(f"the output of index {key & INDEX_MASK} does not match its checksum")
        found.append((key & INDEX_MASK, output))
    return found


def settle(store: Store, attempts: Sequence[Attempt]) -> list[bool]:
    """Store how *attempts* ended; whether each changed anything."""
    asked = [(one.delivery.resource_id, one.delivery.generation.hex(), one.delivery.endpoint) for one in attempts]
    found = {row[0]: row for row in _decode_states(store.value("delivery_states", as_json(asked)).encode())}
    current: dict[int, tuple[DeliveryState, int]] = {}
    rows: dict[int, list[object]] = {}
    touched: set[int] = set()
    changed = []
    for place, attempt in enumerate(attempts):
        held = store.deliveries.drop(attempt.delivery.lease) is not None
        if place not in found:
            changed.append(False)
            continue
        _, did, rk, state, count, step = found[place]
        state, count = current.get(did, (state, count))
        counts_now = held or (attempt.state is DeliveryState.DELIVERED and state is not DeliveryState.DELIVERED)
        changed.append(counts_now)
        if counts_now:
            check_step(DELIVERY_STEPS, DeliveryState.LEASED if held else state, attempt.state) if held else None
            count += attempt.counted
            step += attempt.counted
            rows[did] = [did, attempt.state, count, step, store.now() + attempt.delay, attempt.reason]
            store.count(**_moved(state, attempt.state))
            current[did] = attempt.state, count
            touched.add(rk)
    store.run_rows("update_deliveries", [*rows.values()])
    _start_retention(store, touched)
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
        store.count(**_moved(old, DeliveryState.DUE))
    store.run_rows("update_deliveries", rows)
    _start_retention(store, {rk for _, rk, _, _, _ in found})
    return frozenset(name for _, _, name, _, _ in found)


def _start_retention(store: Store, rks: Iterable[int]) -> None:
    """Retention runs while nothing is due; a dead delivery has a retention of its own (R25)."""
    terms, now = store.terms, store.now()
    rows = []
    for rk, due, dead in _decode_triples(store.value("delivery_ends", as_json([*rks])).encode()):
        kept = terms.dead_retention if dead else terms.retention
        rows.append([rk, None if due or kept is None else now + kept])
    store.run_rows("set_retention", rows)


def _moved(old: DeliveryState, new: DeliveryState) -> dict[str, int]:
    change: Callable[[DeliveryState], int] = lambda state: (new is state) - (old is state)  # noqa: E731
    return {"due": change(DeliveryState.DUE), "dead": change(DeliveryState.DEAD)}


def _newborn(
    store: Store, did: int, new: NewDelivery, bodies: Mapping[int, list[tuple[int, str, int]]], until: float
) -> Delivery:
    standing, outputs = new.standing, bodies.get(new.standing.key)
    whole = None
    if outputs is not None:
        whole = build(
            standing.state,
            (new.head.decode(), new.tail.decode(), zlib.crc32(new.tail, zlib.crc32(new.head))),
            outputs,
            standing.done,
        )
    lease = store.deliveries.grant(Held(did, until))
    return Delivery(standing.resource_id, standing.generation, new.endpoint, 1, 0, lease, whole, new.known_at)


def _bodies(store: Store, resources: Iterable[tuple[int, int]]) -> dict[int, list[tuple[int, str, int]]]:
    """The outputs of those of *resources* (handle, bytes) whose body is built at once."""
    outputs: dict[int, list[tuple[int, str, int]]] = {rk: [] for rk, size in resources if size <= INLINE_BODY}
    if outputs:
        for row in _decode_outputs(store.value("outputs_of", as_json([*outputs])).encode()):
            outputs[row[0] >> INDEX_BITS].append(row)
    return outputs
