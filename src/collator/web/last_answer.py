"""The answer with which a connection ends, where no application makes it."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from collator.web.incoming import answer_problem
from collator.web.problems import Headers, Refusal


def last_answer(refusal: Refusal, default_headers: Headers) -> bytes:
    """*refusal* as the bytes of an answer with which the connection ends."""
    answer = answer_problem(refusal)
    fields = [*default_headers, *answer.headers, (b"connection", b"close")]
    fields.append((b"content-length", b"%d" % len(answer.body)))
    return STATUS_LINE[answer.status] + b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\n" + answer.body
