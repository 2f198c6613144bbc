"""What an answer means for its delivery (R22, R23), and which endpoints want a resource (R20). No socket, no store."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.backoff import JITTER, SCHEDULE
from collator.delivery import Endpoint, judge, router
from collator.delivery.verdict import evidence
from collator.egress import Answer, NoAnswer, words
from collator.messages import Attempt, Delivery, Lease
from collator.signing import SecretFile, ensure_secret_file
from collator.states import DELIVERY_STEPS, DeliveryState, check_step

NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT."""
LAST = len(SCHEDULE) - 1

answers = st.builds(Answer, st.integers(200, 599), st.none() | st.integers(-5, 100_000).map(str) | st.text())
anything = answers | st.builds(NoAnswer, st.text())


def delivery(step: int = 0) -> Delivery:
    return Delivery("r", bytes(16), "default", attempt=step + 1, step=step, lease=Lease(1, 1), body=b"{}")


def verdict(
    answer: Answer | NoAnswer, *, step: int = 0, drawn: float = 0.0, probe: bool = False, wait: float = 0.0
) -> Attempt:
    said, reason = evidence(answer, now=NOW), words(answer, size=20_000)
    return judge(answer, said, delivery(step), reason=reason, probe=probe, wait=wait, seconds=0.1, random=lambda: drawn)


def asks_to_wait(answer: Answer | NoAnswer) -> bool:
    return evidence(answer, now=NOW).refused


@given(answer=anything, step=st.integers(0, LAST), drawn=st.floats(0, 1, exclude_max=True))
def test_r22_r23_every_answer_at_every_step_has_one_meaning(answer: Answer | NoAnswer, step: int, drawn: float) -> None:
    attempt = verdict(answer, step=step, drawn=drawn, wait=7.0)
    check_step(DELIVERY_STEPS, DeliveryState.LEASED, attempt.state)
    succeeds = isinstance(answer, Answer) and 200 <= answer.status < 300
    assert (attempt.state is DeliveryState.DELIVERED) == succeeds
    gone = isinstance(answer, Answer) and answer.status == 410
    assert attempt.counted == (not asks_to_wait(answer) and not gone)
    assert attempt.pauses == gone
    if asks_to_wait(answer):
        assert (attempt.state, attempt.delay) == (DeliveryState.DUE, 7.0)
    elif gone:
        assert (attempt.state, attempt.delay) == (DeliveryState.DUE, 0.0)
    elif attempt.state is DeliveryState.DUE:
        assert SCHEDULE[step + 1] <= attempt.delay <= 86_400 * (1 + JITTER)
    else:
        assert attempt.delay == 0
        assert (attempt.state is DeliveryState.DEAD) == (step == LAST and not succeeds)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_r22_2xx_succeeds(status: int) -> None:
    assert verdict(Answer(status)).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304, 400, 401, 404, 408, 409, 500, 503, 599])
def test_r22_only_2xx_succeeds(status: int) -> None:
    attempt = verdict(Answer(status))
    assert (attempt.state, attempt.reason, attempt.delay) == (DeliveryState.DUE, f"HTTP {status}", 1.0)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("asked", ["120", "Sun, 06 Nov 1994 08:51:37 GMT"])
def test_r22_a_throttling_receiver_is_given_the_time_it_asks_for(status: int, asked: str) -> None:
    said = evidence(Answer(status, asked), now=NOW)
    assert (said.refused, said.named) == (True, 120.0)
    assert not verdict(Answer(status, asked), step=LAST, wait=120.0).counted


def test_r22_no_receiver_can_ask_for_more_than_a_day() -> None:
    assert evidence(Answer(503, "9999999"), now=NOW).named == 86_400.0


@pytest.mark.parametrize(("status", "refused"), [(429, True), (503, False)])
def test_r23_429_asks_to_wait_whether_or_not_it_says_how_long(status: int, refused: bool) -> None:
    assert (asks_to_wait(Answer(status)), evidence(Answer(status), now=NOW).named) == (refused, None)


PROBES: list[Answer | NoAnswer] = [Answer(500), NoAnswer("timed out after 15 s"), NoAnswer("refused", reached=False)]


