"""What a packet means and when a resource is finished, rule by rule, with no store in sight (R4 to R16)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from collator.packet import Packet, Receipt, Status
from collator.rules.resource import (
    Ending,
    Snapshot,
    admit,
    covers,
    finished,
    forced,
    gaps,
    judge,
    ranges,
    waits_for_sender,
)
from collator.states import EndedBy, OnFailure, State

indexes = st.sets(st.integers(0, 40))


def packet(
    index: int, *, payload: bytes = b"1", last: bool = False, total: int | None = None, metadata: bytes | None = None
) -> Packet:
    return Packet("r", index, Raw(payload), last, total, Raw(metadata or b""))


def snapshot(**known: object) -> Snapshot:
    return Snapshot(resource_id="r", generation=bytes(16), **known)  # type: ignore[arg-type]


def status(packet_: Packet, stands: Snapshot, stored: bytes | None = None) -> Status:
    return judge(packet_, stands, stored).status


def test_r5_equal_bytes_are_a_duplicate_and_other_bytes_a_conflict() -> None:
    stands = snapshot(received=1, highest=0)
    assert status(packet(0), stands) is Status.ACCEPTED
    assert status(packet(0), stands, b"1") is Status.DUPLICATE
    assert status(packet(0), stands, b"1 ") is Status.CONFLICT


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (packet(0, last=True), Status.CONFLICT),
        (packet(4, last=True), Status.CONFLICT),
        (packet(5, last=True), Status.ACCEPTED),
        (packet(0, total=5), Status.CONFLICT),
        (packet(0, total=6), Status.ACCEPTED),
        (packet(9, last=True), Status.ACCEPTED),
    ],
)
def test_r6_a_total_must_lie_above_every_index_that_is_there(claim: Packet, expected: Status) -> None:
    assert status(claim, snapshot(received=1, highest=5)) is expected


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (packet(2), Status.ACCEPTED),
        (packet(3), Status.CONFLICT),
        (packet(2, last=True), Status.ACCEPTED),
        (packet(1, last=True), Status.CONFLICT),
        (packet(3, last=True), Status.CONFLICT),
        (packet(1, total=3), Status.ACCEPTED),
        (packet(1, total=4), Status.CONFLICT),
    ],
)
def test_r6_a_fixed_total_bears_no_other_and_no_index_beyond(claim: Packet, expected: Status) -> None:
    assert status(claim, snapshot(received=1, highest=0, total=3)) is expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [(None, Status.ACCEPTED), (b'{"a":1}', Status.ACCEPTED), (b'{"a":2}', Status.CONFLICT), (b"{}", Status.CONFLICT)],
)
def test_r6_metadata_is_the_same_or_absent(metadata: bytes | None, expected: Status) -> None:
    assert status(packet(0, metadata=metadata), snapshot(metadata=b'{"a":1}')) is expected


def test_r6_a_conflict_says_what_contradicts_what() -> None:
    reason = judge(packet(1, last=True), snapshot(total=7), None).reason
    assert reason is not None
    assert "2" in reason
    assert "7" in reason


@pytest.mark.parametrize("state", [State.COLLATED, State.INCOMPLETE, State.CANCELLED])
def test_r8_after_the_end_only_the_index_counts(state: State) -> None:
    stands = snapshot(state=state, seen=[(0, 2), (5, 5)], total=6)
    for index in range(9):
        expected = Status.DUPLICATE if index in {0, 1, 2, 5} else Status.CLOSED
        assert status(packet(index, payload=b'"any"', last=True, metadata=b"{}"), stands) is expected


def test_judging_changes_nothing() -> None:
    stands = snapshot()
    before = repr(stands)
    judge(packet(0, last=True, metadata=b"{}"), stands, None)
    assert repr(stands) == before


def test_a_new_packet_counts_and_raises_the_highest_index() -> None:
    stands = snapshot()
    assert [admit(packet(index), stands, new=True) for index in (4, 1)] == [True, True]
    assert (stands.received, stands.highest, stands.total) == (2, 4, None)


def test_r5_a_duplicate_counts_only_by_what_it_adds() -> None:
    stands = snapshot(received=1, highest=0)
    assert admit(packet(0), stands, new=False) is False
    assert admit(packet(0, last=True), stands, new=False) is True
    assert admit(packet(0, last=True), stands, new=False) is False
    assert admit(packet(0, metadata=b"{}"), stands, new=False) is True
    assert (stands.received, stands.highest, stands.total, stands.metadata) == (1, 0, 1, b"{}")


@pytest.mark.parametrize(
    ("claim", "by"),
    [
        (packet(2, last=True), EndedBy.LAST),
        (packet(2, total=3), EndedBy.TOTAL),
        (packet(2, last=True, total=3), EndedBy.LAST),
    ],
)
def test_r17_who_fixed_the_total_is_kept(claim: Packet, by: EndedBy) -> None:
    stands = snapshot()
    admit(claim, stands, new=True)
    admit(packet(0, total=3), stands, new=True)
    assert (stands.total, stands.total_by) == (3, by)


def ending(on_failure: OnFailure = OnFailure.INCOMPLETE, **known: object) -> Ending | None:
    return finished(snapshot(total_by=EndedBy.LAST, **known), on_failure)


@pytest.mark.parametrize("on_failure", OnFailure)
def test_r10_all_outcomes_of_a_known_total_are_the_end(on_failure: OnFailure) -> None:
    assert ending(on_failure, total=3, done=3) == Ending(State.COLLATED, EndedBy.LAST)
    assert ending(on_failure, total=3, done=2) is None
    assert ending(on_failure, total=None, done=3) is None


@pytest.mark.parametrize(
    ("on_failure", "expected"),
    [
        (OnFailure.INCOMPLETE, Ending(State.INCOMPLETE, EndedBy.LAST)),
        (OnFailure.FAIL_FAST, Ending(State.INCOMPLETE, EndedBy.FAILURE)),
        (OnFailure.HOLD, None),
    ],
)
def test_r16_what_a_failure_means_when_all_have_an_outcome(on_failure: OnFailure, expected: Ending | None) -> None:
    assert ending(on_failure, total=3, done=2, failed=1) == expected


def test_r16_only_fail_fast_ends_before_all_have_an_outcome() -> None:
    assert ending(OnFailure.FAIL_FAST, total=None, done=0, failed=1) == Ending(State.INCOMPLETE, EndedBy.FAILURE)
    assert ending(OnFailure.INCOMPLETE, total=3, done=1, failed=1) is None


@pytest.mark.parametrize(
    ("known", "whole"),
    [
        ({"highest": 2, "done": 3}, True),
        ({"highest": 2, "done": 3, "total": 3}, True),
        ({"highest": 2, "done": 3, "total": 4}, False),
        ({"highest": 2, "done": 2}, False),
        ({"highest": 2, "done": 2, "failed": 1}, False),
        ({"highest": 3, "done": 3, "failed": 1}, False),
    ],
)
def test_r15_force_collates_what_is_whole(known: dict[str, object], whole: bool) -> None:
    assert forced(snapshot(**known)) == Ending(State.COLLATED if whole else State.INCOMPLETE, EndedBy.FORCED)


@pytest.mark.parametrize(
    ("known", "waits"),
    [
        ({"received": 2, "done": 2}, True),
        ({"received": 2, "done": 1, "failed": 1}, True),
        ({"received": 2, "done": 1}, False),
        ({"received": 2, "done": 2, "total": 3}, True),
        ({"received": 3, "done": 2, "total": 4}, False),
        ({"received": 3, "done": 2, "failed": 1, "total": 3}, False),
    ],
)
def test_r13_only_a_silent_sender_is_waited_for(known: dict[str, object], waits: bool) -> None:
    assert waits_for_sender(snapshot(**known)) is waits


@given(indexes)
def test_ranges_hold_exactly_the_indexes(present: set[int]) -> None:
    found = ranges(sorted(present))
    assert [index for first, last in found for index in range(first, last + 1)] == sorted(present)
    assert all(one[1] + 1 < two[0] for one, two in pairwise(found))
    assert all(covers(found, index) is (index in present) for index in range(42))


def test_a_late_packet_is_looked_up_without_a_walk_through_all_ranges() -> None:
    present = Walked((index, index) for index in range(0, 20_000, 2))
    assert [covers(present, index) for index in (0, 1, 19_998, 19_999)] == [True, False, True, False]
    assert present.looks < 100


class Walked(list[tuple[int, int]]):
    """Ranges that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - as that of a list
        self.looks += 1
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return (self[place] for place in range(len(self)))


