"""Several ledgers as one: where things live, what is shared out, and what runs alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import Malformed, Unavailable
from collator.ledgers.slots import merger
from collator.ledgers.slots.beside import InWork
from collator.ledgers.slots.places import cursor, inner, outer, parse_cursor, slot_of
from collator.ledgers.slots.shares import capacities, shares, shares_by_size
from collator.messages import Accepted, Lease, Recorded, Run, StepResult
from collator.packet import Receipt, Status

counts = st.integers(1, 9)


def test_a_resource_lives_where_it_did_in_the_version_before() -> None:
    assert [slot_of(name, 2) for name in ("a", "b", "call-17", "ü")] == PLACES


PLACES = [1, 1, 0, 1]


@given(st.integers(0, 2**39), st.integers(0, 8), counts)
def test_a_lease_comes_back_to_its_ledger(key: int, slot: int, count: int) -> None:
    slot %= count
    lease = Lease(key, 7, 3)
    assert outer(lease, slot, count).key % count == slot
    assert inner(outer(lease, slot, count), count) == lease


@given(st.text(max_size=9), st.integers(0, 8), counts)
def test_a_list_goes_on_where_it_ended(after: str, slot: int, count: int) -> None:
    slot %= count
    assert parse_cursor(cursor(slot, after, count) or "", count) == (slot, after)


@pytest.mark.parametrize("text", ["x", "2.", "-1.a", "\u0661.a", "11111.a"])
def test_a_place_that_no_page_gave_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_cursor(text, 2)


@given(st.integers(0, 99), st.dictionaries(st.integers(0, 5), st.integers(0, 40), min_size=1))
def test_what_is_shared_out_is_all_and_no_more(total: int, sizes: dict[int, int]) -> None:
    assert sum(shares(total, [*sizes]).values()) == total
    assert sum(shares_by_size(total, sizes).values()) == min(total, sum(sizes.values()))
    assert sum(one["a"] for one in capacities({"a": total}, [*sizes]).values()) == total


def test_packets_of_a_ledger_that_is_away_are_refused_in_their_places() -> None:
    conflict = Receipt(Status.CONFLICT, "no")
    there = Accepted(2, [(1, conflict)], [], 0, frozenset())
    merged = merger.accepted({0: there, 1: Unavailable("away", retry_after=2.0)}, {0: [0, 2], 1: [1]}, 2)
    assert merged.exceptions == [(1, Receipt(Status.REFUSED, "away", 2.0)), (2, conflict)]
    assert merged.size == 3


def test_results_of_a_ledger_that_is_away_are_to_be_recorded_again() -> None:
    there = StepResult([Recorded.LOST], [], frozenset())
    merged = merger.step({0: there, 1: Unavailable()}, {0: [1], 1: [0]}, 2)
    assert merged.statuses == [Recorded.UNAVAILABLE, Recorded.LOST]


def run(token: int, *, alone: float = 0.0) -> Run:
    """A run of one packet."""
    return Run("r", b"", Lease(1, token), [0], [b""], [1], alone=alone)


def test_what_is_to_be_alone_waits_until_others_have_ended_and_then_goes_first() -> None:
    beside = InWork(2, lease=30.0, now=lambda: 0.0)
    beside.begin(1, [run(5)])
    assert beside.choose([(0, run(7, alone=9.0)), (1, run(6))]) == []
    assert (beside.wanted(), beside.idle(but=0)) == (0, False)
    beside.end(1, [Lease(3, 5, 0)])
    assert beside.idle(but=0)
    first = run(8, alone=9.0)
    assert beside.choose([(1, run(6)), (0, first)]) == [(0, first)]
    beside.begin(0, [first])
    assert beside.alone()
    beside.end(0, [first.lease])
    assert not beside.alone()


def test_a_lease_of_which_nothing_is_heard_keeps_nothing_waiting() -> None:
    now = [0.0]
    beside = InWork(2, lease=30.0, now=lambda: now[0])
    beside.begin(1, [run(5)])
    beside.renew(1, [Lease(3, 5)], [True])
    now[0] = 29.0
    assert not beside.idle(but=0)
    now[0] = 31.0
    assert beside.idle(but=0)
