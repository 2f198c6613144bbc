"""The step of `Ledger.accept`: judge a batch against what is there, and store what is taken.

First every index is taken to be new: one insert for the batch, which fails as a whole where one is not. Only then are
the stored payloads read and the batch judged again.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count, islice
from operator import attrgetter, itemgetter

import apsw
import msgspec

from collator.ledgers.sqlite import tombstones
from collator.ledgers.sqlite.claims import refresh
from collator.ledgers.sqlite.closure import close_finished
from collator.ledgers.sqlite.leases import HeldRun
from collator.ledgers.sqlite.runs import fitting, hand_out
from collator.ledgers.sqlite.store import Store, as_json, decode_ranges
from collator.messages import Accepted, Group, Run
from collator.packet import Packet
from collator.rules.acceptance import (
    ENDED_EARLY,
    OTHER,
    AcceptPlan,
    Basis,
    Snapshots,
    late_keys,
    note_received,
    offered_sizes,
    plan_groups,
)
from collator.rules.expiry import first_times
from collator.rules.resource import INDEX_BITS, Snapshot

_place = itemgetter(0)
_index, _payload = attrgetter("index"), attrgetter("payload")
_decode_keys = msgspec.json.Decoder(list[int]).decode
_decode_sizes = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_stored = msgspec.json.Decoder(list[tuple[int, str]]).decode


def accept(store: Store, batch: Sequence[tuple[Sequence[Group], int]]) -> list[Accepted]:
    """Store *batch*, a list of (groups, capacity), and answer each of its parts."""
    plan, snapshots = _insert(store, [group for groups, _ in batch for group in groups])
    open_resources(store, plan.opened, plan.resource_bytes)
    if plan.new:
        store.count(waiting=len(plan.new), backlog=plan.packet_bytes)
    closed = None
    if grown := plan.grown():
        store.run_rows("grow_resources", [_growth(snapshot) for snapshot in grown], store.active)
        closed = close_finished(store, grown, capacity={}, known_at={})
    store.resources.put(snapshots.values())
    return _lease_new(store, batch, plan, snapshots, closed.endpoints if closed else frozenset())


def open_resources(store: Store, snapshots: Sequence[Snapshot], size: int) -> None:
    """Store *snapshots*, which are new generations, and count *size* bytes that open resources take from now on."""
    if size:
        store.run_rows("open_resources", [_opening(store, snapshot) for snapshot in snapshots])
        store.count(open=len(snapshots), backlog=size, open_bytes=size)


def _insert(store: Store, groups: Sequence[Group]) -> tuple[AcceptPlan, Snapshots]:
    """Store the packets of *groups* that are accepted; the plan of all, and the snapshots that it has changed."""
    snapshots = _look_up(store, groups)
    plan = _plan(store, groups, snapshots, {})
    try:
        _store_packets(store, plan)
    except apsw.ConstraintError:
        snapshots = _look_up(store, groups)
        plan = _plan(store, groups, snapshots, _stored(store, [*chain(*groups)], snapshots))
        _store_packets(store, plan)
    store.next_rk += len(plan.opened)
    store.refused |= plan.held_up
    return plan, snapshots


def _plan(store: Store, groups: Sequence[Group], snapshots: Snapshots, stored: Mapping[int, bytes]) -> AcceptPlan:
    handles = count(store.next_rk)
    basis = Basis(limits=store.ledger_limits, counts=store.counts, opening=lambda _: (next(handles), os.urandom(16)))
    return plan_groups(groups, snapshots, stored, basis)


def _look_up(store: Store, groups: Sequence[Group]) -> Snapshots:
    """The resources of *groups* as they stand in the store."""
    found = _by_id(store, [*{group[0].resource_id: None for group in groups if group}])
    _look_up_late(store, groups, found)
    return found


def _by_id(store: Store, ids: Sequence[str | int]) -> Snapshots:
    """The resources *ids* that are there, and those that are gone and remembered."""
    found = store.resources.take_by_id(ids)
    if len(found) < len(ids) and store.counts.remembered:
        gone = tombstones.find(store, [id_ for id_ in ids if id_ not in found])
        found |= {snapshot.resource_id: snapshot for snapshot in gone}
    return found


def _look_up_late(store: Store, groups: Sequence[Group], found: Mapping[str | int, Snapshot]) -> None:
    """Say of those that have ended, and not whole, which of the indexes of *groups* they had received (R8)."""
    ended = {id_: one for id_, one in found.items() if one.key and one.state in ENDED_EARLY}
    if not ended:
        return
    keys = late_keys(groups, ended)
    there = _decode_keys(store.value("received", as_json([*keys])).encode())
    for snapshot in note_received(ended.values(), keys, there):
        before = store.value("received_before", snapshot.key)
        if before is not None:
            snapshot.seen = decode_ranges(before)


def _stored(store: Store, packets: Sequence[Packet], found: Mapping[str | int, Snapshot]) -> Mapping[int, bytes]:
    """The payloads that are stored for *packets*, by key; `OTHER` where it has another length than those offered."""
    offered = offered_sizes(packets, found)
    sizes = _decode_sizes(store.value("sizes_of_packets", as_json([*offered])).encode())
    equal = [key for key, size in sizes if size in offered[key]]
    stored = dict.fromkeys((key for key, _ in sizes), OTHER)
    for key, payload in _decode_stored(store.value("stored_payloads", as_json(equal)).encode()):
        stored[key] = payload.encode()
    return stored


def _lease_new(
    store: Store,
    batch: Sequence[tuple[Sequence[Group], int]],
    plan: AcceptPlan,
    snapshots: Snapshots,
    endpoints: frozenset[str],
) -> list[Accepted]:
    """Lease what there is room for, unless others wait: those come first."""
    refresh(store)
    idle = not (store.ready or store.suspects or store.packets.alone(store.running))
    answers: list[Accepted] = []
    ready: list[int] = []
    taken, start, told = iter(plan.taken), 0, 0
    for groups, capacity in batch:
        size = sum([len(group) for group in groups])
        until_told = bisect_left(plan.exceptions, start + size, lo=told, key=_place)
        exceptions = [(place - start, receipt) for place, receipt in plan.exceptions[told:until_told]]
        start, told = start + size, until_told
        before = len(ready)
        mine = [(snapshots[some[0].resource_id], some) for some in islice(taken, len(groups)) if some]
        runs = _lease(store, mine, max(capacity, 0) if idle else 0, ready)
        answers.append(Accepted(size, exceptions, runs, len(ready) - before, endpoints))
    if ready:
        store.ready += store.run_rows("add_ready", ready)
    return answers


def _lease(store: Store, given: Iterable[tuple[Snapshot, Group]], capacity: int, ready: list[int]) -> list[Run]:
    """Lease the first packets *given*, at most *capacity*; the keys of the others are added to *ready*."""
    runs: list[Run] = []
    until = store.running + store.ledger_limits.task_lease
    for snapshot, packets in given:
        some = packets if len(packets) <= capacity else packets[:capacity]
        payloads = tuple(map(bytes, map(_payload, some)))
        sizes = tuple(map(len, payloads))
        number = fitting(store, sizes)
        if number:
            held = HeldRun(snapshot.key, until, tuple(map(_index, some))[:number], sizes[:number])
            resource = snapshot.resource_id, snapshot.generation, snapshot.metadata
            runs.append(hand_out(store, held, payloads[:number], resource))
        if number == len(packets):
            capacity -= number
        else:
            capacity, base = 0, snapshot.key << INDEX_BITS
            ready += [base | packet.index for packet in packets[number:]]
    return runs


def _store_packets(store: Store, plan: AcceptPlan) -> None:
    """Store the packets of *plan*, all or none: `apsw.ConstraintError` where an index is there."""
    rows = [(key, str(packet.payload, "utf-8"), zlib.crc32(packet.payload)) for key, packet in plan.new.items()]
    store.run_rows("insert_packets", rows, size=plan.packet_bytes)


def _opening(store: Store, snapshot: Snapshot) -> list[object]:
    return [
        snapshot.key,
        snapshot.resource_id,
        snapshot.generation.hex(),
        snapshot.total,
        snapshot.total_by,
        snapshot.metadata and snapshot.metadata.decode(),
        snapshot.received,
        snapshot.highest,
        store.wall,
        store.active,
        *first_times(store.ledger_limits, uptime=store.active, now=store.now),
    ]


def _growth(snapshot: Snapshot) -> list[object]:
    metadata = snapshot.metadata and snapshot.metadata.decode()
    return [snapshot.key, snapshot.total, snapshot.total_by, metadata, snapshot.received, snapshot.highest]
