"""What a batch of packets means, with no store in sight: limits, order and sizes (R5 to R9)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct, field
from msgspec.structs import asdict, replace

from collator.messages import Batch, Counts, Group
from collator.packet import ACCEPTED, Packet, Receipt, Status
from collator.rules.acceptance import (
    OTHER,
    AcceptPlan,
    Basis,
    Snapshots,
    late_keys,
    note_received,
    offered_sizes,
    plan_groups,
)
from collator.rules.footprint import of_packet, of_resource
from collator.rules.resource import INDEX_BITS, LedgerLimits, Snapshot
from collator.states import State


class Model(Struct):
    """What a ledger holds, as far as a batch is judged by it."""

    limits: LedgerLimits = LedgerLimits()
    counts: Counts = Counts()
    snapshots: Snapshots = {}
    stored: dict[int, bytes] = {}
    handles: count[int] = field(default_factory=lambda: count(1))

    def accept(self, packets: Sequence[Packet]) -> AcceptPlan:
        """Judge *packets* one by one and store what is taken."""
        return self.accept_groups([[one] for one in packets])

    def accept_groups(self, groups: Sequence[Group]) -> AcceptPlan:
        """Judge the packets of *groups* and store what is taken."""
        basis = Basis(limits=self.limits, counts=self.counts, opening=lambda id_: (next(self.handles), id_.encode()))
        plan = plan_groups(groups, self.snapshots, self.stored, basis)
        self.stored |= {key: bytes(packet.payload) for key, packet in plan.new.items()}
        self.counts = replace(
            self.counts,
            open=self.counts.open + len(plan.opened),
            backlog=self.counts.backlog + plan.packet_bytes + plan.resource_bytes,
            open_bytes=self.counts.open_bytes + plan.resource_bytes,
        )
        return plan

    def statuses(self, *packets: Packet) -> list[Status]:
        return [receipt.status for receipt in receipts(self.accept(packets))]


def receipts(plan: AcceptPlan) -> list[Receipt]:
    """A receipt for each packet, in the order in which they were judged."""
    exceptions = dict(plan.exceptions)
    return [exceptions.get(place, ACCEPTED) for place in range(plan.size)]


def taken_of(groups: Sequence[Group], plan: AcceptPlan) -> list[int]:
    """How many packets of each of *groups* are accepted."""
    accepted = iter(receipts(plan))
    return [sum([next(accepted) is ACCEPTED for _ in group]) for group in groups]


def packet(index: int, id_: str = "r", payload: bytes = b"1", metadata: bytes = b"", *, last: bool = False) -> Packet:
    return Packet(id_, index, Raw(payload), last, None, Raw(metadata))


packets = st.lists(
    st.builds(
        packet,
        st.integers(0, 6),
        st.sampled_from("abcd"),
        st.sampled_from([b"1", b"2", b"33", b"4" * 2000]),
        st.sampled_from([b"", b"", b'{"a":1}', b'{"b":2}']),
        last=st.booleans(),
    ),
    max_size=40,
)
bounds = st.builds(
    LedgerLimits, max_open=st.sampled_from([0, 2, 3, 100]), max_backlog=st.sampled_from([0, 300, 900, 5000, 10**6])
)


def claiming(index: int, id_: str, claim: str, payload: bytes) -> Packet:
    """Return a packet that says how many there are, or not."""
    return replace(packet(index, id_, payload, last=claim == "last"), total=7 if claim == "total" else None)


@st.composite
def grouped(draw: st.DrawFn) -> list[list[Packet]]:
    """Groups in which mostly nothing is odd."""
    groups = []
    for _ in range(draw(st.integers(0, 6))):
        id_ = draw(st.sampled_from("ab"))
        indexes = draw(st.lists(st.integers(0, 7), max_size=6, unique=draw(st.integers(0, 3)) > 0))
        claims = st.sampled_from(["", "", "", "total", "last"])
        groups.append([claiming(one, id_, draw(claims), draw(st.sampled_from([b"1", b"1", b"22"]))) for one in indexes])
    return groups


@given(groups=grouped(), limits=bounds, over=st.booleans())
def test_r7_a_group_is_judged_at_once_as_its_packets_one_by_one(
    *, groups: list[list[Packet]], limits: LedgerLimits, over: bool
) -> None:
    whole, single = Model(limits), Model(limits)
    if over:  # one of them has ended
        for model in (whole, single):
            model.snapshots["b"] = Snapshot(
                resource_id="b", generation=b"b", key=9, state=State.CANCELLED, seen=[(1, 2)]
            )
    plans = [single.accept([one]) for group in groups for one in group]
    plan = whole.accept_groups(groups)
    assert [one.status for one in receipts(plan)] == [receipts(one)[0].status for one in plans]
    assert [*plan.new] == [key for one in plans for key in one.new]
    assert [one for some in plan.taken for one in some] == [*plan.new.values()]
    assert [len(some) for some in plan.taken] == taken_of(groups, plan)
    assert {*plan.changed} == {key for one in plans for key in one.changed}
    assert plan.held_up == any(one.held_up for one in plans)
    assert [asdict(one) for one in whole.snapshots.values()] == [asdict(one) for one in single.snapshots.values()]
    assert (whole.counts, whole.stored) == (single.counts, single.stored)


@given(packets, bounds)
def test_r7_a_batch_is_judged_as_its_packets_one_by_one(given_: list[Packet], limits: LedgerLimits) -> None:
    whole, single = Model(limits), Model(limits)
    plans = [single.accept([one]) for one in given_]
    plan = whole.accept(given_)
    assert [one.status for one in receipts(plan)] == [receipts(one)[0].status for one in plans]
    assert [asdict(one) for one in whole.snapshots.values()] == [asdict(one) for one in single.snapshots.values()]
    assert (whole.counts, whole.stored) == (single.counts, single.stored)
    assert plan.held_up == any(one.held_up for one in plans)


@given(packets, packets, bounds)
def test_r9_the_sizes_of_a_plan_are_those_of_what_it_stores(
    before: list[Packet], given_: list[Packet], limits: LedgerLimits
) -> None:
    model = Model(limits)
    model.accept(before)
    known = {id_: of_resource(one.resource_id, one.metadata) for id_, one in model.snapshots.items()}
    plan = model.accept(given_)
    assert plan.packet_bytes == sum(of_packet(len(one.payload)) for one in plan.new.values())
    taken = {id_: of_resource(one.resource_id, one.metadata) for id_, one in model.snapshots.items()}
    assert plan.resource_bytes == sum(taken.values()) - sum(known.values())
    assert {one.key for one in plan.changed.values()} == {*plan.changed}
    assert {one.key for one in plan.grown()} == {*plan.changed} - {one.key for one in plan.opened}


@given(packets, bounds)
def test_r9_no_batch_goes_beyond_a_limit(given_: list[Packet], limits: LedgerLimits) -> None:
    model = Model(limits)
    model.accept(given_)
    assert model.counts.open <= limits.max_open
    assert model.counts.backlog - model.counts.open_bytes <= limits.max_backlog
    assert len(model.snapshots) == model.counts.open


def test_r9_a_full_backlog_of_packets_holds_all_senders_up_and_one_of_resources_new_ids_alone() -> None:
    waiting = Model(
        LedgerLimits(max_backlog=500), Counts(backlog=500), {"r": Snapshot(resource_id="r", generation=b"")}
    )
    plan = waiting.accept([packet(0)])
    assert (receipts(plan)[0].status, plan.held_up) == (Status.REFUSED, True)
    assert "max_backlog" in str(receipts(plan)[0].reason)
    full = Counts(backlog=500, open_bytes=500)
    resources = Model(LedgerLimits(max_backlog=500), full, {"r": Snapshot(resource_id="r", generation=b"")})
    plan = resources.accept([packet(0), packet(0, "new"), packet(1, metadata=b"{}"), packet(0, metadata=b"{}")])
    assert [one.status for one in receipts(plan)] == ["accepted", "refused", "refused", "refused"]
    assert not plan.held_up


def test_r9_the_limit_on_open_resources_refuses_new_ids_only() -> None:
    model = Model(LedgerLimits(max_open=1))
    assert model.statuses(packet(0), packet(0, "s"), packet(1)) == ["accepted", "refused", "accepted"]


def test_r5_a_repeat_within_a_batch_may_still_fix_the_total() -> None:
    model = Model()
    plan = model.accept([packet(0), packet(1), packet(1, last=True), packet(2)])
    assert [one.status for one in receipts(plan)] == ["accepted", "accepted", "duplicate", "conflict"]
    assert model.snapshots["r"].total == 2


def test_r9_metadata_that_comes_late_counts_on_a_repeat_too() -> None:
    def there() -> Model:
        known = [
            Snapshot(resource_id=id_, generation=b"", key=key, received=1, highest=0)
            for key, id_ in ((1, "r"), (2, "s"))
        ]
        stored = {1 << INDEX_BITS: b"1", 2 << INDEX_BITS: b"1"}
        return Model(LedgerLimits(max_backlog=10), snapshots={one.resource_id: one for one in known}, stored=stored)

    late = [packet(0, metadata=b'{"a":1}'), packet(0, "s", metadata=b'{"a":1}')]
    model = there()
    plan = model.accept(late[:1])
    assert (receipts(plan)[0].status, plan.resource_bytes, [*plan.changed]) == (Status.DUPLICATE, 7, [1])
    assert model.snapshots["r"].metadata == b'{"a":1}'
    assert there().statuses(*late) == ["duplicate", "refused"]


def test_r6_a_payload_of_another_length_is_a_conflict_without_being_read() -> None:
    snapshots: Snapshots = {"r": Snapshot(resource_id="r", generation=b"", key=3, received=1, highest=0)}
    offered = [packet(0, payload=b"1"), packet(0, payload=b"22"), packet(5)]
    assert offered_sizes(offered, snapshots) == {3 << INDEX_BITS: {1, 2}, 3 << INDEX_BITS | 5: {1}}
    model = Model(snapshots=snapshots, stored={3 << INDEX_BITS: OTHER})
    assert model.statuses(*offered) == ["conflict", "conflict", "accepted"]


def test_r8_a_resource_that_has_ended_takes_nothing_and_changes_nothing() -> None:
    ended = Snapshot(resource_id="r", generation=b"", key=3, state=State.CANCELLED, seen=[(0, 0)])
    model = Model(snapshots={"r": ended})
    plan = model.accept([packet(0, metadata=b"{}"), packet(1)])
    assert [one.status for one in receipts(plan)] == ["duplicate", "closed"]
    assert (plan.new, plan.changed, plan.resource_bytes) == ({}, {}, 0)
    assert offered_sizes([packet(0)], model.snapshots) == {}


def test_r8_what_is_not_there_of_a_resource_that_has_ended_is_looked_for_elsewhere() -> None:
    all_there, some_there = (
        Snapshot(resource_id=id_, generation=b"", key=key) for id_, key in (("all", 7), ("some", 8))
    )
    groups = [[packet(index, id_) for index in (4, 3, 1025)] for id_ in ("all", "some", "open")]
    keys = late_keys(groups, {"all": all_there, "some": some_there})
    assert keys == {key << INDEX_BITS | index for key in (7, 8) for index in (3, 4, 1025)}
    there = sorted(keys - {8 << INDEX_BITS | 4}, reverse=True)
    assert note_received([all_there, some_there], keys, there) == [some_there]
    assert all_there.seen == [(3, 4), (1025, 1025)]
    assert some_there.seen == [(3, 3), (1025, 1025)]


@given(packets)
def test_r7_what_a_packet_is_answered_does_not_depend_on_other_resources(given_: list[Packet]) -> None:
    one_by_one = Model().statuses(*given_)
    batch, model = Batch(given_), Model()
    basis = Basis(limits=model.limits, counts=model.counts, opening=lambda id_: (next(model.handles), id_.encode()))
    plan = plan_groups(batch.groups, model.snapshots, {}, basis)
    assert [receipt.status for receipt in batch.in_order(receipts(plan))] == one_by_one
    assert {one.resource_id for group in batch.groups for one in group} == {one.resource_id for one in given_}
    assert all(len({one.resource_id for one in group}) == 1 for group in batch.groups)
