"""How many calls a service gets, in a time that the test makes: against services that are modelled, and against any."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bench.limit_plots import Model, files, simulate
from collator.processor import Sign
from collator.workers.call_limit import FIRST_PAUSE, IN_A_ROW, LONGEST_PAUSE, SHORT_PAUSE, CallLimit

ANSWERED, OVERLOADED, AWAY, BROKEN, MISCONFIGURED, SHORTAGE, NOTHING, UNSENT = Sign
CEILING, LONGEST = 8, 3600.0


def limit(ceiling: int = CEILING) -> CallLimit:
    return CallLimit(ceiling, longest=LONGEST)


def begun(calls: CallLimit, now: float = 0.0) -> list[int]:
    return [calls.begin() for _ in range(calls.capacity(now))]


@pytest.mark.parametrize("ceiling", [8, 9, 20, 100])
def test_a_service_of_a_fixed_limit_is_used_in_full_and_refuses_few(ceiling: int) -> None:
    run = simulate(Model([(0.0, 8)], ceiling, 2000, 0.2))
    assert run.used > 0.97
    assert run.refused < 0.03


@pytest.mark.parametrize("ceiling", [16, 64])
def test_a_limit_that_falls_and_rises_is_followed(ceiling: int) -> None:
    run = simulate(Model([(0.0, 8), (10.0, 2), (25.0, 16)], ceiling, 4000, 0.2))
    assert run.used > 0.9
    assert run.refused < 0.03


def test_steps_that_are_refused_are_not_always_as_many_calls_apart() -> None:
    """As many resources as calls between two steps would have the same packet refused each time."""
    refusals = simulate(Model([(0.0, 8)], 20, 4000, 0.2, 0.05)).refusals[20:]
    calls = [(later - earlier) / 0.2 * 8 for earlier, later in pairwise(refusals)]
    assert max(calls) - min(calls) > 5


def test_slow_calls_to_a_service_of_two() -> None:
    """24 packets of 3 s: what a service of two needs for them is 36 s."""
    assert simulate(Model([(0.0, 2)], 8, 24, 3.0)).seconds < 39.0


def test_the_plots_of_the_decision_are_what_the_code_does() -> None:
    """`python -m bench.limit_plots docs/decisions` writes them."""
    decisions = Path(__file__).parents[2] / "docs" / "decisions"
    plots = files()
    assert {path.name: path.read_text(encoding="utf-8") for path in decisions.glob("032-*.svg")} == plots
    page = next(decisions.glob("032-*.md")).read_text(encoding="utf-8")
    assert all(f"]({name})" in page for name in plots)


def test_it_begins_with_the_ceiling_and_a_refusal_says_how_many_are_taken() -> None:
    calls = limit()
    generations = begun(calls)
    assert len(generations) == CEILING
    for generation in generations[5:]:
        calls.end(generation, OVERLOADED, 0.0)
    assert (calls.limit, calls.capacity(0.0)) == (5, 0)


def test_retry_after_holds_every_call_up_and_no_longer_than_patience() -> None:
    calls = limit()
    one, other = begun(calls)[:2]
    calls.end(one, OVERLOADED, 0.0, after=7.0)
    calls.end(other, ANSWERED, 1.0)
    assert (calls.capacity(6.9), calls.capacity(7.0) > 0) == (0, True)
    calls.end(calls.begin(), OVERLOADED, 7.0, after=86_400.0)
    assert calls.wait(7.0) == LONGEST


def test_answers_to_earlier_calls_hide_no_pause_that_the_service_has_asked_for() -> None:
    calls = limit()
    one, other, third, *_ = begun(calls)
    calls.end(one, OVERLOADED, 0.0, after=600.0, reason="HTTP 429")
    calls.end(other, ANSWERED, 1.0)
    assert calls.trouble == "HTTP 429"
    calls.end(third, OVERLOADED, 2.0, reason="HTTP 503")
    assert (calls.trouble, calls.wait(2.0)) == ("HTTP 503", 598.0)
    calls.end(calls.begin(), ANSWERED, 600.0)
    assert calls.trouble == ""


def test_a_limit_that_is_not_put_to_use_does_not_grow() -> None:
    calls = limit()
    for generation in begun(calls)[3:]:
        calls.end(generation, OVERLOADED, 0.0)
    for _ in range(3):
        calls.end(0, ANSWERED, 0.0)
    for _ in range(200):
        calls.end(calls.begin(), ANSWERED, 1.0)
    assert calls.limit <= 4


def test_after_an_outage_it_grows_only_as_it_is_put_to_use() -> None:
    calls = limit()
    calls.end(calls.begin(), AWAY, 0.0, reason="away")
    for _ in range(20):
        calls.end(calls.begin(), ANSWERED, 1.0)
    assert calls.limit == 2


def test_an_answer_halves_the_pause_of_a_service_that_others_fill() -> None:
    calls, now = limit(1), 0.0
    for _ in range(4):
        calls.end(calls.begin(), OVERLOADED, now)
        now += calls.wait(now)
    calls.end(calls.begin(), ANSWERED, now)
    calls.end(calls.begin(), OVERLOADED, now)
    assert calls.wait(now) == 8 * SHORT_PAUSE


def test_a_shortage_of_our_own_is_waited_for_and_says_nothing_of_the_service() -> None:
    calls = limit()
    calls.end(calls.begin(), SHORTAGE, 0.0, reason="too many open files")
    assert (calls.capacity(0.9), calls.capacity(FIRST_PAUSE), calls.trouble) == (0, CEILING, "")


@pytest.mark.parametrize("sign", [AWAY, BROKEN, MISCONFIGURED, NOTHING])
def test_a_probe_that_gets_no_answer_keeps_the_breaker_open(sign: Sign) -> None:
    calls = limit()
    calls.end(calls.begin(), AWAY, 0.0, reason="away")
    calls.end(calls.begin(), sign, 1.0, reason="still")
    assert (calls.wait(1.0), calls.trouble) == (2.0, "away" if sign is NOTHING else "still")


def test_a_breaker_shortens_no_pause_that_the_service_has_asked_for() -> None:
    calls = limit()
    one, other, *_ = begun(calls)
    calls.end(one, OVERLOADED, 0.0, after=20.0)
    calls.end(other, AWAY, 1.0, reason="connection refused")
    assert (calls.wait(1.0), calls.trouble) == (19.0, "connection refused")


def test_a_call_that_was_never_made_says_nothing_of_the_service() -> None:
    calls = limit()
    for _ in range(IN_A_ROW):
        calls.end(calls.begin(), BROKEN, 0.0, reason="connection reset by peer")
        calls.end(calls.begin(), UNSENT, 0.0)
    assert calls.trouble == "connection reset by peer"
    calls.end(calls.begin(), UNSENT, 1.0)
    assert (calls.trouble, calls.capacity(1.0)) == ("connection reset by peer", 1)


def test_a_refusal_with_nothing_under_way_pauses_longer_each_time() -> None:
    calls, now, pauses = limit(1), 0.0, []
    for _ in range(10):
        calls.end(calls.begin(), OVERLOADED, now)
        pauses.append(calls.wait(now))
        now += pauses[-1]
    assert pauses[:3] == [SHORT_PAUSE, 2 * SHORT_PAUSE, 4 * SHORT_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_where_nothing_connects_one_call_at_a_time_goes_out_ever_more_rarely() -> None:
    calls, now, pauses = limit(), 0.0, []
    for generation in begun(calls):
        calls.end(generation, AWAY, now, reason="connection refused")
    for _ in range(8):
        pauses.append(calls.wait(now))
        now += pauses[-1]
        assert calls.capacity(now) == 1
        probe = calls.begin()
        assert calls.capacity(now) == 0
        calls.end(probe, AWAY, now, reason="connection refused")
    assert pauses == [FIRST_PAUSE, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert calls.trouble == "connection refused"


def test_an_answer_closes_the_breaker_and_then_it_grows_from_one() -> None:
    calls = limit()
    calls.end(calls.begin(), AWAY, 0.0, reason="connection refused")
    calls.end(calls.begin(), ANSWERED, 1.0)
    assert (calls.limit, calls.trouble) == (1, "")
    sizes = []
    for _ in range(4):
        generations = begun(calls, 2.0)
        sizes.append(len(generations))
        for generation in generations:
            calls.end(generation, ANSWERED, 2.0)
    assert sizes == [1, 2, 4, 8]


@pytest.mark.parametrize("sign", [BROKEN, MISCONFIGURED])
def test_one_packet_alone_opens_no_breaker(sign: Sign) -> None:
    calls = limit()
    for _ in range(20):
        calls.end(calls.begin(), sign, 0.0, reason="HTTP 404")
        calls.end(calls.begin(), ANSWERED, 0.0)
        assert (calls.capacity(0.0), calls.trouble) == (CEILING, "")
    for _ in range(IN_A_ROW):
        calls.end(calls.begin(), sign, 0.0, reason="HTTP 404")
    assert (calls.capacity(0.0), calls.trouble) == (0, "HTTP 404")


def test_what_was_begun_before_the_breaker_opened_says_nothing_after() -> None:
    calls = limit()
    old, other, *_ = begun(calls)
    calls.end(old, AWAY, 0.0, reason="away")
    calls.end(other, ANSWERED, 0.5)
    assert (calls.trouble, calls.capacity(0.9), calls.capacity(1.0)) == ("away", 0, 1)


class Machine(RuleBasedStateMachine):
    """A service that does anything, at any time: what holds whatever it does."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.calls = limit()
        self.under_way: list[int] = []
        self.held_until = 0.0

    @precondition(lambda self: self.calls.capacity(self.now))
    @rule(most=st.integers(1, CEILING))
    def begin(self, most: int) -> None:
        assert self.now >= self.held_until
        for _ in range(min(most, self.calls.capacity(self.now))):
            self.under_way.append(self.calls.begin())

    @precondition(lambda self: self.under_way)
    @rule(pick=st.integers(0, 99), sign=st.sampled_from(Sign), after=st.sampled_from([0.0, 0.0, 5.0, 1e9]))
    def end(self, pick: int, sign: Sign, after: float) -> None:
        generation = self.under_way.pop(pick % len(self.under_way))
        heard = generation == self.calls._generation
        self.calls.end(generation, sign, self.now, reason="why", after=after)
        if heard and sign is OVERLOADED:
            self.held_until = max(self.held_until, self.now + min(after, LONGEST))

    @rule(seconds=st.sampled_from([0.1, 1.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def it_keeps_within_its_bounds(self) -> None:
        assert 1 <= self.calls.limit <= CEILING
        assert 0 <= self.calls.capacity(self.now) <= CEILING
        assert self.calls.wait(self.now) <= LONGEST

    def teardown(self) -> None:
        """Whatever has happened, it begins again, and grows to the ceiling once all is answered."""
        for generation in self.under_way:
            self.calls.end(generation, NOTHING, self.now)
        for _ in range(2000):
            if (self.calls.limit, self.calls.trouble) == (CEILING, ""):
                return
            self.now += self.calls.wait(self.now)
            generations = begun(self.calls, self.now)
            assert generations
            for generation in generations:
                self.calls.end(generation, ANSWERED, self.now)
        pytest.fail("it does not grow to the ceiling")


TestMachine = Machine.TestCase
