"""`/healthz`, `/readyz` and `/metrics`: for monitoring."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST

from collator import __version__
from collator.errors import Unavailable
from collator.messages import Counts, Durability, FailureReport, NodeReport, WorkerReport
from collator.metrics import Metrics
from collator.paging import fitting
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.seams.workers import Workers
from collator.web.attention import EndpointAttention, attention, owed
from collator.web.problems import HttpProblem, ProblemType
from collator.web.request_body import HttpAnswer, RequestBody, answer_json

_SHOWN = 100  # endpoints and workers in the status
_NODES = 100  # nodes in the status
_ATTENTION_SIZE = 64 * 1024  # bytes of what needs attention
_PATIENCE = 2.0  # seconds in which a store that is away has to answer: the status is wanted most while it is


R = TypeVar("R")


class Alive(msgspec.Struct, frozen=True):
    """That it is alive."""

    status: str = "alive"


class Ready(msgspec.Struct, frozen=True):
    """That it is ready."""

    status: str = "ready"
    risks: Sequence[str] = ()
    """Why an acknowledged packet may be lost nevertheless: only where that was accepted in the settings."""


class UnderWayCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What is being worked on."""

    packets: int
    """Those that the processor, or workers elsewhere, have in hand."""
    deliveries: int
    """Those that are being attempted."""


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a service."""

    version: str
    ready: bool
    """Whether it takes packets and processes them."""
    reasons: Sequence[str]
    """Why it is not ready, a sentence for each reason."""
    failing: Sequence[FailureReport]
    """The calls of the processor that failed within ten minutes, those with one cause as one; the latest 10 causes."""
    paused: Sequence[str]
    """The endpoints to which nothing is sent until a person resumes them; the first 100."""
    paused_more: int
    """How many there are beyond those."""
    attention: Sequence[EndpointAttention]
    """The endpoints that need the attention of a person, by name, and why: the first 100 that fit, fewer where what
    receivers said is long. The counts of deliveries are of the first 1,000 that are due, and that are dead."""
    stored: Counts | None
    """How much is stored; null while the store cannot be read."""
    nodes: Sequence[NodeReport]
    """The processes that have the ledger open, the earliest first: the first 100."""
    workers: Sequence[WorkerReport]
    """The Celery workers that the node that answers hears of, by name: the first 100; none where workers are local."""
    durability: Durability | None
    """What becomes of commits; null while the store cannot be read."""
    under_way: UnderWayCounts
    """What the node that answers is working on."""


Readiness = Callable[[], Sequence[str]]
"""Why the service is not ready, a sentence for each reason; nothing where it is."""


class _Seen(msgspec.Struct, frozen=True):
    """What the store answered."""

    stored: Counts | None = None
    paused: Sequence[str] = ()
    nodes: Sequence[NodeReport] = ()
    durability: Durability | None = None


async def unknown_durability() -> Durability | None:
    """Tell nothing of what becomes of commits."""
    return None


class Health:
    """The pages of health and metrics."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        metrics: Metrics,
        workers: Workers,
        *,
        wall: Callable[[], float],
        readiness: Readiness,
        risks: Callable[[], Sequence[str]],
        durability: Callable[[], Awaitable[Durability | None]],
    ) -> None:
        """Ask *readiness*, *risks*, *durability*, *ledger*, *outbox* and *workers*; *wall* is the time of people."""
        self._outbox, self._wall = outbox, wall
        self._risks, self._durability = risks, durability
        self._workers = workers
        self._ledger = ledger
        self._metrics = metrics
        self._readiness = readiness

    async def alive(self, _request: RequestBody) -> HttpAnswer:
        """200 as long as the event loop turns; touches nothing."""
        return answer_json(Alive())

    async def ready(self, _request: RequestBody) -> HttpAnswer:
        """200, or a problem with the reasons for which no packets should be sent here."""
        reasons = self._readiness()
        if reasons:
            raise HttpProblem(ProblemType.NOT_READY, "; ".join(reasons), retry_after=1.0, members={"reasons": reasons})
        return answer_json(Ready(risks=self._risks()))

    async def status(self, _request: RequestBody) -> HttpAnswer:
        """The state of the service, for people: 200 whatever it is."""
        none: Sequence[EndpointAttention] = ()
        seen, needing = await asyncio.gather(_in_time(self._look, _Seen()), _in_time(self._attention, none))
        reasons = self._readiness()
        return answer_json(
            ServiceStatus(
                version=__version__,
                ready=not reasons,
                reasons=reasons,
                failing=fitting(self._workers.failures()),
                paused=seen.paused[:_SHOWN],
                paused_more=len(seen.paused[_SHOWN:]),
                attention=fitting(needing[:_SHOWN], _ATTENTION_SIZE),
                stored=seen.stored,
                nodes=fitting(seen.nodes),
                workers=fitting(self._workers.reports()[:_SHOWN]),
                durability=seen.durability,
                under_way=UnderWayCounts(
                    packets=self._workers.in_hand(), deliveries=sum(self._outbox.under_way().values())
                ),
            )
        )

    async def metrics(self, _request: RequestBody) -> HttpAnswer:
        """Get all metrics, in the text format of Prometheus."""
        none: Mapping[str, tuple[int, float]] = {}
        seen, due = await asyncio.gather(_in_time(self._look, _Seen()), _in_time(self._owed, none))
        self._metrics.owed(due)
        self._metrics.under_way(self._workers.in_hand(), self._outbox.under_way())
        if seen.stored is not None:
            self._metrics.stored(msgspec.structs.asdict(seen.stored))
        if seen.durability is not None:
            lags = {
                (one.name, one.sync): (one.lag_seconds or 0.0, one.lag_bytes or 0) for one in seen.durability.standbys
            }
            self._metrics.durable(len(seen.durability.risks), lags)
        workers = self._workers.reports()
        self._metrics.elsewhere(
            sum(worker.calls > 0 for worker in workers),  # others cannot read what this service sends
            calls=sum(worker.calls for worker in workers),
            packets=sum(worker.packets for worker in workers),
        )
        self._metrics.shared(len(seen.nodes), leased=sum(node.leased for node in seen.nodes if node.here))
        return HttpAnswer(200, ((b"content-type", CONTENT_TYPE_LATEST.encode()),), self._metrics.text())

    async def _look(self) -> _Seen:
        return _Seen(
            await self._ledger.counts(),
            sorted(await self._ledger.paused()),
            await self._ledger.nodes(limit=_NODES),
            await self._durability(),
        )

    async def _owed(self) -> Mapping[str, tuple[int, float]]:
        return await owed(self._ledger, now=self._wall())

    async def _attention(self) -> Sequence[EndpointAttention]:
        return await attention(self._ledger, self._outbox, now=self._wall())


async def _in_time(look: Callable[[], Awaitable[R]], otherwise: R) -> R:
    """The answer of the store to *look*, if it comes soon enough."""
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            return await look()
    return otherwise
