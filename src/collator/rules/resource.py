"""The rules R4 to R16: what a packet means for its resource, and when a resource is finished. Pure.

Everything that decides about accepting and finishing lives here; a store repeats only what must be atomic in it. This
module knows no clock, no store and no network: times are arguments, and a verdict is a value.

Theory. A resource is open until it ends, and it ends once. It is finished when its total is known and the set of
indexes with an outcome is exactly 0 ... total-1 (R10). Indexes are unique in the store and never reach the total, so
the *number of distinct indexes* with an outcome says the same as the set; messages are never counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter

import msgspec

from collator.packet import ACCEPTED, DUPLICATE, Packet, PacketLimits, Receipt, Status, claimed_total
from collator.states import EndedBy, OnFailure, State

INDEX_BITS = 24
"""A packet's key is ``snapshot.key << INDEX_BITS | index``."""
INDEX_MASK = (1 << INDEX_BITS) - 1

Ranges = Sequence[tuple[int, int]]
"""Inclusive ranges of indexes, ascending: ``[(3, 7), (9, 9)]``."""


class LedgerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits by which the ledger decides. Durations in seconds, sizes in bytes; `None` means never."""

    packet_limits: PacketLimits = PacketLimits()
    on_failure: OnFailure = OnFailure.INCOMPLETE
    idle_timeout: float | None = 3600.0
    """Silence of a sender, in time during which the service accepted (R13)."""
    deadline: float | None = None
    """From the opening (R14)."""
    max_output: int = 1024 * 1024
    max_body: int = 64 * 1024 * 1024
    max_open: int = 10_000_000
    max_backlog: int = 8 * 1024 * 1024 * 1024
    """Bytes of packets that wait and of open resources (`collator.rules.footprint`); beyond it none are taken (R9).

    Those of open resources count for new ids and new metadata alone: their other packets are what ends them.
    """
    max_leased: int = 64 * 1024 * 1024
    """Payload bytes handed out at any one time; the rest waits in the store."""
    task_lease: float = 30.0
    delivery_lease: float = 30.0
    """Outlasts the timeout of a delivery by 15 s (R24)."""
    retention: float = 86_400.0
    """From the end of the last delivery of a resource (R25)."""
    dead_retention: float | None = None
    remember: float | None = 30 * 86_400.0
    """From the removal of a resource after its retention: how long its end is remembered (R25)."""
    clock_jump: float | None = None
    """A clock that is further ahead at a start than the store's own time has jumped: that time goes on without it."""
    hand_out_metadata: bool = False
    """Whether packets are handed out with the metadata of their resource, which a processor may ask for."""
    max_deaths: int = 3
    """A packet that was in work alone when the process died, this many times, has failed."""
    side_by_side: int = 0
    """A packet that was in work at up to so many unclean stops runs beside others; at more, alone at first. 0 where the
    processor is called in the process of the ledger, so that a packet may end it."""
    alone: float = 2.0
    """How long such a packet runs alone before another is handed out; four times as long after each further stop."""


class Snapshot(msgspec.Struct, kw_only=True, gc=False):
    """The snapshot of one resource that the rules judge: a working copy, changed by `admit` as a batch is judged."""

    resource_id: str
    generation: bytes
    """128 random bits, new at every opening (R11)."""
    key: int = 0
    """The store's own handle on this generation."""
    state: State = State.OPEN
    total: int | None = None
    total_by: EndedBy | None = None
    metadata: bytes | None = None
    received: int = 0
    """Distinct indexes there."""
    highest: int = -1
    """The highest index there."""
    done: int = 0
    failed: int = 0
    body_size: int = 0
    """Bytes of the outputs so far, with their separators (R19)."""
    withdrawn: int = 0
    """Failures that were withdrawn by a retry, whose numbers are not given again (R26)."""
    seen: Ranges = ()
    """The indexes received, once the resource has ended (R8)."""
    outputs: tuple[list[int], list[bytes]] | None = None
    """All outputs, where the store still has them in memory: their indexes, and themselves."""

    @property
    def seq(self) -> int:
        """The number of the last outcome that was recorded, 0 for none (R26)."""
        return self.done + self.failed + self.withdrawn

    @property
    def unfinished(self) -> int:
        """The number of packets that have no outcome yet."""
        return self.received - self.done - self.failed


class Ending(msgspec.Struct, frozen=True):
    """The end of a resource."""

    state: State
    ended_by: EndedBy | None


def judge(packet: Packet, snapshot: Snapshot, stored: bytes | None) -> Receipt:
    """Judge *packet* for a resource in which its index holds the payload *stored* (`None`: not received yet).

    Pure: changes nothing. `admit` makes an accepted or duplicate packet count.
    """
    if snapshot.state is not State.OPEN:
        if covers(snapshot.seen, packet.index):
            return DUPLICATE
        late = f"the resource has ended ({snapshot.state}) and never received index {packet.index}"
        return Receipt(Status.CLOSED, late)
    reason = _contradiction(packet, snapshot, stored)
    if reason is not None:
        return Receipt(Status.CONFLICT, reason)
    return ACCEPTED if stored is None else DUPLICATE


