"""What an answer means for its delivery (R22, R23), and which endpoints want a resource (R20). No socket, no store."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.backoff import JITTER, SCHEDULE
from collator.delivery import Endpoint, judge, router
from collator.egress import Answer, NoAnswer
from collator.exchange import Attempt, Delivery
from collator.signing import SecretFile, ensure_secret_file
from collator.states import DELIVERY_STEPS, DeliveryState, check_step

NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT."""
LAST = len(SCHEDULE) - 1

answers = st.builds(Answer, st.integers(200, 599), st.none() | st.integers(-5, 100_000).map(str) | st.text())
anything = answers | st.builds(NoAnswer, st.text())


def delivery(step: int = 0) -> Delivery:
    return Delivery("r", bytes(16), "default", attempt=step + 1, step=step, lease=1, body=b"{}")


def verdict(answer: Answer | NoAnswer, *, step: int = 0, drawn: float = 0.0) -> Attempt:
    return judge(answer, delivery(step), now=NOW, random=lambda: drawn)


@given(answer=anything, step=st.integers(0, LAST), drawn=st.floats(0, 1, exclude_max=True))
def test_r22_r23_every_answer_at_every_step_has_one_meaning(answer: Answer | NoAnswer, step: int, drawn: float) -> None:
    attempt = verdict(answer, step=step, drawn=drawn)
    check_step(DELIVERY_STEPS, DeliveryState.LEASED, attempt.state)
    succeeds = isinstance(answer, Answer) and 200 <= answer.status < 300
    ends = isinstance(answer, Answer) and answer.status == 410
    assert (attempt.state is DeliveryState.DELIVERED) == succeeds
    assert (attempt.state is DeliveryState.DEAD) == (ends or (step == LAST and not succeeds))
    assert attempt.counted
    if attempt.state is DeliveryState.DUE:
        assert SCHEDULE[step + 1] <= attempt.delay <= 86_400 * (1 + JITTER)
    else:
        assert attempt.delay == 0


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_r22_2xx_succeeds(status: int) -> None:
    assert verdict(Answer(status)).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304, 400, 401, 404, 408, 409, 413, 429, 500, 503, 599])
def test_r22_only_2xx_succeeds(status: int) -> None:
    attempt = verdict(Answer(status))
    assert (attempt.state, attempt.reason, attempt.delay) == (DeliveryState.DUE, f"HTTP {status}", 1.0)


def test_r22_410_ends_the_delivery_at_once() -> None:
    attempt = verdict(Answer(410))
    assert (attempt.state, attempt.reason) == (DeliveryState.DEAD, "HTTP 410: the receiver wants no more of it")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("asked", ["120", "Sun, 06 Nov 1994 08:51:37 GMT"])
def test_r22_a_throttling_receiver_is_given_the_time_it_asks_for(status: int, asked: str) -> None:
    assert verdict(Answer(status, asked)).delay == 120.0
    assert 120.0 < verdict(Answer(status, asked), drawn=0.5).delay <= 132.0


def test_r22_retry_after_is_a_floor_and_shortens_nothing() -> None:
    assert verdict(Answer(503, "1"), step=3).delay == 300.0


def test_r22_no_receiver_can_ask_for_more_than_a_day() -> None:
    assert verdict(Answer(503, "9999999")).delay == 86_400.0


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_r22_retry_after_counts_for_a_receiver_that_throttles_only(status: int) -> None:
    assert verdict(Answer(status, "120")).delay == 1.0


def test_r23_the_delays_are_those_of_the_schedule_and_the_last_failure_is_the_end() -> None:
    attempts = [verdict(NoAnswer("connection refused"), step=step) for step in range(len(SCHEDULE))]
    assert [attempt.delay for attempt in attempts[:-1]] == [*SCHEDULE[1:]]
    assert {attempt.reason for attempt in attempts[:-1]} == {"connection refused"}
    assert (attempts[-1].state, attempts[-1].reason) == (
        DeliveryState.DEAD,
        "connection refused; no attempt is left",
    )


def test_r20_every_endpoint_that_matches_gets_the_resource(tmp_path: Path) -> None:
    ensure_secret_file(tmp_path / "secret")
    secrets = SecretFile(tmp_path / "secret")
    patterns = {"all": "*", "calls": "call-*", "one": "call-[0-9]", "upper": "CALL-*", "dot": "a.b"}
    endpoints = {
        name: Endpoint(name=name, url="http://127.0.0.1/", secrets=secrets, match=match)
        for name, match in patterns.items()
    }
    route = router(endpoints)
    assert route("call-7") == ["all", "calls", "one"]
    assert route("call-77\n") == ["all", "calls"]
    assert route("a.b") == ["all", "dot"]
    assert route("axb") == ["all"]
    assert list(router({"all": endpoints["all"]})("x")) == ["all"]
    assert list(router({})("x")) == []
