"""When a second call is made beside one that takes long: by which quantile, and within which budget."""

from __future__ import annotations

from math import ceil, inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.workers.hedges import FIRST_CALLS, SAVED, Hedges

TIMES = st.lists(st.floats(0.0, 1e6), max_size=200)
QUANTILE = st.sampled_from([0.5, 0.75, 0.9])


def with_budget(quantile: float = 0.95) -> Hedges:
    hedges = Hedges(quantile)
    for _ in range(SAVED * FIRST_CALLS):
        hedges.begin_first()
    return hedges


@given(TIMES, QUANTILE)
def test_it_is_the_quantile_of_the_latest_calls_and_nothing_before_there_are_enough(
    times: list[float], quantile: float
) -> None:
    hedges = with_budget(quantile)
    for one in times:
        hedges.add(one)
    window, least = round(20 / (1 - quantile)), round(2 / (1 - quantile))
    latest = sorted(times[-window:])
    assert hedges.after() == (latest[ceil(quantile * len(latest)) - 1] if len(latest) >= least else inf)


@given(st.lists(st.booleans(), max_size=1000))
def test_no_more_second_calls_than_a_twentieth_of_the_first_ones(wanted: list[bool]) -> None:
    hedges, first, second, in_a_row = Hedges(0.5), 0, 0, 0
    for _ in range(4):
        hedges.add(1.0)
    for hedge in wanted:
        if hedge and hedges.after() < inf:
            hedges.begin_second()
            second, in_a_row = second + 1, in_a_row + 1
        else:
            hedges.begin_first()
            first, in_a_row = first + 1, 0
        assert second * FIRST_CALLS <= first
        assert in_a_row <= SAVED


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.999])
def test_its_memory_is_bounded(quantile: float) -> None:
    hedges, most = Hedges(quantile), round(20 / (1 - quantile))
    for one in range(most + 100):
        hedges.add(float(one))
    assert len(hedges._ordered) == len(hedges._latest) == most


def test_a_service_that_has_become_slower_is_known_within_a_few_dozen_calls() -> None:
    random, hedges = Random(1), with_budget()
    for _ in range(1000):
        hedges.add(random.uniform(0.9, 1.1))
    assert 1.07 < hedges.after() < 1.1
    for _ in range(40):
        hedges.add(random.uniform(2.7, 3.3))
    assert hedges.after() > 2.7


def test_the_losers_of_a_hedge_keep_the_quantile_where_it_is() -> None:
    """1 % of the calls take 20 times as long; of those the time counts until the second call has ended."""
    random, hedges = Random(1), with_budget()
    for _ in range(2000):
        seconds = 20.0 if random.random() < 0.01 else random.uniform(0.9, 1.1)
        after = hedges.after()
        hedges.add(seconds if seconds <= after else min(seconds, after + 1.0))
    assert 1.07 < hedges.after() < 1.2
