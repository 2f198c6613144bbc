"""One request, as the raw endpoints see it: its head, and its body up to a limit. And one answer."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from collator.errors import CollatorError, Malformed
from collator.messages import Act
from collator.packet import NOT_JSON, in_words
from collator.web.buffer_memory import BufferMemory
from collator.web.formats import BOM, JSON, name_for_json
from collator.web.loop_turns import LoopTurns
from collator.web.problems import Headers, HttpProblem, ProblemType, encode, problem, problem_headers, problem_of
from collator.web.refusals import Asked, RefusalLog
from collator.web.request_head import RequestHead, foreign_media_type

T = TypeVar("T")

READS = frozenset({"GET", "HEAD"})
"""The methods that change nothing."""
_CLOSE = (b"connection", b"close")
REQUEST = "collator.request"
"""Where the scope of a page holds its `RequestBody`."""
PATIENT = "collator.patient"
"""Set in the scope of a request that waits for its body itself: the guard puts no deadline on it."""
KEPT = "collator.kept"
"""Set in the scope of a request for which only the places reserved for health checks and repairs are free."""
HALF_CLOSED = "collator.half_closed"
"""Holds, in the scope of a request that waits, an event: the guard sets it once the client sends no more."""
UPGRADE = "collator.upgrade"
"""Holds, in the scope of a request that offers WebSocket, the connection on which it came (`upgrade_connection`)."""
LIVE = "collator.live"
"""Holds, in the scope of a request, the connection to which pieces of its answer may be written (`live_answer`)."""
_SMALL = 4096  # bytes of a body that says nothing
MUCH = 64 * 1024
"""Bytes of an answer beyond which it waits for the client to read; fewer are buffered in the connection."""
JSON_FIELDS = ((b"content-type", JSON.encode()),)

_log = structlog.get_logger(__name__)


class ClientGone(Exception):
    """The client has gone, or the guard has answered already: there is nothing left to answer."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: Headers
    """Without `Content-Length`."""
    body: bytes

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Write it, and wait until the client has taken what is much.

        An answer is an ASGI application, as Starlette's responses are.
        """
        much = len(self.body) > MUCH
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": much})
        if much:
            await send({"type": "http.response.body", "body": b""})


def answer_json(value: object, *, status: int = 200) -> HttpAnswer:
    """*value* as JSON, with a line end for who reads it in a terminal."""
    return HttpAnswer(status, JSON_FIELDS, encode(value) + b"\n")


def answer_problem(error: CollatorError) -> HttpAnswer:
    """*error* as an RFC 9457 problem."""
    refusal = problem_of(error)
    return HttpAnswer(refusal.kind.status, problem_headers(refusal), encode(problem(refusal)) + b"\n")


class RequestBody(RequestHead):
    """A request whose body has not been read."""

    __slots__ = ("act", "answering", "buffer_memory", "held", "receive", "turns", "under_way", "who", "whole")

    def __init__(self, scope: Scope, receive: Receive, buffer_memory: BufferMemory, turns: LoopTurns) -> None:
        """Look at *scope*; read nothing yet."""
        super().__init__(scope)
        self.receive = receive
        self.whole = False
        """Whether the body was read to its end."""
        self.answering = False
        """Whether a part of the answer is written, so that there can be no other."""
        self.who = ""
        """Whose share counts."""
        self.under_way = False
        """Whether it has a place among the requests that are under way."""
        self.buffer_memory = buffer_memory
        self.turns = turns
        self.held = 0
        """Bytes that it holds in memory."""
        self.act: Act | None = None
        """What was changed by it for a person."""

    def hold(self, number: int) -> None:
        """Hold *number* bytes more. Raises `HttpProblem` where they do not fit."""
        self.buffer_memory.check(self.who, number)
        self.keep(number)

    def keep(self, number: int) -> None:
        """Hold *number* bytes more, which are there, whether or not they fit."""
        self.buffer_memory.take(self.who, number)
        self.held += number

    def release(self) -> None:
        """Hold nothing any more."""
        if self.held:
            self.buffer_memory.give(self.who, self.held)
            self.held = 0

    async def answer(self, answer: HttpAnswer, send: Send) -> None:
        """Write *answer*; the connection ends with it where some of the body was not read (RFC 9112, 9.6)."""
        if not self.whole and (b"content-length" in self.headers or b"transfer-encoding" in self.headers):
            answer = msgspec.structs.replace(answer, headers=(*answer.headers, _CLOSE))
        await answer(self.scope, self.receive, send)

    async def body(self, limit: int, *, instead: str = "") -> bytes:
        """The whole body, which holds something, as `_body` has it. Raises `Malformed`, `HttpProblem`, `ClientGone`."""
        body = (await self._body(limit, instead=instead)).removeprefix(BOM)
        if not body or body.isspace():
            raise Malformed("the body is empty")
        return body

    async def _body(self, limit: int, *, instead: str = "") -> bytes:
        """The whole body.

        Raises `HttpProblem` beyond *limit* bytes, which says what to do *instead*, and `ClientGone`.
        """
        self.require_plain()
        length = self.headers.get(b"content-length")
        if length is not None and int(length) > limit:
            raise HttpProblem(ProblemType.TOO_LARGE, f"the body may have at most {limit} bytes{instead}")
        body, more = await self.chunk()
        self.hold(len(body))
        if more:
            body = await self._rest(body, limit)
        if len(body) > limit:
            raise HttpProblem(ProblemType.TOO_LARGE, f"the body may have at most {limit} bytes{instead}")
        return body

    async def json(self, limit: int, *, instead: str = "") -> bytes:
        """As `body`, of which it says that it is JSON. Raises `Malformed`, `HttpProblem`, `ClientGone`."""
        if self.media_type() != JSON:
            raise foreign_media_type(self.media_type(), JSON)
        return await self.body(limit, instead=instead)

    async def decode(self, wanted: msgspec.json.Decoder[T], limit: int) -> T:
        """Decode the body by *wanted*.

        Raises `Malformed`, `HttpProblem`, `ClientGone`.
        """
        body = await self.json(limit)
        try:
            return wanted.decode(body)
        except NOT_JSON as error:
            raise Malformed(name_for_json(body, lines_there=False) or in_words(error, body)) from None

    async def nothing(self) -> None:
        """Read a body that has to be empty. Raises `Malformed` for any other, `HttpProblem`, `ClientGone`."""
        if (await self._body(_SMALL)).strip() not in {b"", b"{}"}:
            raise Malformed("this request must not have a body")

    async def chunk(self) -> tuple[bytes, bool]:
        """The next piece of the body, and whether more may come. Raises `ClientGone`."""
        message = await self.receive()
        if message["type"] != "http.request":
            raise ClientGone
        more = message.get("more_body", False)
        self.whole = not more
        return message.get("body", b""), more

    async def gone(self) -> None:
        """Wait until the client has gone; drop what still comes of the body."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def _rest(self, first: bytes, limit: int) -> bytes:
        body = bytearray(first)
        more = True
        while more and len(body) <= limit:
            chunk, more = await self.chunk()
            self.hold(len(chunk))
            body += chunk
        return bytes(body)


async def or_problem(
    answer: Awaitable[HttpAnswer | None], request: RequestBody, refusals: RefusalLog
) -> HttpAnswer | None:
    """Await *answer*, or make its error a problem, which *refusals* notes; `None` if the client has gone.

    Raises the error where half an answer is written: to close is all that is left.
    """
    try:
        return await answer
    except ClientGone:
        return None
    except CollatorError as error:
        return _problem(problem_of(error), request, refusals)
    except Exception:  # noqa: BLE001 - logged, and answered
        return _problem(log_defect(request.scope["method"]), request, refusals)


def log_defect(method: str) -> HttpProblem:
    """Log the error that is being handled, with which a request of *method* ended; the refusal for it."""
    _log.exception("request failed", method=method)
    return HttpProblem(ProblemType.INTERNAL_ERROR, "see the log of the service")


def _problem(refusal: HttpProblem, request: RequestBody, refusals: RefusalLog) -> HttpAnswer:
    """*refusal* as an answer. No frame may keep it: by its traceback it holds all that the request held, bodies too."""
    refusals.note(refusal, Asked.by(request.scope))
    if request.answering:
        raise refusal
    return answer_problem(refusal)
