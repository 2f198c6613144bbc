"""Deliveries: created at a closing, and claimed. How attempts end is in `attempts`, repair in `redelivery`.

A lease on a delivery lives in memory, the row says only due, delivered or dead (R24): after a crash all that was in
flight is due again, under the same id with the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import compress

import msgspec
import structlog

from collator.ledgers.sqlite.bodies import Frame, assemble, inline_bodies, load_frames
from collator.ledgers.sqlite.damage import readable
from collator.ledgers.sqlite.leases import Held
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import Delivery, Lease
from collator.rules.body import extent, is_large
from collator.rules.capacity import joined_at_once, leased_at_once, mixed
from collator.states import State

log = structlog.get_logger("collator.ledger")

_Loaded = tuple[int, int, str, str, State, str, int, int, int, int, int, int]
_decode_loaded = msgspec.json.Decoder(list[_Loaded]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode


class NewDelivery(msgspec.Struct, frozen=True):
    """A delivery that a closing brings about."""

    frame: Frame
    whole: int
    """Bytes of its body, at most."""
    resource_id: str
    generation: bytes
    endpoint: str
    known_at: float
    outputs: tuple[list[int], list[bytes]] | None
    """All outputs of its resource, where they are in memory."""


def create_deliveries(
    store: Store, new_deliveries: Sequence[NewDelivery], capacity: Mapping[str, int]
) -> tuple[list[Delivery], frozenset[str]]:
    """Store *new_deliveries* as due; lease what fits *capacity*, none that is large. And the other endpoints."""
    if not new_deliveries:
        return [], frozenset()
    first = store.next_did
    store.next_did += len(new_deliveries)
    rows = [
        (delivery_row, new.frame.resource_row, new.endpoint, int(is_large(new.whole)))
        for delivery_row, new in enumerate(new_deliveries, first)
    ]
    store.run_rows("insert_deliveries", rows, store.now)
    takes = leased_at_once([(one.endpoint, one.whole) for one in new_deliveries], capacity, store.paused)
    leased = [*compress(enumerate(new_deliveries, first), takes)]
    others = frozenset([one.endpoint for one, taken in zip(new_deliveries, takes, strict=True) if not taken])
    if not leased:
        return [], others
    by_row = {one.frame.resource_row: one for _, one in leased}
    bodies: dict[int, bytes] = {}
    unread: list[Frame] = []
    for row in joined_at_once([(one.frame.resource_row, one.whole) for _, one in leased]):
        one = by_row[row]
        if one.outputs is None:
            unread.append(one.frame)
        else:
            bodies[row] = assemble(one.frame, *one.outputs)
    bodies |= inline_bodies(store, unread)
    return _lease_new(store, leased, bodies), others


def claim_deliveries(
    store: Store,
    endpoint: str,
    capacity: int,
    large: bool,  # noqa: FBT001 - a step takes its call as it came
    probe: bool,  # noqa: FBT001 - as above
) -> list[Delivery]:
    """Lease up to *capacity* due deliveries of *endpoint*; for a *probe* the least tried, then the next to be due.

    Where more are due, those that are longest due and those that have just become due take turns.
    """
    if endpoint in store.paused:
        return []
    now = store.now
    for token in store.deliveries.expired(store.running):
        store.deliveries.drop(token)
    held = store.deliveries.keys(endpoint)

    def look(order: str) -> list[int]:
        found = _decode_numbers(store.value(order, endpoint, now, capacity + len(held), int(large)).encode())
        return [delivery_row for delivery_row in found if delivery_row not in held][: max(capacity, 0)]

    delivery_rows = look("deliveries_to_probe" if probe else "due_deliveries")
    if delivery_rows and len(delivery_rows) == capacity and not probe:
        share = _share_of_latest(store, (endpoint, large), capacity)
        delivery_rows = mixed(delivery_rows, look("latest_deliveries"), capacity, share)
    rows = {row[0]: row for row in readable(partial(_read, store), delivery_rows)}
    damaged = [delivery_row for delivery_row in delivery_rows if delivery_row not in rows]
    for delivery_row in damaged:  # there is nothing to send, and they would block every claim
        log.error("delivery given up because its stored data is damaged", endpoint=endpoint, delivery=delivery_row)
        store.run("bury_delivery", delivery_row)
    store.count(due=-len(damaged), dead=len(damaged))
    bodies = inline_bodies(store, load_frames(store, joined_at_once(map(_extent, rows.values()))))
    until = store.running + store.ledger_limits.delivery_lease
    return [
        _lease_stored(store, rows[delivery_row], bodies.get(rows[delivery_row][1]), until)
        for delivery_row in delivery_rows
        if delivery_row in rows
    ]


def bring_forward(
    store: Store,
    endpoint: str,
    within: float,
    large: bool,  # noqa: FBT001 - a step takes its call as it came
) -> int:
    """Make due what waits for *endpoint* for no longer than *within* seconds, or was put off; how many that were."""
    return store.run("bring_forward", endpoint, store.now, store.now + within, int(large))


def _share_of_latest(store: Store, line: tuple[str, bool], capacity: int) -> int:
    """The part of *capacity* for those that became due last: half, and every other time one more of an odd number."""
    share, odd = divmod(capacity, 2)
    if odd:
        share += line in store.latest_next
        store.latest_next ^= {line}
    return share


def _read(store: Store, delivery_rows: Sequence[int]) -> list[_Loaded]:
    rows = _decode_loaded(store.value("load_deliveries", as_json(delivery_rows)).encode())
    for _, _, _, generation, *_ in rows:
        bytes.fromhex(generation)  # raises where it is none
    return rows


def _extent(row: _Loaded) -> tuple[int, int]:
    _, resource_row, _, _, state, _, _, _, size, frame, done, _ = row
    return resource_row, extent(state, done=done, size=size, frame=frame)


def _lease_new(store: Store, leased: Sequence[tuple[int, NewDelivery]], bodies: Mapping[int, bytes]) -> list[Delivery]:
    """Lease the deliveries *leased*, with those *bodies* that there are, by resource."""
    until = store.running + store.ledger_limits.delivery_lease
    handed: list[Delivery] = []
    for row, new in leased:
        resource_row = new.frame.resource_row
        token = store.deliveries.grant(Held(row, until, endpoint=new.endpoint, resource_row=resource_row))
        lease, body = Lease(row, token), bodies.get(resource_row)
        handed.append(Delivery(new.resource_id, new.generation, new.endpoint, 1, 0, lease, body, new.known_at))
    return handed


def _lease_stored(store: Store, row: _Loaded, body: bytes | None, until: float) -> Delivery:
    delivery_row, resource_row, resource_id, generation, _, endpoint, attempts, step, *_, large = row
    fresh = resource_row if attempts == 0 and resource_row > 0 else None  # a generation that was superseded is below
    held = Held(delivery_row, until, endpoint=endpoint, resource_row=fresh)
    lease = Lease(delivery_row, store.deliveries.grant(held))
    made = bytes.fromhex(generation)
    return Delivery(resource_id, made, endpoint, attempts + 1, step, lease, body, large=bool(large))
