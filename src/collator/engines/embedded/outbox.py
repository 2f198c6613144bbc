"""Deliveries: born at a closing, and claimed. How attempts end is in `attempts`, repair in `redelivery`.

A lease on a delivery lives in memory, the row says only due, delivered or dead (R24): after a crash all that was in
flight is due again, under the same id with the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
import structlog

from collator.engines.embedded.bodies import Frame, extent, inline_bodies, is_large, load_frames, to_join
from collator.engines.embedded.leases import Held
from collator.engines.embedded.readable import readable
from collator.engines.embedded.store import Store, as_json
from collator.exchange import Delivery
from collator.states import State

log = structlog.get_logger("collator.ledger")

_Loaded = tuple[int, int, str, str, State, str, int, int, int, int, int, int]
_decode_loaded = msgspec.json.Decoder(list[_Loaded]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode


class Born(msgspec.Struct, frozen=True):
    """A delivery that a closing brings about."""

    frame: Frame
    whole: int
    """Bytes of its body, at most."""
    resource_id: str
    generation: bytes
    endpoint: str
    known_at: float


def bear(store: Store, born: Sequence[Born], room: Mapping[str, int]) -> tuple[list[Delivery], frozenset[str]]:
    """Store *born* as due; lease what there is *room* for, none that is large. And the endpoints of the others."""
    if not born:
        return [], frozenset()
    first = store.next_did
    store.next_did += len(born)
    now = store.now()
    rows = [(did, new.frame.rk, new.endpoint, int(is_large(new.whole))) for did, new in enumerate(born, first)]
    store.run_rows("insert_deliveries", rows, now)
    store.count(due=len(born))
    free = {endpoint: count for endpoint, count in room.items() if endpoint not in store.paused}
    leased: list[tuple[int, Born]] = []
    for did, new in enumerate(born, first):
        if not is_large(new.whole) and free.get(new.endpoint, 0) > 0:
            free[new.endpoint] -= 1
            leased.append((did, new))
    fit = {*to_join((new.frame.rk, new.whole) for _, new in leased)}
    bodies = inline_bodies(store, [*{new.frame.rk: new.frame for _, new in leased if new.frame.rk in fit}.values()])
    until = store.running() + store.terms.delivery_lease
    handed = [_hand_newborn(store, did, new, bodies.get(new.frame.rk), until) for did, new in leased]
    taken = {did for did, _ in leased}
    return handed, frozenset(new.endpoint for did, new in enumerate(born, first) if did not in taken)


def claim_deliveries(
    store: Store,
    endpoint: str,
    room: int,
    large: bool,  # noqa: FBT001 - a step takes its call as it came
    probe: bool,  # noqa: FBT001 - as above
) -> list[Delivery]:
    """Lease up to *room* due deliveries of *endpoint*; for a *probe* the least tried, then the next to be due.

    Where more are due, those that are longest due and those that have just become due take turns.
    """
    if endpoint in store.paused:
        return []
    now = store.now()
    for token in store.deliveries.expired(store.running()):
        store.deliveries.drop(token)
    held = store.deliveries.keys(endpoint)

    def look(order: str) -> list[int]:
        found = _decode_numbers(store.value(order, endpoint, now, room + len(held), int(large)).encode())
        return [did for did in found if did not in held][: max(room, 0)]

    dids = look("deliveries_to_probe" if probe else "due_deliveries")
    if dids and len(dids) == room and not probe:
        latest = _share_of_latest(store, (endpoint, large), room)
        dids = [*dict.fromkeys(dids[: room - latest] + look("latest_deliveries")[:latest] + dids)][:room]
    rows = {row[0]: row for row in readable(partial(_read, store), dids)}
    _bury(store, endpoint, [did for did in dids if did not in rows])
    bodies = inline_bodies(store, load_frames(store, to_join(map(_extent, rows.values()))))
    until = store.running() + store.terms.delivery_lease
    return [_hand_row(store, rows[did], bodies.get(rows[did][1]), until) for did in dids if did in rows]


def _share_of_latest(store: Store, line: tuple[str, bool], room: int) -> int:
    """How many of *room* go to those that became due last: half, and every other time one more of an odd number."""
    share, odd = divmod(room, 2)
    if odd:
        share += line in store.latest_next
        store.latest_next ^= {line}
    return share


def _read(store: Store, dids: Sequence[int]) -> list[_Loaded]:
    rows = _decode_loaded(store.value("load_deliveries", as_json(dids)).encode())
    for _, _, _, generation, *_ in rows:
        bytes.fromhex(generation)  # raises where it is none
    return rows


def _bury(store: Store, endpoint: str, dids: Sequence[int]) -> None:
    """Let *dids*, of which there is nothing to send, be dead, so that others are not claimed in vain with them."""
    for did in dids:
        log.error("a delivery is given up, as what is stored of it is damaged", endpoint=endpoint, delivery=did)
        store.run("bury_delivery", did)
    store.count(due=-len(dids), dead=len(dids))


def _extent(row: _Loaded) -> tuple[int, int]:
    _, rk, _, _, state, _, _, _, size, frame, done, _ = row
    return rk, extent(state, done=done, size=size, frame=frame)


def _hand_newborn(store: Store, did: int, new: Born, body: bytes | None, until: float) -> Delivery:
    lease = store.deliveries.grant(Held(did, until, endpoint=new.endpoint))
    return Delivery(new.resource_id, new.generation, new.endpoint, 1, 0, lease, body, new.known_at)


def _hand_row(store: Store, row: _Loaded, body: bytes | None, until: float) -> Delivery:
    did, _, resource_id, generation, _, endpoint, attempts, step, *_, large = row
    lease = store.deliveries.grant(Held(did, until, endpoint=endpoint))
    made = bytes.fromhex(generation)
    return Delivery(resource_id, made, endpoint, attempts + 1, step, lease, body, large=bool(large))
