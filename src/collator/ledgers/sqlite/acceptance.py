"""The step of `Ledger.accept`: judge a batch against what is there, and store what is taken.

First every index is taken to be new: one insert for the batch, and the count of rows says whether that was so. Only
where it was not are the stored payloads read and the batch judged again.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, count, islice
from operator import itemgetter

import msgspec

from collator.ledgers.sqlite import tombstones
from collator.ledgers.sqlite.claims import refresh
from collator.ledgers.sqlite.closure import close_finished
from collator.ledgers.sqlite.leases import Held
from collator.ledgers.sqlite.runs import Leased, runs_of
from collator.ledgers.sqlite.store import BULKY, Store, as_json, decode_ranges
from collator.messages import Accepted, Group
from collator.packet import Packet
from collator.rules.acceptance import OTHER, AcceptPlan, Basis, Snapshots, offered_sizes, plan_groups
from collator.rules.expiry import first_times
from collator.rules.resource import INDEX_BITS, INDEX_MASK, Snapshot, ranges
from collator.states import State

_place = itemgetter(0)
_ENDED_EARLY = frozenset({State.INCOMPLETE, State.CANCELLED})
_decode_keys = msgspec.json.Decoder(list[int]).decode
_decode_sizes = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_stored = msgspec.json.Decoder(list[tuple[int, str]]).decode


def accept(store: Store, batch: Sequence[tuple[Sequence[Group], int]]) -> list[Accepted]:
    """Store *batch*, a list of (groups, capacity), and answer each of its parts."""
    plan, snapshots = _insert(store, [group for groups, _ in batch for group in groups])
    open_resources(store, plan.opened, plan.resource_bytes)
    grown = plan.grown()
    store.run_rows("grow_resources", [_growth(snapshot) for snapshot in grown], store.active)
    store.count(waiting=len(plan.new), backlog=plan.packet_bytes)
    closed = close_finished(store, grown, capacity={}, known_at={}) if grown else None
    store.resources.put(snapshots.values())
    return _lease_new(store, batch, plan, closed.endpoints if closed else frozenset())


def open_resources(store: Store, snapshots: Sequence[Snapshot], size: int) -> None:
    """Store *snapshots*, which are new generations, and count *size* bytes that open resources take from now on."""
    store.run_rows("open_resources", [_opening(store, snapshot) for snapshot in snapshots])
    store.count(open=len(snapshots), backlog=size, open_bytes=size)


def _insert(store: Store, groups: Sequence[Group]) -> tuple[AcceptPlan, Snapshots]:
    """Store the packets of *groups* that are accepted; the plan of all, and the snapshots that it has changed."""
    snapshots = _look_up(store, groups)
    plan = _plan(store, groups, snapshots, {})
    store.run("mark")
    if _store_packets(store, plan) != len(plan.new):
        store.run("undo_to_mark")
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
    if len(found) < len(ids):
        gone = tombstones.find(store, [id_ for id_ in ids if id_ not in found])
        found |= {snapshot.resource_id: snapshot for snapshot in gone}
    return found


def _look_up_late(store: Store, groups: Sequence[Group], found: Mapping[str | int, Snapshot]) -> None:
    """Say of those that have ended, and not whole, which of the indexes of *groups* they had received (R8).

    All of them may be hundreds of thousands of ranges, which are read only while the packets themselves are removed.
    """
    ended = {id_: one for id_, one in found.items() if one.key and one.state in _ENDED_EARLY}
    if not ended:
        return
    asked = {
        ended[packet.resource_id].key << INDEX_BITS | packet.index
        for packet in chain(*groups)
        if packet.resource_id in ended
    }
    there = _decode_keys(store.value("received", as_json([*asked])).encode())
    unknown = {key >> INDEX_BITS for key in asked.difference(there)}
    indexes: dict[int, list[int]] = {one.key: [] for one in ended.values()}
    for key in there:
        indexes[key >> INDEX_BITS].append(key & INDEX_MASK)
    for snapshot in ended.values():
        before = store.value("received_before", snapshot.key) if snapshot.key in unknown else None
        snapshot.seen = ranges(indexes[snapshot.key]) if before is None else decode_ranges(before)


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
    store: Store, batch: Sequence[tuple[Sequence[Group], int]], plan: AcceptPlan, endpoints: frozenset[str]
) -> list[Accepted]:
    """Lease what there is room for, unless others wait: those come first."""
    refresh(store)
    idle = not (store.ready or store.suspects or store.packets.alone(store.running))
    answers: list[Accepted] = []
    ready: list[int] = []
    new, start, told = iter(plan.new.items()), 0, 0
    until = store.running + store.ledger_limits.task_lease
    for groups, capacity in batch:
        size = sum([len(group) for group in groups])
        until_told = bisect_left(plan.exceptions, start + size, lo=told, key=_place)
        exceptions = [(place - start, receipt) for place, receipt in plan.exceptions[told:until_told]]
        start, told = start + size, until_told
        mine = list(islice(new, size - len(exceptions)))
        leased = _lease(store, mine[:capacity], until) if idle else []
        ready += [key for key, _ in mine[len(leased) :]]
        runs = runs_of(leased, _metadata(store, mine))
        answers.append(Accepted(size, exceptions, runs, len(mine) - len(leased), endpoints))
    store.ready += store.run_rows("add_ready", ready)
    return answers


def _lease(store: Store, rows: Sequence[tuple[int, tuple[Packet, Snapshot]]], until: float) -> Sequence[Leased]:
    """Lease the first of *rows*, as far as there is room for their bytes; one in any case where nothing is held."""
    sizes = [len(packet.payload) for _, (packet, _) in rows]
    fit = bisect_right([*accumulate(sizes)], store.ledger_limits.max_leased - store.packets.size)
    some = rows[: fit or int(not len(store.packets))]
    if not some:
        return []
    numbers = store.packets.grant_all(
        [Held(key, until, size) for (key, _), size in zip(some, sizes[: len(some)], strict=True)]
    )
    return [
        (number, key, snapshot.resource_id, snapshot.generation, bytes(packet.payload), 1)
        for number, (key, (packet, snapshot)) in zip(numbers, some, strict=True)
    ]


def _metadata(store: Store, rows: Sequence[tuple[int, tuple[Packet, Snapshot]]]) -> Mapping[int, bytes]:
    """Return the metadata of the resources in *rows* that have some, by row, where it is handed out."""
    if not store.ledger_limits.hand_out_metadata:
        return {}
    return {snapshot.key: snapshot.metadata for _, (_, snapshot) in rows if snapshot.metadata is not None}


def _store_packets(store: Store, plan: AcceptPlan) -> int:
    """Store the packets of *plan*, but for those whose index is there; how many."""
    rows = [(key, str(packet.payload, "utf-8"), zlib.crc32(packet.payload)) for key, (packet, _) in plan.new.items()]
    if plan.packet_bytes > BULKY * len(rows):
        return store.run_each("insert_packet", rows)
    return store.run_rows("insert_packets", rows)


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
