"""The step of `Ledger.accept`: judge a batch against what is there, and store what is taken.

The resources of the batch are locked in the order of their ids, those that are new created before. From then on nobody
else changes what the batch is judged against.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter

from collator.ledgers.postgresql import tombstones
from collator.ledgers.postgresql.closure import close_finished
from collator.ledgers.postgresql.failures import Changed
from collator.ledgers.postgresql.leases import Held, NewLease, grant, hand_out_allowed, store_waiting
from collator.ledgers.postgresql.plain import accept_plain
from collator.ledgers.postgresql.step import Step, as_snapshot, decode_ranges
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


async def accept(step: Step, batch: Sequence[tuple[Sequence[Group], int]]) -> list[Accepted]:
    """Store *batch*, a list of (groups, capacity), and answer each of its parts."""
    return await accept_plain(step, batch) or await _accept_odd(step, batch)


async def _accept_odd(step: Step, batch: Sequence[tuple[Sequence[Group], int]]) -> list[Accepted]:
    await step.look_around()
    groups = [group for part, _ in batch for group in part]
    ids = sorted({str(group[0].resource_id) for group in groups if group}, key=str.encode)
    found, new = await lock(step, ids)
    await _look_up_late(step, groups, found)
    opening = {one.resource_id: (one.key, one.generation) for one in new.values()}
    basis = Basis(limits=step.ledger_limits, counts=step.counts, opening=lambda id_: opening[id_])
    step.wrote = True  # a repeat is promised, too: only once what it repeats is wherever commits have to be
    plan = plan_groups(groups, found, await _stored(step, [*chain(*groups)], found), basis)
    if unopened := {one.key for one in new.values()} - {one.key for one in plan.opened}:
        await step.run("drop_resources", [*unopened])
    await _store_packets(step, plan)
    await store_opened(step, plan.opened, plan.resource_bytes)
    grown = plan.grown()
    await step.run_rows("grow_resources", [_growth(snapshot) for snapshot in grown], step.active)
    step.count(waiting=len(plan.new), backlog=plan.packet_bytes)
    if plan.held_up:
        step.at_end("note_refusal")
    closed = await close_finished(step, grown, capacity={}, known_at={}) if grown else None
    return await _lease_new(step, batch, plan, found, closed.endpoints if closed else frozenset())


async def lock(step: Step, ids: Sequence[str]) -> tuple[Snapshots, dict[str, Snapshot]]:
    """Lock the resources *ids*, which are in order: those that are there or remembered, and those that are new."""
    generations = [os.urandom(16) for _ in ids]
    looked = await step.rows("look", ids, generations, *step.beside) if ids else []
    rows = {row["id"]: row for row in looked}
    found: Snapshots = {}
    new: dict[str, Snapshot] = {}
    for id_, generation in zip(ids, generations, strict=True):
        row = rows.get(id_)
        if row is not None:
            (new if row["generation"] == generation else found)[id_] = as_snapshot(row)
    gone = [id_ for id_ in ids if id_ not in rows]
    if gone:
        found.update(await tombstones.find(step, gone))
        if any(id_ not in found for id_ in gone):  # forgotten in this moment: it is new
            raise Changed
    return found, new


async def store_opened(step: Step, snapshots: Sequence[Snapshot], size: int) -> None:
    """Store *snapshots*, which are new generations, and count *size* bytes that open resources take from now on."""
    rows = [_growth(snapshot) for snapshot in snapshots]
    await step.run_rows(
        "open_resources",
        rows,
        step.active,
        step.wall,
        *first_times(step.ledger_limits, uptime=step.active, now=step.now),
    )
    step.count(open=len(snapshots), backlog=size, open_bytes=size)


async def _look_up_late(step: Step, groups: Sequence[Group], found: Mapping[str | int, Snapshot]) -> None:
    """Say of those that have ended, and not whole, which of the indexes of *groups* they had received (R8)."""
    ended = {id_: one for id_, one in found.items() if one.key and one.state in ENDED_EARLY}
    if not ended:
        return
    keys = late_keys(groups, ended)
    there = [row["k"] for row in await step.rows("sizes_of_packets", [*keys])]
    for snapshot in note_received(ended.values(), keys, there):
        before = await step.value("received_before", snapshot.key)
        if before is not None:
            snapshot.seen = decode_ranges(before)


async def _stored(step: Step, packets: Sequence[Packet], found: Mapping[str | int, Snapshot]) -> Mapping[int, bytes]:
    """The payloads that are stored for *packets*, by key; `OTHER` where it has another length than those offered."""
    offered = offered_sizes(packets, found)
    if not offered:
        return {}
    sizes = {row["k"]: row["size"] for row in await step.rows("sizes_of_packets", [*offered])}
    stored = dict.fromkeys(sizes, OTHER)
    equal = [key for key, size in sizes.items() if size in offered[key]]
    if equal:
        stored.update((row["k"], row["payload"]) for row in await step.rows("stored_payloads", equal))
    return stored


async def _store_packets(step: Step, plan: AcceptPlan) -> None:
    rows = []
    for key, packet in plan.new.items():
        payload = bytes(packet.payload)
        rows.append((key, payload, zlib.crc32(payload)))
    await step.run_rows("insert_packets", rows)


async def _lease_new(
    step: Step,
    batch: Sequence[tuple[Sequence[Group], int]],
    plan: AcceptPlan,
    snapshots: Snapshots,
    endpoints: frozenset[str],
) -> list[Accepted]:
    """Lease what there is room for, unless others wait: those come first."""
    idle = any(capacity > 0 for _, capacity in batch) and bool(plan.new) and await hand_out_allowed(step)
    answers: list[Accepted] = []
    leases: list[NewLease] = []
    waiting: list[tuple[int, int]] = []
    taken, start, told = iter(plan.taken), 0, 0
    for groups, capacity in batch:
        size = sum([len(group) for group in groups])
        until_told = bisect_left(plan.exceptions, start + size, lo=told, key=_place)
        exceptions = [(place - start, receipt) for place, receipt in plan.exceptions[told:until_told]]
        start, told = start + size, until_told
        mine = [(packet, snapshots[packet.resource_id]) for some in islice(taken, len(groups)) for packet in some]
        runs, leased = _lease(step, mine[:capacity], leases) if idle else ([], 0)
        waiting += [(snapshot.key, packet.index) for packet, snapshot in mine[leased:]]
        answers.append(Accepted(size, exceptions, runs, len(mine) - leased, endpoints))
    await grant(step, leases)
    await store_waiting(step, waiting)
    return answers


def _lease(step: Step, rows: Sequence[tuple[Packet, Snapshot]], leases: list[NewLease]) -> tuple[list[Run], int]:
    """Lease as many of *rows*, new packets, as there is room for: their runs, and how many packets."""
    runs: list[Run] = []
    number = 0
    lease: NewLease | None = None
    for packet, snapshot in rows:
        payload = bytes(packet.payload)
        if step.leased + len(payload) > step.ledger_limits.max_leased and step.leased:
            break
        if lease is None or lease.resource_row != snapshot.key:
            lease = NewLease(step, snapshot.key, snapshot.resource_id, snapshot.generation, snapshot.metadata)
            leases.append(lease)
            runs.append(lease.run)
        lease.add(step, Held(snapshot.key << INDEX_BITS | packet.index, len(payload)), payload)
        number += 1
    return runs, number


def _growth(snapshot: Snapshot) -> list[object]:
    return [
        snapshot.key,
        snapshot.total,
        snapshot.total_by,
        snapshot.metadata,
        snapshot.received,
        snapshot.highest,
    ]
