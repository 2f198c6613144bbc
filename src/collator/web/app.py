"""The HTTP app, put together: the host check, the hot path, and behind it the pages, which Starlette routes.

What lives here: which path leads where, and what is counted of a request from its beginning to its end.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext

import msgspec
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from collator.intake import Intake
from collator.interim import InterimOutputs
from collator.messages import Durability
from collator.metrics import Metrics
from collator.notices import EventKind
from collator.packet import PacketLimits
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.seams.workers import Workers
from collator.signing import Secret
from collator.text import shown
from collator.tokens import Caller, Tokens
from collator.web.access_log import ACCESS
from collator.web.audit import Audit
from collator.web.auth import Auth
from collator.web.buffer_memory import BufferMemory
from collator.web.cross_origin import CrossOrigin
from collator.web.deliveries import Deliveries
from collator.web.direct_packets import DirectPackets
from collator.web.endpoints import Endpoints
from collator.web.events import Events
from collator.web.feeds import Feeds
from collator.web.formats import JSON
from collator.web.gathered_intake import GatheredIntake
from collator.web.health import Health, Readiness, unknown_durability
from collator.web.host_check import OWN, HostCheck
from collator.web.limits import HttpLimits
from collator.web.load import Load, may_repair, who_asks
from collator.web.loop_turns import OVERHEAD_PAUSE, LoopTurns
from collator.web.openapi import Description
from collator.web.outputs import Outputs
from collator.web.packet_heads import PacketHeads
from collator.web.packet_page import PacketPage
from collator.web.packet_socket import PacketSockets
from collator.web.packets import WholePackets
from collator.web.pages import Handlers, make_pages, methods_at
from collator.web.problems import HttpProblem, ProblemType, busy, method_not_allowed
from collator.web.refusals import Refusals
from collator.web.request_body import (
    KEPT,
    MUCH,
    REQUEST,
    HttpAnswer,
    RequestBody,
    or_problem,
)
from collator.web.resources import Resources
from collator.web.retries import Retries
from collator.web.routes import OPEN_STREAM, POST_PACKETS, ROUTES
from collator.web.service_events import ServiceEvents
from collator.web.started_resource import StreamParts
from collator.web.streams import Streams, Wanted
from collator.web.tickets import Tickets
from collator.web.ui.page import UserInterface

_OPEN = frozenset(route.path for route in ROUTES if route.role is None)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the HTTP app serves."""

    intake: Intake
    ledger: Ledger
    workers: Workers
    outbox: Outbox
    metrics: Metrics
    readiness: Readiness
    """Why the service is not ready."""
    risks: Callable[[], Sequence[str]] = tuple
    """Why an acknowledged packet may be lost nevertheless."""
    wall: Callable[[], float] = time.time
    """The time of people, in seconds since 1970."""
    durability: Callable[[], Awaitable[Durability | None]] = unknown_durability
    """What becomes of commits."""
    packet_limits: PacketLimits = PacketLimits()
    limits: HttpLimits = HttpLimits()
    hosts: Sequence[str] | None = OWN
    """The names by which it may be asked, beside any address; `None`: any."""
    origins: Sequence[str] = ()
    """Those whose pages may read."""
    interim: InterimOutputs = msgspec.field(default_factory=InterimOutputs)
    """What calls show before they end."""
    hide_payloads: bool = False
    """Whether payloads are shown to nobody."""
    tokens: Callable[[], Tokens] | None = None
    """The tokens that are valid at this moment; `None`: no token is needed."""
    ticket_secrets: Callable[[], Sequence[Secret]] | None = None
    """What signs tickets, the current one first; `None`: a secret of this process."""
    ui: bool = False
    """Whether there is a page at `/`."""
    ui_payloads: bool = False
    """Whether it shows payloads and outputs."""


def make_app(parts: Parts) -> App:
    """The ASGI application that speaks for *parts*."""
    return App(parts)


