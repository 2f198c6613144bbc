"""Answers of the guard itself: to clients that are too late, send too much, or find no place. Pure."""

from __future__ import annotations

from collator.web.answer_bytes import AnswerBytes
from collator.web.limits import HttpLimits
from collator.web.problems import Headers, HttpProblem, ProblemType, busy
from collator.web.request_body import answer_problem


def large_head(limits: HttpLimits) -> HttpProblem:
    """The head, or the trailers, are too large."""
    return HttpProblem(
        ProblemType.HEAD_TOO_LARGE,
        f"the request headers may have at most {limits.head_bytes} bytes and {limits.head_fields} fields",
    )


def late_head(limits: HttpLimits) -> HttpProblem:
    """The head did not come in time."""
    return HttpProblem(ProblemType.TIMEOUT, f"the request headers did not arrive within {limits.head_seconds:g} s")


def late_body(size: int) -> HttpProblem:
    """Of the body *size* bytes came, and the rest did not in time."""
    return HttpProblem(ProblemType.TIMEOUT, f"the body arrived too slowly: {size} bytes were received")


def stopping() -> HttpProblem:
    """The service stops, and does not wait for the rest of the request."""
    detail = "the service is stopping and the request is incomplete; send it again later"
    return HttpProblem(ProblemType.UNAVAILABLE, detail, retry_after=5.0)


def pipelined(number: int) -> HttpProblem:
    """On the connection as many requests as may be wait already."""
    return busy(f"{number} requests on this connection wait for an earlier answer")


def no_place(limits: HttpLimits) -> HttpProblem:
    """There is no place for the connection."""
    return busy(f"the limit of {limits.max_connections} connections with a request is reached (max_connections)")


def last_answer(refusal: HttpProblem, default_headers: Headers) -> bytes:
    """*refusal* as the bytes of an answer with which the connection ends."""
    return AnswerBytes().of(answer_problem(refusal), default_headers, last=True)