@given(indexes)
def test_gaps_are_what_ranges_leave_out(present: set[int]) -> None:
    end = max(present, default=-1) + 1
    for limit in (end, end + 1, end + 7):
        missing = [index for first, last in gaps(ranges(sorted(present)), limit) for index in range(first, last + 1)]
        assert missing == sorted({*range(limit)} - present)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[Packet]]:
    """The packets of one resource in some order, with repeats, one of which at least says the total."""
    total = draw(st.integers(1, 6))
    places = [*range(total), *draw(st.lists(st.integers(0, total - 1), max_size=6))]
    sent = [packet(index, last=index == total - 1) for index in draw(st.permutations(places))]
    return total, sent


@given(histories())
def test_r10_in_whatever_order_packets_come_the_resource_ends_with_the_last_outcome(
    history: tuple[int, list[Packet]],
) -> None:
    total, sent = history
    stands, stored = snapshot(), dict[int, bytes]()
    for one in sent:
        verdict: Receipt = judge(one, stands, stored.get(one.index))
        new = one.index not in stored
        assert verdict.status is (Status.ACCEPTED if new else Status.DUPLICATE)
        admit(one, stands, new=new)
        stored[one.index] = bytes(one.payload)
        stands.done = len(stored)
        ends = finished(stands, OnFailure.INCOMPLETE)
        assert (ends is not None) is (len(stored) == total)