class App:
    """The HTTP app."""

    def __init__(self, parts: Parts) -> None:
        """Speak for *parts*."""
        self.refusals = Refusals(parts.metrics)
        self._notices = parts.metrics.notices
        self._tracing = parts.intake.tracing
        self._host_check = HostCheck(parts.hosts)
        self._auth = Auth(parts.tokens)
        self._cross_origin = CrossOrigin(parts.origins)
        self._tickets = Tickets(parts.ticket_secrets)
        self._packet_heads = PacketHeads(self._host_check, self._auth)
        self._buffer_memory = BufferMemory(parts.limits.max_buffered)
        self._turns = LoopTurns()
        self._overhead_turns = LoopTurns(pause=OVERHEAD_PAUSE)
        self._load = Load(parts.limits)
        self._packets = WholePackets(
            parts.intake, self.refusals, packet_limits=parts.packet_limits, limits=parts.limits
        )
        self.direct = DirectPackets(
            self._packet_heads,
            self._packets,
            load=self._load,
            buffer_memory=self._buffer_memory,
            refusals=self.refusals,
            tracing=self._tracing,
        )
        """The short way for single packets, for connections that can take it."""
        self.audit = Audit(parts.ledger)
        self._streams = Streams(
            parts.intake,
            self.refusals,
            self.audit,
            packet_limits=parts.packet_limits,
            limits=parts.limits,
            load=self._load,
        )
        self._ui = UserInterface(self._auth, self._host_check, payloads=parts.ui_payloads) if parts.ui else None
        self._pages = make_pages(self._handlers(parts), self._auth)
        parts.metrics.requests.set_function(lambda: self._load.requests.used)
        parts.metrics.streams.set_function(lambda: self._load.streams.used)

    def _handlers(self, parts: Parts) -> Handlers:
        feeds = Feeds(parts.ledger, parts.interim)
        return Handlers(
            health=_health(parts),
            resources=Resources(
                parts.ledger,
                parts.outbox,
                packet_limits=parts.packet_limits,
                refusal=parts.intake.refusal,
                trouble=parts.workers.health,
            ),
            retries=Retries(parts.ledger, parts.workers, parts.metrics, refusal=parts.intake.refusal),
            deliveries=Deliveries(parts.ledger, parts.outbox),
            endpoints=Endpoints(parts.ledger, parts.outbox),
            outputs=Outputs(parts.ledger, draining=parts.intake.draining, load=self._load),
            events=Events(feeds, draining=parts.intake.draining, load=self._load),
            tickets=self._tickets,
            service_events=ServiceEvents(parts.metrics, draining=parts.intake.draining, load=self._load),
            packet_page=PacketPage(parts.ledger, hide_payloads=parts.hide_payloads),
            packets=self._packets,
            sockets=PacketSockets(
                StreamParts(
                    intake=parts.intake,
                    gathered_intake=GatheredIntake(parts.intake),
                    ledger=parts.ledger,
                    outbox=parts.outbox,
                    feeds=feeds,
                    overhead_turns=self._overhead_turns,
                    auth=self._auth,
                    packet_limits=parts.packet_limits,
                    limits=parts.limits,
                ),
                audit=self.audit,
                refusals=self.refusals,
                load=self._load,
            ),
            audit=self.audit,
            description=Description(packet_limits=parts.packet_limits, guarded=self._auth.guarded),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong becomes a problem."""
        request = RequestBody(scope, receive, self._buffer_memory, self._turns)
        send = self._cross_origin.answering(request, send)
        try:
            answer = await or_problem(self._made(request, send), request, self.refusals)
            request.release()
            if answer is not None:
                if len(answer.body) > MUCH:
                    request.keep(len(answer.body))
                await request.answer(answer, send)
        finally:
            if (act := request.act) is not None:
                told = {"who": act.who, "peer": act.peer, "verb": act.verb, "target": act.target}
                self._notices.tell(EventKind.ACTION, act.id, **told, changed=act.changed)
            request.release()
            if request.under_way:
                self._load.end(request.who)
            if ACCESS in scope and request.caller is not None:
                scope[ACCESS].who = request.caller.name

    async def _made(self, request: RequestBody, send: Send) -> HttpAnswer | None:
        """The answer, where it was not written yet."""
        tracing = self._tracing
        try:
            with nullcontext() if tracing is None else tracing.receiving(request.scope["headers"]):
                return await self._answer(request, send)
        except HTTPException as error:
            raise _routing_problem(error, request.scope["raw_path"]) from None
        except HttpProblem as refusal:
            await self.audit.refused(request, refusal)
            raise

    async def _answer(self, request: RequestBody, send: Send) -> HttpAnswer | None:
        path = request.scope["raw_path"].decode("ascii")  # as it was sent: %2F is no separator (R1)
        if path == POST_PACKETS.path:
            return await self._take(request, send)
        if self._ui is not None and self._ui.serves(path):
            return await self._ui.answer(request, path)
        foreign = path != OPEN_STREAM.path and self._cross_origin.allows(request)  # a stream is more than a read
        check = self._host_check.check_host if foreign else self._host_check.check
        check(request.headers, request.target_host)
        if (preflight := self._cross_origin.preflight(request)) is not None:
            return preflight
        if path not in _OPEN:
            request.caller = self._tickets.caller(request) or self._identify(request, foreign=foreign)
            self._begin(request)
        # With an "app" in the scope, Starlette's router raises instead of answering in plain text.
        scope = {**request.scope, "path": path, "app": self, REQUEST: request}
        await self._pages(scope, request.receive, send)
        return None

    def _identify(self, request: RequestBody, *, foreign: bool) -> Caller | None:
        """The caller by his token; where a page of another origin asks, without the cookie of ours."""
        page_token = None if self._ui is None or foreign else self._ui.token_of(request)
        return self._auth.identify(request.headers, page_token=page_token)

    def _begin(self, request: RequestBody) -> None:
        """See whether there is a place for the request, whose caller is known."""
        caller = request.caller
        request.who = who_asks(caller, request.scope.get("client"))
        kept = may_repair(caller)
        if KEPT in request.scope and not kept:
            raise busy("too many connections with a request (max_connections)")
        self._load.begin(request.who, kept=kept)
        request.under_way = True

    async def _take(self, request: RequestBody, send: Send) -> HttpAnswer | None:
        wanted = self._packet_heads.judge(request)
        self._begin(request)
        if wanted.media_type == JSON:
            return await self._packets.post(request)
        return await self._streams.post(request, send, receipts=wanted.receipts or Wanted.NONE)


def _routing_problem(error: HTTPException, path: bytes) -> HttpProblem:
    if error.status_code != ProblemType.METHOD_NOT_ALLOWED.status:
        return HttpProblem(ProblemType.NOT_FOUND, f"unknown path {shown(path)}; see /openapi.json for the API")
    return method_not_allowed(", ".join(methods_at(path.decode("ascii"))))


def _health(parts: Parts) -> Health:
    return Health(
        parts.ledger,
        parts.outbox,
        parts.metrics,
        parts.workers,
        wall=parts.wall,
        readiness=parts.readiness,
        risks=parts.risks,
        durability=parts.durability,
    )