def admit(packet: Packet, snapshot: Snapshot, *, new: bool) -> bool:
    """Make a packet that was judged accepted (*new*) or duplicate count; whether it changed the snapshot."""
    changed = new
    if new:
        snapshot.received += 1
        snapshot.highest = max(snapshot.highest, packet.index)
    claimed = claimed_total(packet)
    if claimed is not None and snapshot.total is None:
        snapshot.total, snapshot.total_by = claimed, EndedBy.LAST if packet.last else EndedBy.TOTAL
        changed = True
    if packet.metadata and snapshot.metadata is None:
        snapshot.metadata = bytes(packet.metadata)
        changed = True
    return changed


def admit_together(packets: Sequence[Packet], snapshot: Snapshot) -> bool:
    """Make *packets* count, whose indexes are new and differ, if that is what comes of them one by one in any order.

    Returns whether it is. Where it is not, nothing has changed, and they are judged one by one.
    """
    if snapshot.state is not State.OPEN or [packet for packet in packets if packet.metadata]:
        return False
    claims = [packet for packet in packets if packet.last or packet.total is not None]
    totals = {snapshot.total, *map(claimed_total, claims)} - {None}
    if len(totals) > 1:
        return False
    total = totals.pop() if totals else None
    highest = max(snapshot.highest, *[packet.index for packet in packets])
    if total is not None and highest >= total:
        return False
    if snapshot.total is None and claims:
        snapshot.total, snapshot.total_by = total, EndedBy.LAST if claims[0].last else EndedBy.TOTAL
    snapshot.received += len(packets)
    snapshot.highest = highest
    return True


def finished(snapshot: Snapshot, on_failure: OnFailure) -> Ending | None:
    """The end of *snapshot* by what it has (R10, R16); `None` while it goes on."""
    if snapshot.failed and on_failure is OnFailure.FAIL_FAST:
        return Ending(State.INCOMPLETE, EndedBy.FAILURE)
    if snapshot.total is None or snapshot.done + snapshot.failed != snapshot.total:
        return None
    if not snapshot.failed:
        return Ending(State.COLLATED, snapshot.total_by)
    return None if on_failure is OnFailure.HOLD else Ending(State.INCOMPLETE, snapshot.total_by)


def forced(snapshot: Snapshot) -> Ending:
    """The end of *snapshot* when a person closes it now (R15).

    Whole where every index up to the highest has an output and no total says that more were to come.
    """
    whole = snapshot.done == snapshot.highest + 1 and snapshot.total in (None, snapshot.done) and not snapshot.failed
    return Ending(State.COLLATED if whole else State.INCOMPLETE, EndedBy.FORCED)


def waits_for_sender(snapshot: Snapshot) -> bool:
    """Return whether only the sender can move *snapshot* on: the condition under which it can time out (R13)."""
    return not snapshot.unfinished and (snapshot.total is None or snapshot.received < snapshot.total)


def ranges(indexes: Iterable[int]) -> Ranges:
    """Ascending *indexes* as inclusive ranges."""
    found: list[tuple[int, int]] = []
    first = last = -2
    for index in indexes:
        if index != last + 1:
            found.append((first, last))
            first = index
        last = index
    found.append((first, last))
    return found[1:]


def gaps(present: Ranges, end: int) -> Ranges:
    """The ranges of 0 ... *end*-1 that are not *present*."""
    found, begin = list[tuple[int, int]](), 0
    for first, last in present:
        if begin < first:
            found.append((begin, first - 1))
        begin = last + 1
    if begin < end:
        found.append((begin, end - 1))
    return found


def covers(present: Ranges, index: int) -> bool:
    """Return whether *index* is in *present*. By halves: a late packet may meet hundreds of thousands of ranges."""
    place = bisect_right(present, index, key=_first)
    return place > 0 and index <= present[place - 1][1]


_first = itemgetter(0)


def _contradiction(packet: Packet, snapshot: Snapshot, stored: bytes | None) -> str | None:
    if stored is not None and stored != bytes(packet.payload):
        return f"index {packet.index} is stored with another payload"
    total, claimed = snapshot.total, claimed_total(packet)
    if claimed is not None and claimed != total:
        if total is not None:
            return f"the total {claimed} contradicts the known total {total}"
        if claimed <= snapshot.highest:
            return f"the total {claimed} contradicts the stored index {snapshot.highest}"
    if total is not None and packet.index >= total:
        return f"index {packet.index} is beyond the total {total}"
    if packet.metadata and snapshot.metadata not in (None, bytes(packet.metadata)):
        return "the resource has different metadata"
    return None
