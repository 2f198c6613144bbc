"""The breakers of an address and of its origin: when they open, who probes, when they close (R23)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.delivery.breaker import FIRST_PAUSE, PROBING, Breaker, BreakerState, Circuit, Circuits, origin_of
from collator.delivery.verdict import evidence
from collator.egress import Answer, NoAnswer

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
UNREACHED = NoAnswer("connection refused", reached=False)
TIMEOUT = NoAnswer("timed out after 15 s")


def request(circuit: Circuit, answer: Answer | NoAnswer, now: float = 0.0) -> None:
    """One request, from its beginning to its end."""
    passed = circuit.enter(now)
    assert passed is not None
    circuit.hear(passed, evidence(answer), now, "because")
    circuit.leave(passed)


def fail(circuit: Circuit, times: int, answer: Answer | NoAnswer = TIMEOUT) -> None:
    for _ in range(times):
        request(circuit, answer)


@pytest.mark.parametrize("answer", [UNREACHED, TIMEOUT, Answer(500), Answer(503, "60")])
def test_r23_a_breaker_opens_after_so_many_failures_in_a_row(answer: Answer | NoAnswer) -> None:
    circuit = Circuits(failures=3).of("http://h/")
    fail(circuit, 2, answer)
    request(circuit, Answer(200))  # not in a row
    fail(circuit, 2, answer)
    assert (circuit.state, circuit.room(0.0), circuit.why(0.0)) == (CLOSED, None, None)
    fail(circuit, 1, answer)
    assert (circuit.state, circuit.room(0.0), circuit.enter(0.0)) == (OPEN, 0, None)
    assert circuit.wait(0.25) == FIRST_PAUSE - 0.25


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 410, 429])
def test_r23_who_answers_below_500_is_well(status: int) -> None:
    circuit = Circuits(failures=1).of("http://h/")
    request(circuit, Answer(status))
    assert circuit.state is CLOSED


def test_r23_one_probe_at_a_time_closes_it_or_doubles_the_pause() -> None:
    circuit = Circuits(failures=1, longest=5.0).of("http://h/")
    fail(circuit, 1)
    now, pauses = 0.0, []
    for _ in range(5):
        pauses.append(circuit.wait(now))
        now += circuit.wait(now)
        assert circuit.room(now) == 1
        passed = circuit.enter(now)
        assert passed is not None
        assert (circuit.state, circuit.room(now), circuit.enter(now), circuit.wait(now)) == (
            HALF_OPEN,
            0,
            None,
            PROBING,
        )
        circuit.hear(passed, evidence(TIMEOUT), now, "timed out")
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]
    now += circuit.wait(now)
    request(circuit, Answer(200), now)
    assert (circuit.state, circuit.room(now)) == (CLOSED, None)
    fail(circuit, 1)
    assert circuit.wait(0.0) == FIRST_PAUSE  # it begins anew


def test_r23_a_probe_of_which_nothing_is_heard_lets_another_try() -> None:
    circuit = Circuits(failures=1).of("http://h/")
    fail(circuit, 1)
    passed = circuit.enter(1.0)
    assert passed is not None
    circuit.leave(passed)
    assert (circuit.state, circuit.room(1.0)) == (OPEN, 1)


def test_r23_what_was_sent_before_it_opened_says_nothing_after() -> None:
    circuit = Circuits(failures=2).of("http://h/")
    early = [circuit.enter(0.0) for _ in range(10)]
    for passed in early[:4]:
        assert passed is not None
        circuit.hear(passed, evidence(TIMEOUT), 0.0, "timed out")
    assert circuit.wait(0.0) == FIRST_PAUSE  # opened once, not twice
    probe = circuit.enter(1.0)
    assert probe is not None
    for passed, said in zip(early[4:6], (evidence(Answer(200)), evidence(TIMEOUT)), strict=True):
        assert passed is not None
        circuit.hear(passed, said, 1.0, "late")
        circuit.leave(passed)
    assert circuit.state is HALF_OPEN
    circuit.hear(probe, evidence(Answer(200)), 1.0, "")
    assert circuit.state is CLOSED


def test_r23_what_cannot_be_reached_pauses_its_origin_and_no_other() -> None:
    circuits = Circuits(failures=2)
    here, beside, elsewhere = (circuits.of(url) for url in ("http://h/a", "http://H:80/b", "http://h:81/a"))
    request(here, UNREACHED)
    request(beside, UNREACHED)
    assert (here.state, beside.state, elsewhere.state) == (OPEN, OPEN, CLOSED)
    request(beside, Answer(204), 1.0)
    assert here.state is CLOSED


@pytest.mark.parametrize("answer", [TIMEOUT, Answer(500)])
def test_r23_a_dead_address_delays_no_other_of_its_origin(answer: Answer | NoAnswer) -> None:
    circuits = Circuits(failures=2)
    dead, healthy = circuits.of("http://h/dead"), circuits.of("http://h/healthy")
    fail(dead, 2, answer)
    assert (dead.state, healthy.state) == (OPEN, CLOSED)
    request(healthy, Answer(200))
    assert dead.state is OPEN


@pytest.mark.parametrize("answer", [TIMEOUT, NoAnswer("connection closed before the answer")])
def test_r23_a_probe_that_hangs_keeps_no_other_of_its_origin_waiting(answer: NoAnswer) -> None:
    circuits = Circuits(failures=1)
    hangs, well = circuits.of("http://h/hangs"), circuits.of("http://h/well")
    request(well, UNREACHED)
    assert (hangs.state, well.state) == (OPEN, OPEN)
    request(hangs, answer, FIRST_PAUSE)
    assert (hangs.state, well.state) == (OPEN, CLOSED)


def test_p6_it_says_why_in_words() -> None:
    circuit = Circuits(failures=1, longest=60.0).of("http://h/")
    for _ in range(5):
        now = circuit.wait(0.0) and 100.0
        passed = circuit.enter(now)
        assert passed is not None
        circuit.hear(passed, evidence(Answer(503)), 0.0, "HTTP 503")
    assert circuit.why(0.0) == "paused for 16 s more, as its receiver fails (HTTP 503)"
    assert circuit.why(15.5) == "paused for a moment, as its receiver fails (HTTP 503)"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Example.org/a?b", "http://example.org:80"),
        ("https://example.org/", "https://example.org:443"),
        ("https://u:p@example.org:8443", "https://example.org:8443"),
        ("http://[::1]:9000/x", "http://::1:9000"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@given(st.lists(st.tuples(st.sampled_from(["sound", "failed", "nothing", "late"]), st.floats(0.0, 100.0)), max_size=60))
def test_r23_whatever_happens_a_pause_is_bounded_and_ends(steps: list[tuple[str, float]]) -> None:
    breaker, now, old = Breaker(failures=3, longest=60.0), 0.0, 0
    for what, passed in steps:
        now += passed
        if breaker.wait(now):
            assert breaker.wait(now) <= 60.0
            continue
        era = breaker.enter()
        if what in {"sound", "failed"}:
            breaker.hear(era, now, sound=what == "sound", reason="because")
        elif what == "late":
            breaker.hear(old, now, sound=False, reason="late")
        breaker.leave(era)
        old = era
    assert breaker.wait(now + 60.0) == 0.0
    breaker.hear(breaker.enter(), now, sound=True, reason="")
    assert breaker.state is CLOSED
