"""Single packets, answered directly by the connection on which they came: without a cycle and a task of ASGI for each.

What is taken here is what is good so far: a small packet, whole, in a usual request, from a caller who may send it, and
there is a place for it. All else goes to the app, which finds the same by the same code (`packet_heads`, `packets`,
`load`), and says what is wrong. So nothing is refused here but what the ledger, or the intake, refuses.

The packets of one caller that come in one turn of the event loop are accepted by one call: it costs little more than
that of a single one. Their requests are answered one by one, as if each had been accepted alone.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog
from starlette.types import Scope

from collator.errors import CollatorError
from collator.packet import Packet, Receipt
from collator.web.answer_bytes import AnswerBytes
from collator.web.buffer_memory import BufferMemory
from collator.web.cycle import Cycle
from collator.web.formats import JSON
from collator.web.known_heads import KnownHead, KnownHeads
from collator.web.limits import MIB
from collator.web.load import Load, may_repair, who_asks
from collator.web.packet_heads import PacketHeads
from collator.web.packets import WholePackets, answer_receipt
from collator.web.problems import HttpProblem, problem_of
from collator.web.refusals import Asked, Refusals
from collator.web.request_body import HttpAnswer, answer_problem, log_defect
from collator.web.request_head import RequestHead
from collator.web.routes import POST_PACKETS

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing

_PATH = POST_PACKETS.path.encode()
_TOGETHER = MIB
"""Bytes of bodies beyond which the next packet belongs to another call."""

_log = structlog.get_logger(__name__)


class Asking(Protocol):
    """A connection on which packets come."""

    client: tuple[str, int] | None

    def answer(self, cycle: Cycle, answer: HttpAnswer) -> None:
        """Write *answer*, whole."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work*, from the next turn of the loop on, as that of a request: the end of the service waits for it."""
        ...


class Waiting(NamedTuple):
    """A request whose packet is being accepted."""

    connection: Asking
    cycle: Cycle
    head: KnownHead
    packet: Packet


class Together:
    """The requests of one caller that came in one turn of the event loop."""

    __slots__ = ("requests", "size")

    def __init__(self) -> None:
        """Begin with none."""
        self.requests: list[Waiting] = []
        self.size = 0


class DirectPackets:
    """The short way to the endpoint for packets."""

    def __init__(
        self,
        heads: PacketHeads,
        packets: WholePackets,
        *,
        load: Load,
        buffer_memory: BufferMemory,
        refusals: Refusals,
        tracing: Tracing | None = None,
    ) -> None:
        """Judge by *heads*, and offer to *packets* what has a place in *load* and *buffer_memory*.

        Note in *refusals* what was not taken. *tracing* reads in which trace a packet is sent.
        """
        self._tracing = tracing
        self.known = KnownHeads(heads.basis)
        self.bytes = AnswerBytes()
        self._heads, self._packets = heads, packets
        self._load, self._buffer_memory, self._refusals = load, buffer_memory, refusals
        self._gathered: dict[str, Together] = {}

    def judge(self, scope: Scope, body_size: int) -> KnownHead | None:
        """The head in *scope*, judged, of a request with a body of *body_size*; `None` where it is for the app."""
        if scope["raw_path"] != _PATH:
            return None
        head = RequestHead(scope)
        try:
            media_type = self._heads.judge(head).media_type
            head.require_plain()
        except CollatorError:
            return None
        if media_type != JSON or b"content-length" not in head.headers:
            return None
        fields = tuple(field for field in scope["headers"] if field[0] == b"user-agent")
        parent = None if self._tracing is None else self._tracing.parent(scope["headers"])
        return KnownHead(head.caller, body_size, fields, parent)

    def take(self, connection: Asking, cycle: Cycle, head: KnownHead, body: bytes) -> bool:
        """Have the packet in *body* accepted, and answer its request; `False` where it is for the app."""
        who = who_asks(head.caller, connection.client)
        try:
            self._buffer_memory.check(who, len(body))
            packet = self._packets.read_small(body, head.caller)
            if packet is None:
                return False
            self._load.begin(who, kept=may_repair(head.caller))
        except CollatorError:
            return False
        self._buffer_memory.take(who, len(body))
        together = self._gathered.get(who)
        if together is None:
            together = self._gathered[who] = Together()
            connection.start(self._accept(who, together))
        together.requests.append(Waiting(connection, cycle, head, packet))
        together.size += len(body)
        if together.size > _TOGETHER:
            del self._gathered[who]
        return True

    async def _accept(self, who: str, together: Together) -> None:
        """Accept the packets of requests that came *together* until the loop gets here, and answer them."""
        if self._gathered.get(who) is together:
            del self._gathered[who]
        requests = together.requests
        try:
            parents = None if self._tracing is None else [request.head.parent for request in requests]
            receipts = await self._packets.accept([request.packet for request in requests], who=who, parents=parents)
        except CollatorError as error:
            self._refuse(requests, problem_of(error))
        except Exception:  # noqa: BLE001 - logged, and answered
            self._refuse(requests, log_defect(POST_PACKETS.method))
        else:
            self._answer(requests, receipts)
        finally:
            self._buffer_memory.give(who, together.size)
            self._load.end(who, len(requests))

    def _answer(self, requests: Sequence[Waiting], receipts: Sequence[Receipt]) -> None:
        for request, receipt in zip(requests, receipts, strict=True):
            try:
                answer = answer_receipt(request.packet, receipt)
            except HttpProblem as refusal:
                self._refuse([request], refusal)
            else:
                _write(request, answer)

    def _refuse(self, requests: Sequence[Waiting], refusal: HttpProblem) -> None:
        answer = answer_problem(refusal)
        for request in requests:
            asked = Asked(request.connection.client, request.head.fields, POST_PACKETS.method, _PATH)
            self._refusals.note(refusal, asked)
            _write(request, answer)


def _write(request: Waiting, answer: HttpAnswer) -> None:
    """Write *answer*; a defect that shows there is no reason to leave the others without theirs."""
    try:
        request.connection.answer(request.cycle, answer)
    except Exception:  # noqa: BLE001 - logged, and the connection is given up
        _log.exception("connection aborted")
        request.connection.abort()
