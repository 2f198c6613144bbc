"""The local workers: a pool of this process, and of its children."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from collator.metrics import Metrics
from collator.processor import Cause, HttpService, Processor
from collator.seams.outbox import Outbox
from collator.seams.packets import WorkQueue
from collator.workers.hedges import Hedges
from collator.workers.pool import WorkerPool
from collator.workers.pooled_workers import WINDOW, PooledWorkers
from collator.workers.pools import open_pool
from collator.workers.service_calls import ServiceCalls

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing


class LocalWorkers(PooledWorkers):
    """Has a processor called in this process, or in its children."""

    def __init__(
        self,
        ledger: WorkQueue,
        processor: Processor,
        outbox: Outbox,
        *,
        metrics: Metrics,
        concurrency: int = 8,
        max_abandoned: int | None = None,
        window: int = WINDOW,
        sweep: float = 0.5,
        lease: float = 30.0,
        hedge: float | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """*concurrency* calls at a time, and up to *max_abandoned* (default: as many) more that outlast their timeout.

        *hedge*: the quantile of `Hedges`, if any. *tracing* makes a span of each call. The others as in
        `PooledWorkers`.
        """

        def note_hedge(won: bool) -> None:  # noqa: FBT001 - it is the value
            metrics.hedges.labels("won" if won else "wasted").inc()

        def note_call(cause: Cause) -> None:
            metrics.service_calls.labels(str(cause)).inc()

        judge = None
        if isinstance(processor, HttpService):
            judge = ServiceCalls(processor.outcomes, processor.address, ceiling=concurrency, note=note_call)

        def make_pool(tell: Callable[[], None]) -> WorkerPool:
            return open_pool(
                processor,
                tell=tell,
                judge=judge,
                concurrency=concurrency,
                max_abandoned=max_abandoned or concurrency,
                window=window,
                hedges=None if hedge is None else Hedges(hedge, note=note_hedge),
                tracing=tracing,
            )

        super().__init__(
            ledger,
            make_pool,
            outbox,
            outcomes=processor.outcomes,
            metrics=metrics,
            window=window,
            sweep=sweep,
            lease=lease,
        )
