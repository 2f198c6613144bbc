"""`/healthz`, `/readyz` and `/metrics`: for monitoring."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST

from collator import __version__
from collator.messages import Counts, FailureReport
from collator.metrics import Metrics
from collator.paging import fitting
from collator.seams.ledger import Ledger
from collator.seams.workers import Workers
from collator.web.problems import HttpProblem, ProblemType
from collator.web.request_body import HttpAnswer, RequestBody, answer_json

_SHOWN = 100  # endpoints in the status; their list has them all


class Alive(msgspec.Struct, frozen=True):
    """That it is alive."""

    status: str = "alive"


class Ready(msgspec.Struct, frozen=True):
    """That it is ready."""

    status: str = "ready"


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
    stored: Counts
    """How much it holds."""


Readiness = Callable[[], Sequence[str]]
"""Why the service is not ready, a sentence for each reason; nothing where it is."""


class Health:
    """The pages of health and metrics."""

    def __init__(self, ledger: Ledger, metrics: Metrics, workers: Workers, *, readiness: Readiness) -> None:
        """Ask *readiness*, *ledger* and *workers*."""
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
        return answer_json(Ready())

    async def status(self, _request: RequestBody) -> HttpAnswer:
        """The state of the service, for people: 200 whatever it is."""
        reasons, stored, paused = self._readiness(), await self._ledger.counts(), sorted(await self._ledger.paused())
        return answer_json(
            ServiceStatus(
                version=__version__,
                ready=not reasons,
                reasons=reasons,
                failing=fitting(self._workers.failures()),
                paused=paused[:_SHOWN],
                paused_more=len(paused[_SHOWN:]),
                stored=stored,
            )
        )

    async def metrics(self, _request: RequestBody) -> HttpAnswer:
        """Get all metrics, in the text format of Prometheus."""
        self._metrics.stored(msgspec.structs.asdict(await self._ledger.counts()))
        return HttpAnswer(200, ((b"content-type", CONTENT_TYPE_LATEST.encode()),), self._metrics.text())
