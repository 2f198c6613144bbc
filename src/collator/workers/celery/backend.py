"""The Celery workers as a backend, seen from a node: it has no processor, and calls nothing."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from collator.clock import Clock
from collator.errors import ConfigError
from collator.interim import InterimOutputs
from collator.messages import Result, Task
from collator.metrics import Metrics
from collator.processor import Cause, OutcomeFactory
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.settings import Settings
from collator.workers.celery.job_size import MOST_OUT
from collator.workers.celery.messages import JobAnswers
from collator.workers.celery.pool import CeleryPool
from collator.workers.pooled_workers import PooledWorkers
from collator.workers.traced_calls import trace_answers

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing

WINDOW = 2 * MOST_OUT
"""Packets in memory, at most: those that are out, and as many that wait for their turn."""
_CAUSES = frozenset(map(str, Cause))
_HEDGES = frozenset({"won", "wasted"})


class CeleryBackend:
    """Workers at a broker; implements `collator.seams.backend.WorkersBackend`."""

    separate = True
    wants_metadata = True
    interim = InterimOutputs()  # calls are made elsewhere, and show nothing here

    def __init__(self, settings: Settings, *, clock: Clock, stood_still: Callable[[], float]) -> None:
        """Raise `ConfigError` where *settings* name no broker. It may be away."""
        if not settings.broker:
            raise ConfigError("--workers celery needs a broker, as in --broker redis://127.0.0.1:6379/0")
        self._url = settings.broker
        self._outcomes = OutcomeFactory(
            timeout=settings.processor_timeout,
            retries=settings.processor_retries,
            patience=settings.processor_patience,
            max_output=settings.max_output,
            quote=not settings.hide_payloads,
            clock=clock,
            stood_still=stood_still,
        )
        # The same after a restart, so that no queue is left behind.
        place = f"{socket.gethostname()}\0{settings.data_dir}".encode()
        self._queue = f"collator.node.{hashlib.sha256(place).hexdigest()[:16]}"

    def workers(
        self, ledger: Ledger, outbox: Outbox, *, metrics: Metrics, lease: float, tracing: Tracing | None = None
    ) -> PooledWorkers:
        """The pool that sends jobs to them."""

        def note(answers: JobAnswers, tasks: Sequence[Task], results: Sequence[Result]) -> None:
            if tracing is not None:
                trace_answers(tracing, tasks, results, answers.seconds or 0.0)
            for cause in _CAUSES & answers.service_calls.keys():
                metrics.service_calls.labels(cause).inc(answers.service_calls[cause])
            for result in _HEDGES & answers.hedges.keys():
                metrics.hedges.labels(result).inc(answers.hedges[result])

        def make_pool(tell: Callable[[], None]) -> CeleryPool:
            pool = CeleryPool(self._url, self._outcomes, tell=tell, queue=self._queue)
            pool.note = note
            return pool

        return PooledWorkers(
            ledger, make_pool, outbox, outcomes=self._outcomes, metrics=metrics, window=WINDOW, lease=lease
        )