@pytest.mark.parametrize("answer", PROBES)
@pytest.mark.parametrize("step", [0, 5, LAST])
def test_r23_a_probe_that_fails_uses_up_no_attempt_and_lets_others_go_first(
    answer: Answer | NoAnswer, step: int
) -> None:
    attempt = verdict(answer, step=step, probe=True, wait=60.0)
    assert (attempt.state, attempt.counted) == (DeliveryState.DUE, False)
    assert attempt.delay == max(60.0, SCHEDULE[min(step + 1, LAST)])


def test_r23_a_probe_that_is_answered_below_500_counts_like_any_other() -> None:
    assert verdict(Answer(404), probe=True).counted
    assert verdict(Answer(404), step=LAST, probe=True).state is DeliveryState.DEAD


@pytest.mark.parametrize("step", [0, LAST])
def test_r23_a_shortage_of_this_process_uses_up_no_attempt(step: int) -> None:
    attempt = verdict(NoAnswer("too many open files", own_shortage=True), step=step)
    assert (attempt.state, attempt.counted, attempt.delay) == (DeliveryState.DUE, False, 1.0)


SAID = {
    "a bare status": (Answer(400), "HTTP 400"),
    "what it said": (Answer(400, excerpt="no such account"), "HTTP 400: no such account"),
    "too large": (Answer(413, excerpt="entity too large"), "HTTP 413 for a body of 20000 bytes: entity too large"),
    "a redirect": (
        Answer(302, location="https://example.test/hook/", excerpt="Moved"),
        "HTTP 302 to https://example.test/hook/; redirects are not followed",
    ),
    "a redirect with a secret": (
        Answer(308, location="https://user:pass@example.test/hook/?token=s3cret#x"),
        "HTTP 308 to https://…@example.test/hook/?…; redirects are not followed",
    ),
    "a redirect nowhere": (Answer(301), "HTTP 301"),
    "a long redirect": (
        Answer(301, location="/" + "a" * 5000),
        f"HTTP 301 to /{'a' * 199}…; redirects are not followed",
    ),
    "a redirect with a long secret in it": (
        Answer(302, location=f"https://user:{'s3cret' * 100}@example.test/hook"),
        "HTTP 302 to https://…@example.test/hook; redirects are not followed",
    ),
    "a redirect of two lines": (Answer(301, location="/a\nb"), "HTTP 301 to /a?b; redirects are not followed"),
    "a success says no more": (Answer(200, excerpt="thanks"), "HTTP 200"),
    "a success cut off": (Answer(200, complete=False), "HTTP 200, but the body of the answer is incomplete"),
    "a failure cut off": (
        Answer(500, excerpt="oops", complete=False),
        "HTTP 500, but the body of the answer is incomplete: oops",
    ),
    "wants no more": (Answer(410, excerpt="moved away"), "HTTP 410: moved away"),
    "no answer": (NoAnswer("connection refused"), "connection refused"),
    "a coroutine": (Answer(204, words="on_finished returned"), "on_finished returned"),
}


@pytest.mark.parametrize(("answer", "reason"), SAID.values(), ids=SAID.keys())
def test_r22_the_reason_says_what_the_receiver_said(answer: Answer | NoAnswer, reason: str) -> None:
    assert verdict(answer).full_reason == reason


def test_what_a_receiver_said_is_apart_from_what_is_logged() -> None:
    attempt = verdict(Answer(400, excerpt="bad: the quick brown fox"))
    assert (attempt.reason, attempt.excerpt) == ("HTTP 400", "bad: the quick brown fox")
    assert words(Answer(400, excerpt="bad: the quick brown fox"), size=1) == "HTTP 400"


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_r22_retry_after_counts_for_a_receiver_that_throttles_only(status: int) -> None:
    assert (verdict(Answer(status, "120")).delay, asks_to_wait(Answer(status, "120"))) == (1.0, False)


def test_r23_the_delays_are_those_of_the_schedule_and_the_last_failure_is_the_end() -> None:
    attempts = [verdict(NoAnswer("connection refused"), step=step) for step in range(len(SCHEDULE))]
    assert [attempt.delay for attempt in attempts[:-1]] == [*SCHEDULE[1:]]
    assert {attempt.reason for attempt in attempts[:-1]} == {"connection refused"}
    assert (attempts[-1].state, attempts[-1].reason) == (
        DeliveryState.DEAD,
        "connection refused; no attempts are left",
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
