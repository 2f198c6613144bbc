"""The plan of a batch of packets: what is stored of it, and what each packet is answered. Pure; rules R5 to R9.

Packets come in groups, one resource each, and are judged one by one in order (R7), against snapshots of their
resources that change as the batch goes on; those of a group all at once where nothing is odd about any of them, so that
their order makes no difference. A ledger looks up the snapshots and the payloads that are there, asks for
the plan, and stores it; what it could not have seen (an index that is there after all) shows as it stores, and then it
looks again and asks again.

The backlog (R9) has two parts that meet one limit. Packets that wait count for every packet. What open resources take
counts for new ids and new metadata alone: their other packets are what ends them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain

import msgspec

from collator.messages import Counts, Group
from collator.packet import ACCEPTED, DUPLICATE, Packet, Receipt, Status
from collator.rules.footprint import of_packet, of_packets, of_resource
from collator.rules.resource import INDEX_BITS, INDEX_MASK, LedgerLimits, Snapshot, admit, admit_together, judge, ranges
from collator.states import State

OTHER = b""
"""Stands for a payload that need not be read, as it cannot be equal: none is empty."""

ENDED_EARLY = frozenset({State.INCOMPLETE, State.CANCELLED})
"""States in which a resource may end without some of its packets, so that a late one need not be a repeat (R8)."""

_TOGETHER = 2
"""Packets from which it takes less time to judge them together."""

Snapshots = dict[str | int, Snapshot]
"""By resource id; working copies, which a plan changes and to which it adds what it opens."""


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch is judged by, beside the packets that are there."""

    limits: LedgerLimits
    counts: Counts
    """As they were before the batch."""
    opening: Callable[[str], tuple[int, bytes]]
    """The handle and the generation for a new opening of an id."""


class AcceptPlan(msgspec.Struct):
    """The plan for a batch, before any of it is stored."""

    size: int = 0
    """Packets that were judged."""
    exceptions: list[tuple[int, Receipt]] = []
    """What became of those that are not accepted, by their places."""
    new: dict[int, Packet] = {}
    """Packets to store, by key, in order."""
    taken: list[Group] = []
    """The same by group: those of each that are stored."""
    opened: list[Snapshot] = []
    changed: dict[int, Snapshot] = {}
    """Snapshots that differ from the store, by handle, the opened ones among them."""
    packet_bytes: int = 0
    """What `new` counts as backlog."""
    resource_bytes: int = 0
    """What else open resources take: new ids, and metadata that comes late."""
    held_up: bool = False
    """Whether a sender was refused for what waits, so that no silence may be held against any (R13)."""

    def grown(self) -> list[Snapshot]:
        """Return the changed snapshots of resources that were there."""
        if len(self.changed) == len(self.opened):
            return []
        opened = {snapshot.key for snapshot in self.opened}
        return [snapshot for key, snapshot in self.changed.items() if key not in opened]


def plan_groups(groups: Iterable[Group], snapshots: Snapshots, stored: Mapping[int, bytes], basis: Basis) -> AcceptPlan:
    """Judge the packets of *groups* one by one.

    They are judged against *snapshots* and the payloads that are *stored*, by key: `OTHER` for one that is not read.
    """
    plan = AcceptPlan()
    for group in groups:
        place, start, told = 0, plan.size, len(plan.exceptions)
        while place < len(group) and group[place].resource_id not in snapshots:
            _answer(plan, _open(plan, group[place], snapshots, basis))
            place += 1
        left = group[place:] if place else group
        together = len(left) >= _TOGETHER
        if not together or not _admit_together(plan, left, snapshots[left[0].resource_id], stored, basis):
            for packet in left:
                _answer(plan, _judge(plan, packet, snapshots[packet.resource_id], stored, basis))
        if len(plan.exceptions) == told:
            plan.taken.append(group)
            continue
        others = {place - start for place, _ in plan.exceptions[told:]}
        plan.taken.append([one for place, one in enumerate(group) if place not in others])
    return plan


def _answer(plan: AcceptPlan, receipt: Receipt) -> None:
    if receipt is not ACCEPTED:
        plan.exceptions.append((plan.size, receipt))
    plan.size += 1


def _admit_together(
    plan: AcceptPlan, packets: Sequence[Packet], snapshot: Snapshot, stored: Mapping[int, bytes], basis: Basis
) -> bool:
    """Admit *packets*, of a resource that is there, at once, if each of them would be accepted; whether that is so."""
    size = plan.packet_bytes + of_packets([len(packet.payload) for packet in packets])
    if basis.counts.backlog - basis.counts.open_bytes + size > basis.limits.max_backlog:
        return False
    base = snapshot.key << INDEX_BITS
    keys = [base | packet.index for packet in packets]
    new = len({*keys}) == len(keys) and plan.new.keys().isdisjoint(keys) and stored.keys().isdisjoint(keys)
    if not new or not admit_together(packets, snapshot):
        return False
    plan.new.update(zip(keys, packets, strict=True))
    plan.changed[snapshot.key] = snapshot
    plan.packet_bytes = size
    plan.size += len(packets)
    return True


def _judge(plan: AcceptPlan, packet: Packet, snapshot: Snapshot, stored: Mapping[int, bytes], basis: Basis) -> Receipt:
    """Judge a packet of a resource that is there."""
    key = snapshot.key << INDEX_BITS | packet.index
    earlier = plan.new.get(key)
    before = stored.get(key)
    if earlier is not None:
        same_length = len(earlier.payload) == len(packet.payload)
        before = bytes(earlier.payload) if same_length else OTHER
    receipt = judge(packet, snapshot, before)
    if receipt is ACCEPTED:
        return _admit(plan, key, packet, snapshot, basis)
    if receipt is DUPLICATE and snapshot.state is State.OPEN:
        return _admit_again(plan, packet, snapshot, basis)
    return receipt


