"""`/healthz`, `/readyz` and `/metrics`: for those who watch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST

from collator.intake import Intake
from collator.ledger import Ledger
from collator.metrics import Metrics
from collator.web.incoming import Answer, Incoming, answer_json
from collator.web.problems import Kind, Refusal

Readiness = Callable[[], Sequence[str]]
"""Why the service is not ready, a sentence for each reason; nothing where it is."""


class Health:
    """What tells how the service is."""

    def __init__(self, intake: Intake, ledger: Ledger, metrics: Metrics, *, readiness: Readiness) -> None:
        """Ask *readiness* and *ledger*."""
        self._intake = intake
        self._ledger = ledger
        self._metrics = metrics
        self._readiness = readiness

    async def alive(self, _request: Incoming) -> Answer:
        """200 as long as the event loop turns; touches nothing."""
        return answer_json({"status": "alive"})

    async def ready(self, _request: Incoming) -> Answer:
        """200, or a problem with the reasons for which no packets should be sent here."""
        reasons = [*self._readiness()]
        if self._intake.draining.is_set():
            reasons.insert(0, "the service is stopping")
        if reasons:
            raise Refusal(Kind.NOT_READY, "; ".join(reasons), retry_after=1.0, members={"reasons": reasons})
        return answer_json({"status": "ready"})

    async def metrics(self, _request: Incoming) -> Answer:
        """Everything that is counted, in the text format of Prometheus."""
        for kind, number in msgspec.structs.asdict(await self._ledger.counts()).items():
            self._metrics.stored.labels(kind).set(number)
        return Answer(200, ((b"content-type", CONTENT_TYPE_LATEST.encode()),), self._metrics.text())
