"""The breakers of an address and of its origin: when they open, who probes, when they close, how it goes on (R23)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.delivery.breaker import FIRST_PAUSE, Breaker
from collator.delivery.circuit import (
    PROBING,
    SHORTAGE_PAUSE,
    BreakerState,
    Circuit,
    Circuits,
    Evidence,
    Passage,
    origin_of,
)
from collator.delivery.pace import Pace
from collator.delivery.verdict import evidence
from collator.egress import Answer, NoAnswer

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
UNREACHED = NoAnswer("connection refused", reached=False)
TIMEOUT = NoAnswer("timed out after 15 s")
SHORTAGE = NoAnswer("too many open files", reached=False, own_shortage=True)
WALL = 1_790_000_000.0


def request(circuit: Circuit, answer: Answer | NoAnswer, now: float = 0.0) -> None:
    """One request, from its beginning to its end."""
    passed = circuit.enter(now)
    assert passed is not None
    circuit.report(passed, said(answer), now, "because")
    circuit.leave(passed)


def said(answer: Answer | NoAnswer) -> Evidence:
    return evidence(answer, now=WALL)


def fail(circuit: Circuit, times: int, answer: Answer | NoAnswer = TIMEOUT) -> None:
    for _ in range(times):
        request(circuit, answer)


@pytest.mark.parametrize("answer", [UNREACHED, TIMEOUT, Answer(500), Answer(503)])
def test_r23_a_breaker_opens_after_so_many_failures_in_a_row(answer: Answer | NoAnswer) -> None:
    circuit = Circuits(failures=3).of("http://h/")
    fail(circuit, 2, answer)
    request(circuit, Answer(200))  # not in a row
    fail(circuit, 2, answer)
    assert (circuit.state, circuit.capacity(0.0), circuit.why(0.0)) == (CLOSED, None, None)
    fail(circuit, 1, answer)
    assert (circuit.state, circuit.capacity(0.0), circuit.enter(0.0)) == (OPEN, 0, None)
    assert circuit.wait(0.25) == FIRST_PAUSE - 0.25


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 410])
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
        assert circuit.capacity(now) == 1
        passed = circuit.enter(now)
        assert passed is not None
        assert (circuit.state, circuit.capacity(now), circuit.enter(now), circuit.wait(now)) == (
            HALF_OPEN,
            0,
            None,
            PROBING,
        )
        circuit.report(passed, said(TIMEOUT), now, "timed out")
        circuit.leave(passed)
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]
    now += circuit.wait(now)
    request(circuit, Answer(200), now)
    assert (circuit.state, circuit.capacity(now)) == (CLOSED, 1)
    request(circuit, TIMEOUT, now)
    assert circuit.wait(now) == FIRST_PAUSE  # it begins anew


def test_r23_a_probe_of_which_nothing_is_heard_lets_another_try() -> None:
    circuit = Circuits(failures=1).of("http://h/")
    fail(circuit, 1)
    passed = circuit.enter(1.0)
    assert passed is not None
    circuit.leave(passed)
    assert (circuit.state, circuit.capacity(1.0)) == (OPEN, 1)


def test_r23_what_was_sent_before_it_opened_says_nothing_after() -> None:
    circuit = Circuits(failures=2).of("http://h/")
    early = [circuit.enter(0.0) for _ in range(10)]
    for passed in early[:4]:
        assert passed is not None
        circuit.report(passed, said(TIMEOUT), 0.0, "timed out")
    assert circuit.wait(0.0) == FIRST_PAUSE  # opened once, not twice
    probe = circuit.enter(1.0)
    assert probe is not None
    for passed, late in zip(early[4:6], (said(Answer(200)), said(TIMEOUT)), strict=True):
        assert passed is not None
        circuit.report(passed, late, 1.0, "late")
        circuit.leave(passed)
    assert circuit.state is HALF_OPEN
    circuit.report(probe, said(Answer(200)), 1.0, "")
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


@pytest.mark.parametrize("answer", [TIMEOUT, NoAnswer("connection closed before the answer"), SHORTAGE])
def test_r23_only_an_answer_proves_that_an_origin_is_back(answer: NoAnswer) -> None:
    circuits = Circuits(failures=1)
    hangs, well = circuits.of("http://h/hangs"), circuits.of("http://h/well")
    request(well, UNREACHED)
    request(hangs, answer, FIRST_PAUSE)
    assert (hangs.state, well.state) == (OPEN, OPEN)


def test_r23_one_probe_an_address_so_that_one_that_hangs_keeps_no_other_waiting() -> None:
    circuits = Circuits(failures=2)
    hangs, well = circuits.of("http://h/hangs"), circuits.of("http://h/well")
    request(well, UNREACHED)
    request(hangs, UNREACHED)
    probe = hangs.enter(1.0)
    assert probe is not None
    assert (hangs.capacity(1.0), well.capacity(1.0)) == (0, 1)
    request(well, Answer(200), 1.0)
    assert (well.state, hangs.state) == (CLOSED, CLOSED)
    hangs.report(probe, said(TIMEOUT), 16.0, "timed out")  # of itself: it is no longer asked with all at once
    hangs.leave(probe)
    assert (well.state, hangs.state, hangs.wait(16.0)) == (CLOSED, OPEN, FIRST_PAUSE)


def test_r23_what_is_back_is_sent_to_gently_by_all_of_its_origin() -> None:
    circuits = Circuits(failures=2)
    one, other = circuits.of("http://h/one"), circuits.of("http://h/other")
    request(one, UNREACHED)
    request(other, UNREACHED)
    request(one, Answer(200), 1.0)
    assert (one.capacity(1.0), other.capacity(1.0)) == (1, 1)
    for grown in (2, 3, 4):
        request(one, Answer(200), 1.0)
        assert (one.capacity(1.0), other.capacity(1.0)) == (grown, 1)


def test_r23_what_still_hangs_from_before_holds_no_place() -> None:
    circuit = Circuits(failures=2).of("http://h/")
    early = [circuit.enter(0.0) for _ in range(64)]
    for passed in early[:2]:
        assert passed is not None
        circuit.report(passed, said(TIMEOUT), 0.0, "timed out")
    request(circuit, Answer(200), 1.0)
    assert circuit.capacity(1.0) == 1


def test_r23_a_shortage_of_this_process_is_never_held_against_the_receiver() -> None:
    circuit = Circuits(failures=1).of("http://h/")
    for number in range(50):
        request(circuit, SHORTAGE, number * SHORTAGE_PAUSE)
    assert circuit.state is CLOSED
    now = 49 * SHORTAGE_PAUSE
    assert circuit.why(now) == "waiting for less than a second, because this service lacks resources (because)"
    assert (circuit.capacity(now), circuit.capacity(now + SHORTAGE_PAUSE)) == (0, 1)


@pytest.mark.parametrize("answer", [Answer(429), Answer(429, "20"), Answer(503, "20"), Answer(502, "20")])
def test_r23_who_asks_to_wait_is_not_down(answer: Answer) -> None:
    circuit = Circuits(failures=1).of("http://h/")
    for number in range(20):
        request(circuit, answer, number * 100.0)
        assert circuit.state is CLOSED
    assert "as requested by its receiver" in (circuit.why(1900.0) or "")


def test_r23_a_probe_that_is_asked_to_wait_waits_so_long() -> None:
    circuit = Circuits(failures=1).of("http://h/")
    fail(circuit, 1)
    request(circuit, Answer(503, "20"), 1.0)
    assert (circuit.state, circuit.wait(1.0)) == (OPEN, 20.0)
    request(circuit, Answer(200), 21.0)
    assert (circuit.state, circuit.capacity(21.0)) == (CLOSED, 1)


def test_p6_it_says_why_in_words() -> None:
    circuit = Circuits(failures=1, longest=60.0).of("http://h/")
    for _ in range(5):
        now = circuit.wait(0.0) and 100.0
        passed = circuit.enter(now)
        assert passed is not None
        circuit.report(passed, said(Answer(503)), 0.0, "HTTP 503")
        circuit.leave(passed)
    assert circuit.why(0.0) == "breaker open, next try in 16 s (HTTP 503)"
    assert circuit.why(15.5) == "breaker open, next try within a second (HTTP 503)"


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
        generation = breaker.generation
        if what in {"sound", "failed"}:
            breaker.report(generation, now, ok=what == "sound", reason="because")
        elif what == "late":
            breaker.report(old - 1, now, ok=False, reason="late")
        old = generation
    assert breaker.wait(now + 60.0) == 0.0
    breaker.report(breaker.generation, now, ok=True, reason="")
    assert not breaker.open


ANSWERS = [Answer(200), Answer(500), Answer(429), Answer(503, "7"), Answer(404), TIMEOUT, UNREACHED, SHORTAGE]


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(ANSWERS), st.floats(0.0, 30.0)), max_size=80))
def test_r23_whatever_comes_back_there_is_one_probe_an_address_and_a_success_frees_it(
    steps: list[tuple[int, Answer | NoAnswer, float]],
) -> None:
    circuits = Circuits(failures=2)
    both, now = [circuits.of("http://h/a"), circuits.of("http://h/b")], 0.0
    under_way: list[list[tuple[Passage, Answer | NoAnswer]]] = [[], []]
    for which, answer, later in steps:
        circuit, now = both[which], now + later
        capacity, passed = circuit.capacity(now), circuit.enter(now)
        assert (passed is None) == (capacity == 0)
        if passed is not None:
            under_way[which].append((passed, answer))
        if sum(passed.probe for passed, _ in under_way[which]) > 1:
            pytest.fail("two probes of an address at a time")
        if passed is None or later > 10.0:
            for old, came in under_way[which]:
                circuit.report(old, said(came), now, "because")
                circuit.leave(old)
            under_way[which].clear()
    for circuit, left in zip(both, under_way, strict=True):
        for old, _ in left:
            circuit.leave(old)
    for circuit in both:
        now += circuit.wait(now)
        request(circuit, Answer(200), now)
        now += circuit.wait(now)
        request(circuit, Answer(200), now)
        assert circuit.state is CLOSED


class Attentive(Circuit):
    """A circuit that never takes itself for calm, and so takes in whatever is said."""

    calm = property(lambda _: False)


def pair(kind: type[Circuit]) -> list[Circuit]:
    """Two addresses of one origin."""
    origin = Breaker(failures=2, longest=60.0)
    return [kind(origin, Breaker(failures=2, longest=60.0), Pace(longest=60.0)) for _ in range(2)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1]),
            st.sampled_from([*ANSWERS, *[Answer(200)] * 4]),
            st.sampled_from([1, 1, 2, 300]),
            st.sampled_from([0.0, 0.0, 1.0, 30.0]),
        ),
        max_size=40,
    )
)
def test_r23_a_calm_circuit_that_passes_over_successes_is_as_one_that_takes_in_all(
    steps: list[tuple[int, Answer | NoAnswer, int, float]],
) -> None:
    """Of *number* requests all but the last succeed; each ends only after the next step has begun its own."""
    both, now = (pair(Circuit), pair(Attentive)), 0.0
    under_way: list[tuple[int, tuple[Passage | None, ...], Answer | NoAnswer]] = []
    for which, last, number, later in steps:
        now += later
        ending, under_way = under_way, []
        for place in range(number):
            passages = tuple(circuits[which].enter(now) for circuits in both)
            under_way.append((which, passages, last if place == number - 1 else Answer(200)))
        for address, passages, answer in ending:
            for circuits, passage in zip(both, passages, strict=True):
                if passage is None:
                    continue
                circuit = circuits[address]
                if answer != Answer(200) or not circuit.calm:
                    circuit.report(passage, said(answer), now, "because")
                circuit.leave(passage)
        calm, attentive = (
            [(one.state, one.capacity(now), one.wait(now), one.why(now), one.openings) for one in circuits]
            for circuits in both
        )
        assert calm == attentive
