"""Who is to blame for the ending of a call: every status, every way of no answer, every exception (R27, R28)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.egress import Answer, NoAnswer
from collator.errors import Permanent, ProcessorFailed
from collator.processor.endings import MISCONFIGURED, OVERLOADED, CallEnding, Cause, Sign, of_answer, of_error

OUTPUT, PACKET, SERVICE, CONFIGURATION = Cause

TABLE: dict[str, tuple[Answer | NoAnswer, Cause, Sign, bool]] = {
    "JSON": (Answer(200, body=b"1"), OUTPUT, Sign.ANSWERED, False),
    "text": (Answer(201, body=b"a", media="text/plain"), OUTPUT, Sign.ANSWERED, False),
    "a stream": (Answer(200, body=b"1", media="text/event-stream"), PACKET, Sign.ANSWERED, False),
    "half a body": (Answer(200, body=None, complete=False), PACKET, Sign.ANSWERED, False),
    "500": (Answer(500), PACKET, Sign.ANSWERED, False),
    "a timeout": (NoAnswer("timed out after 60 s"), PACKET, Sign.NOTHING, False),
    "not HTTP": (NoAnswer("the answer is not HTTP"), PACKET, Sign.NOTHING, False),
    **{str(status): (Answer(status), PACKET, Sign.ANSWERED, True) for status in (400, 409, 413, 415, 422, 451)},
    "refused": (NoAnswer("connection refused", reached=False), SERVICE, Sign.AWAY, False),
    "no connection in time": (
        NoAnswer("timed out after 60 s, connecting", reached=False),
        SERVICE,
        Sign.AWAY,
        False,
    ),
    "broken": (NoAnswer("connection reset by peer", broken=True), SERVICE, Sign.BROKEN, False),
    "our own": (NoAnswer("too many open files", reached=False, own_shortage=True), SERVICE, Sign.SHORTAGE, False),
    "no TLS": (NoAnswer("TLS: no", settings=True), CONFIGURATION, Sign.MISCONFIGURED, False),
    **{str(status): (Answer(status), SERVICE, Sign.OVERLOADED, False) for status in (408, 425, 429, 502, 503, 504)},
    **{
        str(status): (Answer(status), CONFIGURATION, Sign.MISCONFIGURED, False)
        for status in (401, 403, 404, 405, 301, 307)
    },
}


def judged(answer: Answer | NoAnswer) -> CallEnding:
    return of_answer(answer, size=7, max_output=100, wall=0.0)


@pytest.mark.parametrize(("answer", "cause", "sign", "final"), TABLE.values(), ids=TABLE.keys())
def test_r27_each_ending_has_one_cause(answer: Answer | NoAnswer, cause: Cause, sign: Sign, *, final: bool) -> None:
    ending = judged(answer)
    assert (ending.cause, ending.sign, ending.final) == (cause, sign, final)
    assert bool(ending.reason) is (cause is not OUTPUT)


answers = st.builds(
    Answer,
    st.integers(200, 999),
    retry_after=st.none() | st.text(max_size=12) | st.integers(0, 10**9).map(str),
    body=st.none() | st.binary(max_size=60),
    media=st.sampled_from(["", "application/json", "text/plain", "text/plain; charset=utf-16", "text/html"])
    | st.text(max_size=20),
    complete=st.booleans(),
    location=st.text(max_size=9),
)
silences = st.builds(NoAnswer, st.text(min_size=1), st.booleans(), st.booleans(), st.booleans(), st.booleans())


@given(answers | silences)
def test_whatever_comes_only_the_packet_may_lose_an_attempt_and_what_is_asked_for_has_a_bound(
    answer: Answer | NoAnswer,
) -> None:
    ending = judged(answer)
    assert 0.0 <= ending.after <= 86_400.0
    assert not ending.final or ending.cause is PACKET
    assert bool(ending.reason) is (ending.cause is not OUTPUT)
    assert bool(ending.output) <= (ending.cause is OUTPUT)
    if isinstance(answer, Answer):
        uncounted = answer.status in OVERLOADED | MISCONFIGURED or 300 <= answer.status < 400
        assert (ending.cause in {SERVICE, CONFIGURATION}) is uncounted
        assert ending.final is (400 <= answer.status < 500 and not uncounted)
    assert (ending.cause in {SERVICE, CONFIGURATION}) is (ending.sign not in {Sign.ANSWERED, Sign.NOTHING})


@given(st.sampled_from([ValueError, Permanent, ProcessorFailed, SystemExit, KeyboardInterrupt, MemoryError]), st.text())
def test_what_a_function_raises_is_the_packets_fault(kind: type[BaseException], text: str) -> None:
    ending = of_error(kind(text), "why")
    assert (ending.cause, ending.final, ending.reason) == (PACKET, kind is Permanent, "why")