def offered_sizes(packets: Iterable[Packet], snapshots: Mapping[str | int, Snapshot]) -> dict[int, set[int]]:
    """Return the sizes of the payloads that *packets* offer to resources that are open, by key.

    A payload that is there in none of these sizes is `OTHER`, so that no more has to be read than was sent: a packet of
    40 bytes may be for an index that holds a megabyte.
    """
    offered: dict[int, set[int]] = {}
    for packet in packets:
        snapshot = snapshots.get(packet.resource_id)
        if snapshot is not None and snapshot.state is State.OPEN:
            offered.setdefault(snapshot.key << INDEX_BITS | packet.index, set()).add(len(packet.payload))
    return offered


def late_keys(groups: Iterable[Group], ended: Mapping[str | int, Snapshot]) -> set[int]:
    """Return the keys of those packets of *groups* that are for resources which have *ended*, by id."""
    return {
        ended[packet.resource_id].key << INDEX_BITS | packet.index
        for packet in chain(*groups)
        if packet.resource_id in ended
    }


def note_received(ended: Collection[Snapshot], keys: Iterable[int], there: Iterable[int]) -> list[Snapshot]:
    """Note in snapshots that have *ended* which of the packets *keys* they had received: those that are *there*.

    Returns those that lack some of them. Where a resource is being removed, what it had received is kept elsewhere: all
    of it may be hundreds of thousands of ranges, so that it is read only then.
    """
    indexes: dict[int, list[int]] = {snapshot.key: [] for snapshot in ended}
    found = {*there}
    for key in sorted(found):
        indexes[key >> INDEX_BITS].append(key & INDEX_MASK)
    for snapshot in ended:
        snapshot.seen = ranges(indexes[snapshot.key])
    lacking = {key >> INDEX_BITS for key in keys if key not in found}
    return [snapshot for snapshot in ended if snapshot.key in lacking]


def _open(plan: AcceptPlan, packet: Packet, snapshots: Snapshots, basis: Basis) -> Receipt:
    """Open the resource of *packet*, if the limits allow another and its packet."""
    if basis.counts.open + len(plan.opened) >= basis.limits.max_open:
        return _refused(f"the limit of {basis.limits.max_open} open resources is reached (max_open)")
    snapshot = Snapshot(resource_id=str(packet.resource_id), generation=b"")
    receipt = judge(packet, snapshot, None)
    size = plan.packet_bytes + of_packet(len(packet.payload))
    growth = of_resource(snapshot.resource_id, packet.metadata)
    refusal = _beyond_limit(plan, size, growth, basis) if receipt is ACCEPTED else receipt
    if refusal is not None:
        return refusal
    snapshot.key, snapshot.generation = basis.opening(snapshot.resource_id)
    snapshots[snapshot.resource_id] = snapshot
    plan.opened.append(snapshot)
    plan.packet_bytes, plan.resource_bytes = size, plan.resource_bytes + growth
    return _store(plan, snapshot.key << INDEX_BITS | packet.index, packet, snapshot)


def _admit(plan: AcceptPlan, key: int, packet: Packet, snapshot: Snapshot, basis: Basis) -> Receipt:
    """Admit a new packet of a resource that is there, if the limit allows it."""
    size = plan.packet_bytes + of_packet(len(packet.payload))
    growth = _late_metadata(packet, snapshot)
    refusal = _beyond_limit(plan, size, growth, basis)
    if refusal is not None:
        return refusal
    plan.packet_bytes, plan.resource_bytes = size, plan.resource_bytes + growth
    return _store(plan, key, packet, snapshot)


def _store(plan: AcceptPlan, key: int, packet: Packet, snapshot: Snapshot) -> Receipt:
    plan.new[key] = packet
    plan.changed[snapshot.key] = snapshot
    admit(packet, snapshot, new=True)
    return ACCEPTED


def _admit_again(plan: AcceptPlan, packet: Packet, snapshot: Snapshot, basis: Basis) -> Receipt:
    """Admit a repeat, which may say what was not known yet (R5)."""
    growth = _late_metadata(packet, snapshot)
    if growth and basis.counts.backlog + plan.packet_bytes + plan.resource_bytes + growth > basis.limits.max_backlog:
        return _full(basis)
    if admit(packet, snapshot, new=False):
        plan.resource_bytes += growth
        plan.changed[snapshot.key] = snapshot
    return DUPLICATE


def _late_metadata(packet: Packet, snapshot: Snapshot) -> int:
    """The bytes that the metadata of a later packet adds to the backlog."""
    if not packet.metadata or snapshot.metadata is not None:
        return 0
    return of_resource(snapshot.resource_id, packet.metadata) - of_resource(snapshot.resource_id, None)


def _beyond_limit(plan: AcceptPlan, size: int, growth: int, basis: Basis) -> Receipt | None:
    """Return the refusal where *size* bytes of packets, with *growth* of their resource, are beyond the limit (R9)."""
    counts, most = basis.counts, basis.limits.max_backlog
    if counts.backlog - counts.open_bytes + size > most:
        plan.held_up = True
        return _full(basis)
    if growth and counts.backlog + size + plan.resource_bytes + growth > most:
        return _full(basis)  # time goes on meanwhile: what open resources take may be freed by nothing else
    return None


def _full(basis: Basis) -> Receipt:
    return _refused(f"the backlog of {basis.counts.backlog} bytes is near its limit (max_backlog)")


def _refused(reason: str) -> Receipt:
    return Receipt(Status.REFUSED, reason, retry_after=1.0)
