"""Who gets what within the capacity of a caller; how long a suspect runs alone: with no store in sight."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.messages import LARGE_BODY
from collator.rules.capacity import INLINE_BODY, INLINE_SUM, joined_at_once, leased_at_once, merge_capacities, mixed
from collator.rules.resource import LedgerLimits
from collator.rules.suspects import alone_for, lethal

endpoints = st.sampled_from("abc")
sizes = st.sampled_from([1, INLINE_BODY, INLINE_BODY + 1, LARGE_BODY, LARGE_BODY + 1])


@given(
    st.lists(st.tuples(endpoints, sizes), max_size=20),
    st.dictionaries(endpoints, st.integers(-1, 4)),
    st.sets(endpoints, max_size=1),
)
def test_p5_an_endpoint_gets_what_fits_its_own_capacity_and_nothing_large(
    new: list[tuple[str, int]], capacity: dict[str, int], paused: set[str]
) -> None:
    taken = leased_at_once(new, capacity, paused)
    leased = Counter(endpoint for (endpoint, _), takes in zip(new, taken, strict=True) if takes)
    small = Counter(endpoint for endpoint, size in new if size <= LARGE_BODY)
    for endpoint in "abc":
        free = 0 if endpoint in paused else max(capacity.get(endpoint, 0), 0)
        assert leased[endpoint] == min(small[endpoint], free)
    assert not any(takes for (_, size), takes in zip(new, taken, strict=True) if size > LARGE_BODY)


def test_callers_of_one_window_have_the_least_that_any_of_them_saw() -> None:
    assert merge_capacities([{"a": 3, "b": 1}, {"a": 2, "c": 4}, {"a": 9, "b": 0}]) == {"a": 2, "b": 0, "c": 4}


@given(st.integers(1, 8), st.integers(0, 20), st.data())
def test_r23_the_longest_and_the_latest_due_share_a_claim(capacity: int, more: int, data: st.DataObject) -> None:
    due = [*range(capacity + more)]
    share = data.draw(st.integers(0, capacity))
    chosen = mixed(due[:capacity], due[::-1][:capacity], capacity, share)
    assert len(chosen) == len({*chosen}) == capacity
    assert {*due[: capacity - share]} <= {*chosen}
    assert {*due[len(due) - share :]} <= {*chosen}


@given(st.lists(st.tuples(st.integers(0, 9), sizes), max_size=40))
def test_p5_so_much_is_joined_in_one_step_and_no_body_twice(extents: list[tuple[int, int]]) -> None:
    joined = joined_at_once(extents)
    assert len(joined) == len({*joined})
    largest = {key: max(size for other, size in extents if other == key and size <= INLINE_BODY) for key in joined}
    assert sum(largest.values()) <= INLINE_SUM
    assert {*joined} == {key for key, size in extents if size <= INLINE_BODY}


def test_p5_bodies_beyond_the_sum_of_a_step_are_read_later() -> None:
    fit = INLINE_SUM // INLINE_BODY
    assert joined_at_once((key, INLINE_BODY) for key in range(fit + 5)) == [*range(fit)]
    assert joined_at_once([(1, INLINE_BODY)] * fit + [(2, INLINE_BODY)]) == [1, 2]  # one body for all endpoints


@pytest.mark.parametrize(
    ("stops", "seconds"), [(1, 0.0), (2, 0.0), (3, 2.0), (4, 8.0), (5, 32.0), (10**6, 2.0 * 4**20)]
)
def test_a_suspect_runs_alone_for_longer_after_each_further_stop(stops: int, seconds: float) -> None:
    assert alone_for(stops, LedgerLimits(side_by_side=2, alone=2.0)) == seconds


def test_a_lethal_packet_fails_in_words() -> None:
    assert lethal(3).reason == "the process died 3 times while this packet was processed"
