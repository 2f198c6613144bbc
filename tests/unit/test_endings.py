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
    "half a body": (Answer(200, body=None, complete=False), SERVICE, Sign.BROKEN, False),
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
        uncounted = uncounted or (answer.status < 300 and not answer.complete)
        assert (ending.cause in {SERVICE, CONFIGURATION}) is uncounted
        assert ending.final is (400 <= answer.status < 500 and not uncounted)
    assert (ending.cause in {SERVICE, CONFIGURATION}) is (ending.sign not in {Sign.ANSWERED, Sign.NOTHING})


@given(st.sampled_from([ValueError, Permanent, ProcessorFailed, SystemExit, KeyboardInterrupt, MemoryError]), st.text())
def test_what_a_function_raises_is_the_packets_fault(kind: type[BaseException], text: str) -> None:
    ending = of_error(kind(text), "why")
    assert (ending.cause, ending.final, ending.reason) == (PACKET, kind is Permanent, "why")


@pytest.mark.parametrize(
    ("media", "body", "named"),
    [
        ("text/event-stream; charset=utf-8", b"", "text/event-stream"),
        ("application/x-ndjson", b"{}", "application/x-ndjson"),
        ("", b'data: {"response": "HEL"}\n\ndata: {"response": "LO"}\n\n', "server-sent events"),
        ("application/json", b": ping\n\nevent: token\ndata: {}\n\n", "server-sent events"),
        ("", b'{"response": "HEL"}\n{"response": "LO"}\n', "lines of JSON"),
        ("application/json", b"\xef\xbb\xbf\n[1, 2] \r\n[3]", "lines of JSON"),
    ],
)
def test_r29_a_stream_is_named_whatever_type_the_service_gives_it(media: str, body: bytes, named: str) -> None:
    ending = judged(Answer(200, body=body, media=media))
    assert (ending.cause, ending.final) == (PACKET, False)
    assert ending.reason == f'output: the service streams ({named}); have it answer at once, often by "stream": false'


@pytest.mark.parametrize(
    "body",
    [b'{"a": {"b": 1}\n, "c": 2}', b"[\n1]", b"[[1]\n]", b'{"a": 1}\n', b'"data: 1"', b"1\n", b"{\n}", b"[" * 9999],
)
def test_r29_an_answer_of_several_lines_is_no_stream(body: bytes) -> None:
    assert judged(Answer(200, body=body)).output == body.strip()


def test_r29_a_stream_that_does_not_end_is_named() -> None:
    ending = judged(NoAnswer("HTTP 200, but the body of the answer did not end", media="Text/Event-Stream; x=1"))
    assert (ending.cause, ending.sign) == (PACKET, Sign.NOTHING)
    assert ending.reason.startswith("HTTP 200, but the body of the answer did not end: the service streams (text/event")
    assert judged(NoAnswer("late", media="application/json")).reason == "late"


def test_r29_a_compressed_answer_is_named_and_a_byte_order_mark_is_skipped() -> None:
    told = judged(Answer(200, body=b"\x1f\x8b", media="application/json", coding="gzip")).reason
    assert told == "output: the answer is compressed (gzip); have the service heed Accept-Encoding: identity"
    assert judged(Answer(200, body=b"{}", coding="Identity")).output == b"{}"
    assert judged(Answer(200, body=b'\xef\xbb\xbf{"a": 1}')).output == b'{"a": 1}'
    assert judged(Answer(200, body=b"\xef\xbb\xbfa", media="text/plain")).output == b'"a"'


def test_a_request_that_could_not_be_made_is_the_packets_fault_and_says_nothing_of_the_service() -> None:
    ending = of_error(Permanent("no text"), "no text", sign=Sign.UNSENT)
    assert (ending.cause, ending.sign, ending.final) == (PACKET, Sign.UNSENT, True)
