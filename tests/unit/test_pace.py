"""How fast a receiver is sent to that asked for less: waits, slow start, and the rate that it bears (R23). Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.delivery.pace import FIRST_WAIT, Pace

CONCURRENCY = 64


def refuse(pace: Pace, now: float, named: float | None = None) -> None:
    generation = pace.enter(now)
    pace.refuse(generation, now, named=named, because="as its receiver asked (HTTP 429)")
    pace.leave(generation)


def test_r23_nothing_goes_out_before_the_time_that_was_named_and_then_one() -> None:
    pace = Pace(longest=60.0)
    assert (pace.capacity(0.0), pace.wait(0.0), pace.why(0.0)) == (None, 0.0, None)
    refuse(pace, 0.0, 120.0)
    assert (pace.capacity(119.9), pace.wait(20.0)) == (0, 100.0)
    assert pace.why(20.0) == "waiting for 100 s more, as its receiver asked (HTTP 429)"
    assert (pace.capacity(120.0), pace.why(120.0)) == (1, None)


def test_r23_each_that_is_taken_makes_place_for_one_more() -> None:
    pace = Pace(longest=60.0)
    refuse(pace, 0.0, 2.0)
    rounds = []
    while (capacity := pace.capacity(2.0)) is not None:
        rounds.append(capacity)
        generations = [pace.enter(2.0) for _ in range(capacity)]
        assert pace.capacity(2.0) == 0
        for generation in generations:
            pace.succeed(generation)
            pace.leave(generation)
    assert rounds == [1, 2, 4, 8, 16, 32, 64, 128, 256]


def test_r23_what_a_receiver_takes_is_counted_from_its_first_refusal_on() -> None:
    pace = Pace(longest=60.0)
    pace.enter(0.0)
    assert pace.free
    pace.begin_gently()  # as after an outage
    while not pace.free:
        assert pace.capacity(0.0) != 0
        generation = pace.enter(0.0)
        pace.succeed(generation)
        pace.leave(generation)
    refuse(pace, 0.0, 1.0)
    for _ in range(2 * 256):
        generation = pace.enter(1.0)
        pace.succeed(generation)
        pace.leave(generation)
    assert (pace.capacity(1.0), pace.free) == (None, False)


def test_r23_where_no_time_is_named_the_wait_doubles_until_one_is_taken() -> None:
    pace, now, waits = Pace(longest=10.0), 0.0, []
    for _ in range(6):
        refuse(pace, now)
        waits.append(pace.wait(now))
        now += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    pace.succeed(pace.enter(now))
    refuse(pace, now + pace.wait(now))
    assert FIRST_WAIT <= pace.wait(now) < 2 * FIRST_WAIT


def test_r23_many_that_are_refused_at_once_are_one_refusal() -> None:
    pace = Pace(longest=60.0)
    generations = [pace.enter(0.0) for _ in range(64)]
    for place, generation in enumerate(generations):
        pace.refuse(generation, 0.01 * place, named=None, because="")
        pace.leave(generation)
    assert pace.wait(0.0) == FIRST_WAIT
    assert pace.capacity(FIRST_WAIT) == 1


def test_r23_a_later_time_counts_and_an_earlier_one_shortens_nothing() -> None:
    pace = Pace(longest=60.0)
    first, second, third = (pace.enter(0.0) for _ in range(3))
    for generation, named in ((first, 5.0), (second, 9.0), (third, 2.0)):
        pace.refuse(generation, 0.0, named=named, because="")
    assert pace.wait(0.0) == 9.0


class Outcome(NamedTuple):
    seconds: float
    refused: int
    delivered: int


def deliver(count: int, *, takes: Callable[[float], bool], named: float | None, latency: float) -> Outcome:
    """Send *count* webhooks to a receiver that *takes* one or not, by a clock of its own."""
    pace, now, refused, delivered = Pace(longest=60.0), 0.0, 0, 0
    under_way: list[tuple[float, int, bool, int]] = []
    due = [0.0] * count
    while delivered < count and now < 3600.0:
        capacity = pace.capacity(now)
        free = CONCURRENCY - len(under_way)
        for _ in range(free if capacity is None else min(capacity, free)):
            if due and due[0] <= now:
                heapq.heappop(due)
                heapq.heappush(under_way, (now + latency, len(due), takes(now), pace.enter(now)))
        coming = [under_way[0][0]] if under_way else []
        if due and len(under_way) < CONCURRENCY and max(due[0], now + pace.wait(now)) > now:
            coming.append(max(due[0], now + pace.wait(now)) + 0.002)  # an event loop is a little late
        now = min(coming)
        while under_way and under_way[0][0] <= now:
            _, _, taken, generation = heapq.heappop(under_way)
            pace.leave(generation)
            if taken:
                delivered += 1
                pace.succeed(generation)
            else:
                refused += 1
                pace.refuse(generation, now, named=named, because="")
                heapq.heappush(due, now + pace.wait(now))
    return Outcome(now, refused, delivered)


def bucket(rate: float, burst: int) -> Callable[[float], bool]:
    """A receiver that takes *rate* a second and *burst* at once."""
    tokens, last = float(burst), 0.0

    def takes(now: float) -> bool:
        nonlocal tokens, last
        tokens, last = min(burst, tokens + (now - last) * rate), now
        tokens -= (taken := tokens >= 1.0)
        return taken

    return takes


def window(rate: int) -> Callable[[float], bool]:
    """A receiver that takes *rate* in each second of the clock."""
    counts: dict[int, int] = {}

    def takes(now: float) -> bool:
        counts[int(now)] = counts.get(int(now), 0) + 1
        return counts[int(now)] <= rate

    return takes


@pytest.mark.parametrize("named", [2.0, 1.0, None])
@pytest.mark.parametrize("latency", [0.002, 0.05, 0.5])
@pytest.mark.parametrize("takes", [lambda: bucket(5, 5), lambda: window(5)])
def test_r23_of_100_at_a_receiver_that_takes_5_a_second_all_are_delivered_and_few_refused(
    takes: Callable[[], Callable[[float], bool]], latency: float, named: float | None
) -> None:
    outcome = deliver(100, takes=takes(), named=named, latency=latency)
    assert outcome.delivered == 100
    assert outcome.seconds <= 40.0, outcome
    assert outcome.refused <= CONCURRENCY + 12, (
        outcome
    )  # those that were under way when it first asked for less, and few more


def test_r23_a_receiver_that_has_recovered_is_soon_sent_to_as_fast_as_it_takes_it() -> None:
    slow = bucket(5, 5)
    outcome = deliver(3000, takes=lambda now: now > 30.0 or slow(now), named=2.0, latency=0.05)
    assert outcome.delivered == 3000
    assert outcome.seconds <= 75.0


def test_r23_hours_in_which_there_was_nothing_to_send_are_no_slowness_of_the_receiver() -> None:
    pace, now = Pace(longest=60.0), 0.0
    refuse(pace, now, 2.0)
    for _ in range(3):
        now += 3600.0
        generation = pace.enter(now)
        pace.succeed(generation)
        pace.leave(generation)
    now += 3600.0
    refuse(pace, now, 2.0)
    pace.leave(pace.enter(now + 2.0))
    assert pace.wait(now + 2.0) < 3.0


@given(st.lists(st.tuples(st.booleans(), st.none() | st.floats(0.0, 100.0), st.floats(0.0, 200.0)), max_size=80))
def test_r23_whatever_it_answers_a_wait_is_bounded_and_ends(steps: list[tuple[bool, float | None, float]]) -> None:
    pace, now = Pace(longest=60.0), 0.0
    for taken, named, later in steps:
        now += later
        assert pace.wait(now) <= 100.0
        if pace.capacity(now) == 0:
            continue
        generation = pace.enter(now)
        if taken:
            pace.succeed(generation)
        else:
            pace.refuse(generation, now, named=named, because="")
        pace.leave(generation)
    now += pace.wait(now)
    assert pace.capacity(now) != 0
