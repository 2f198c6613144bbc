"""Whole answers as bytes, for those that are written without ASGI."""

from __future__ import annotations

from http import HTTPStatus

from collator.web.problems import Headers
from collator.web.request_body import JSON_FIELDS, HttpAnswer

_STATUS_LINES = {one.value: b"HTTP/1.1 %d %b\r\n" % (one.value, one.phrase.encode()) for one in HTTPStatus}
_CLOSE = b"connection: close\r\n"


class AnswerBytes:
    """The bytes of answers; what many have in common is joined once."""

    def __init__(self) -> None:
        """Know of no fields yet that all answers have."""
        self._default: Headers | None = None
        self._lines = b""

    def of(self, answer: HttpAnswer, default_headers: Headers, *, last: bool) -> bytes:
        """*answer* with *default_headers*, another object whenever they change; *last*: the connection ends with it."""
        if default_headers is not self._default:
            self._default, self._lines = default_headers, lines(default_headers)
        own = _JSON if answer.headers is JSON_FIELDS else lines(answer.headers)
        body = answer.body
        return b"%b%b%bcontent-length: %d\r\n%b\r\n%b" % (
            _STATUS_LINES[answer.status], self._lines, own, len(body), _CLOSE if last else b"", body,
        )  # fmt: skip


def lines(headers: Headers) -> bytes:
    """The lines of *headers*."""
    return b"".join([b"%b: %b\r\n" % field for field in headers])


_JSON = lines(JSON_FIELDS)
