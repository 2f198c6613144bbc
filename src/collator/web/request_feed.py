"""uvicorn's protocol, whose parser gets one request at a time, so that the bytes of each are known.

Theory. The parser (httptools) accepts a first line with more than two blanks, or with another protocol than HTTP. So
that line is checked here, at the beginning of each request. That place is known because the parser is stopped where
another request begins in the same piece, and a new parser gets the rest; in a chunked body, whose end only the parser
knows, a piece is cut wherever the body may end.

A client that speaks HTTP/1.0 knows neither interim answers nor chunks, which uvicorn would send it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from collator.errors import ConfigError
from collator.web.head import bad, head_without_offer

_END = b"\r\n\r\n"
_BLANK = b"\r\n"  # empty lines before a request are passed over (RFC 9112, 2.2)
_KEPT = 64 * 1024  # bytes of a head that has not come whole; larger ones are refused


LEAST = (0, 6, 4)
"""The oldest httptools that was seen to refuse what can be read in two ways; what installs Collator may not know."""


def check_parser() -> None:
    """Raise `ConfigError` for a parser that is too old to be trusted with a port."""
    if tuple(map(int, re.findall(r"[0-9]+", httptools.__version__)[:3])) < LEAST:
        least = ".".join(map(str, LEAST))
        raise ConfigError(f"httptools {httptools.__version__} is too old: version {least} or newer is required")


class ParserState(Enum):
    """The state of the parser."""

    BETWEEN = "between"  #: two requests
    HEAD = "head"
    BODY = "body"


class RequestProgress(Enum):
    """The progress of the newest request."""

    NOTHING = "nothing"  #: not a byte
    HEAD = "head"
    BODY = "body"
    WHOLE = "whole"
    NO_MORE = "no more"  #: no further request is read
    LEFT = "left"  #: the connection has left HTTP
    ENDED = "ended"  #: the client has said that it sends no more


class AnotherRequest(Exception):
    """In the piece that the parser has got begins a request behind the one that it was given for."""


class RequestFeed(HttpToolsProtocol):
    """Feeds the parser."""

    def __init__(self, config: Config, state: ServerState, app_state: dict[str, Any], *, most: int) -> None:
        """As uvicorn's; a piece has *most* requests at most."""
        super().__init__(config, state, app_state)
        self.body_size = 0
        """Bytes of the newest body."""
        self.offer = b""
        """The other protocol that the head offers which is about to be read once more."""
        self._part = ParserState.BETWEEN
        self._begun = False  # whether the request that this piece is for has begun
        self._came: bytes | bytearray = b""  # since the head began; of a body, the newest piece
        self._last = b""  # the end of what came: what ends a chunked body may come in two pieces
        self._most = most

    def feed(self, data: bytes) -> None:
        """Feed the parser. Raises `HttpProblem` and what the parser raises."""
        turns = 0
        try:
            while data:
                data = self._feed_one(data, cut=turns < self._most)
                turns += 1
        finally:
            if self._part is not ParserState.HEAD:
                self._came = b""
            elif len(self._came) > _KEPT:
                self._came = self._came[-_KEPT:]

    def first_line(self) -> tuple[bytes, bytes, str]:
        """Method, target and version of HTTP. Raises `HttpProblem` unless one blank stands between them."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        line = b"%s %s HTTP/%s\r\n" % (method, self.url, version.encode())
        if not (self._came.startswith(line) or self._came.lstrip(_BLANK).startswith(line)):
            raise bad("the first line must be METHOD, PATH and HTTP/1.1, separated by single spaces")
        return method, self.url, version

    # What the parser says.

    def on_message_begin(self) -> None:
        """A request begins: the one that the piece is for, or it is for the next parser."""
        if self._begun:
            raise AnotherRequest
        super().on_message_begin()
        self._begun, self._part = True, ParserState.HEAD

    def on_headers_complete(self) -> None:
        """The head is there."""
        old = self.parser.get_http_version() == "1.0"
        if old:
            self.expect_100_continue = False  # RFC 9110, 10.1.1
        super().on_headers_complete()
        if old:
            _end_by_closing(self.cycle)
        self._part, self.body_size = ParserState.BODY, 0

    def on_body(self, body: bytes) -> None:
        """Some of the body is there."""
        self.body_size += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        super().on_message_complete()
        self._part = ParserState.BETWEEN

    # Pieces.

    def _feed_one(self, data: bytes, *, cut: bool) -> bytes:
        """Feed the parser with one request, or a part of it; what is left of *data*."""
        part, size, left = self._part, self.body_size, b""
        if part is ParserState.BODY and cut and self._chunked():
            found = (self._last + data).find(_END)
            end = len(data) if found < 0 else found + len(_END) - len(self._last)
            data, left = data[:end], data[end:]
        self._keep(data)
        self._begun = part is not ParserState.BETWEEN
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            # A server may ignore the offer of an upgrade (RFC 9110, 7.8). The parser takes it for a promise: it stops
            # behind the head, and reports no body. So it gets what it has read of that head once more, without the
            # offer, and what came behind it as the body that it is. Whoever takes the offer does so by its answer.
            line = self.parser.get_method(), self.url, self.parser.get_http_version().encode()
            self._renew_parser()
            self._part = ParserState.BETWEEN
            self.offer = b",".join(value for name, value in self.headers if name == b"upgrade")
            return head_without_offer(*line, self.headers) + data[offer.args[0] :]
        except httptools.HttpParserError as error:
            if not isinstance(error.__context__, AnotherRequest):
                raise
            self._renew_parser()
            return self._behind(self.body_size - size) if part is ParserState.BODY else self._behind_whole()
        return left

    def _keep(self, data: bytes) -> None:
        if self._part is ParserState.HEAD:
            if isinstance(self._came, bytes):
                self._came = bytearray(self._came)
            self._came += data
        else:
            self._came = data
        self._last = bytes(self._came[1 - len(_END) :])

    def _behind(self, size: int) -> bytes:
        """The bytes behind the last *size* bytes of a body."""
        if self._chunked():
            raise bad("the start of this request cannot be told from the end of the previous one")
        return bytes(self._came[size:])

    def _behind_whole(self) -> bytes:
        """The bytes behind a request whose head is among them."""
        came = bytes(self._came)
        at = came.index(_END, len(came) - len(came.lstrip(_BLANK))) + len(_END)
        if not self._chunked():
            return came[at + self.body_size :]
        while True:
            end = came.index(_BLANK, at)
            size = int(came[at:end].partition(b";")[0], 16)
            if not size:
                return came[came.index(_END, end) + len(_END) :]
            at = end + len(_BLANK) + size + len(_BLANK)

    def _chunked(self) -> bool:
        return any(name == b"transfer-encoding" for name, _ in self.scope["headers"])

    def _renew_parser(self) -> None:
        """Have a parser that has read nothing: the old one is done."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it


def _end_by_closing(cycle: RequestResponseCycle) -> None:
    """Let the end of the connection end an answer without a length (RFC 9112, 6.1)."""
    send = cycle.send

    async def send_plain(message: Any) -> None:  # noqa: ANN401 - an event of ASGI, which uvicorn gives no public name
        cycle.expected_content_length = len(message.get("body", b""))  # uvicorn counts down, and stops at none
        await send(message)

    cycle.chunked_encoding = False
    cycle.send = send_plain  # type: ignore[method-assign]  # uvicorn makes the cycle, and offers no other place
