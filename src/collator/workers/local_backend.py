"""The workers of this process as a backend: the processor, opened here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from collator.clock import Clock
from collator.delivery import policy_of, secured
from collator.errors import ConfigError
from collator.interim import InterimOutputs
from collator.metrics import Metrics
from collator.processor import (
    Coroutine,
    HttpService,
    OutcomeFactory,
    Processor,
    ShapeOptions,
    SubprocessFunction,
    open_processor,
)
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.settings import Settings
from collator.workers.local_workers import LocalWorkers

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing


def open_by(
    settings: Settings, outcomes: OutcomeFactory, *, processor: Callable[..., object] | None = None
) -> Processor:
    """*processor*, or that of *settings*, to be used as they say. Raises `ConfigError` where it cannot be used."""
    return open_processor(
        processor or settings.processor,
        outcomes,
        batch=settings.batch,
        pool=settings.pool,
        memory=settings.pool_memory,
        shape=ShapeOptions(
            request=settings.processor_request,
            output=settings.processor_output,
            headers_file=settings.processor_headers_file,
            method=settings.processor_method,
        ),
        keep_alive=settings.processor_keep_alive or 0.0,
        tls=secured(settings, ca_file=settings.tls_ca_file),
        policy=policy_of(settings),
    )


def check_hedge(settings: Settings, processor: Processor) -> None:
    """Raise `ConfigError` where calls of *processor* are to be hedged, and cannot be cancelled."""
    cancellable = isinstance(processor, Coroutine | HttpService) and settings.batch == 1
    if settings.hedge is not None and not cancellable:
        raise ConfigError(
            "hedge: only calls of an HTTP service or of a coroutine function, without batch, can be cancelled once "
            "another one has given the output; leave hedge off"
        )


class LocalBackend:
    """A processor that is open; implements `collator.seams.backend.WorkersBackend`."""

    def __init__(
        self,
        settings: Settings,
        *,
        processor: Callable[..., object] | None,
        clock: Clock,
        stood_still: Callable[[], float],
    ) -> None:
        """Open *processor*, or that of *settings*. Raises `ConfigError` where it cannot be used."""
        outcomes = OutcomeFactory(
            timeout=settings.processor_timeout,
            retries=settings.processor_retries,
            patience=settings.processor_patience,
            max_output=settings.max_output,
            quote=not settings.hide_payloads,
            clock=clock,
            stood_still=stood_still,
        )
        self._processor = open_by(settings, outcomes, processor=processor)
        self._concurrency, self._hedge = settings.concurrency, settings.hedge
        check_hedge(settings, self._processor)
        self.interim = self._processor.interim if isinstance(self._processor, Coroutine) else InterimOutputs()
        self.separate = isinstance(self._processor, HttpService | SubprocessFunction)
        self.wants_metadata = isinstance(self._processor, HttpService) and self._processor.shape.wants_metadata

    def workers(
        self, ledger: Ledger, outbox: Outbox, *, metrics: Metrics, lease: float, tracing: Tracing | None = None
    ) -> LocalWorkers:
        """Pools of this process."""
        if tracing is not None and isinstance(self._processor, HttpService):
            self._processor.trace_headers = tracing.headers
        return LocalWorkers(
            ledger,
            self._processor,
            outbox,
            metrics=metrics,
            concurrency=self._concurrency,
            lease=lease,
            hedge=self._hedge,
            tracing=tracing,
        )
