"""Where spans go: to the tracer provider of the program, where it has one, or by an exporter of our own (OTLP, HTTP).

A provider that is there is used, and never replaced, flushed or shut down. One of our own is set up by the standard
`OTEL_*` variables, as the SDK reads them. It exports beside everything else, from a bounded queue: an endpoint that is
away costs spans, and never a packet or time; the end waits for it `FLUSH` seconds at most.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import ProxyTracerProvider
from opentelemetry.trace import TracerProvider as AnyProvider

from collator import __version__
from collator.errors import ConfigError
from collator.throttle import Throttle

log = structlog.get_logger("collator.tracing")

FLUSH = 1.0
"""Seconds that the end waits for what is not exported."""
_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
"""Those by which the exporter and its queue tell of trouble."""


class _Exporter(OTLPSpanExporter):
    """The exporter; once it is shut down, from whichever side first, it drops what is left without a word for each."""

    _ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE if self._ended else super().export(spans)

    def shutdown(self) -> None:
        if not self._ended:
            self._ended = True
            super().shutdown()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def open_provider(*, own_process: bool) -> AsyncIterator[AnyProvider]:
    """The provider of the program; without one, a provider of our own, until the end of the context.

    In the process of a service it becomes that of the program. Raises `ConfigError` where a variable cannot be used.
    """
    found = trace.get_tracer_provider()
    if not isinstance(found, ProxyTracerProvider):
        yield found
        return
    try:
        exporter = _Exporter()
        resource = Resource({SERVICE_VERSION: __version__}).merge(Resource.create())
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "collator"}))
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except ValueError as error:
        raise ConfigError(f"tracing: a variable of OpenTelemetry (OTEL_…) cannot be used: {error}") from None
    if own_process:
        trace.set_tracer_provider(provider)
    with _throttled():
        try:
            yield provider
        finally:
            await _shut_down(provider, exporter)


async def _shut_down(provider: TracerProvider, exporter: _Exporter) -> None:
    """Export what is left, in a thread that nobody waits for beyond `FLUSH`: the SDK would wait for 30 s."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def shut_down() -> None:
        provider.shutdown()
        try:
            loop.call_soon_threadsafe(ended.set)
        except RuntimeError:  # the loop has been closed: nobody waits any more
            return

    threading.Thread(target=shut_down, name="collator-traces", daemon=True).start()
    try:
        async with asyncio.timeout(FLUSH):
            await ended.wait()
    except TimeoutError:
        exporter.shutdown()  # no further attempt is made
        log.warning("the last spans were not exported in time", seconds=FLUSH)


@contextmanager
def _throttled() -> Iterator[None]:
    """Let lines of trouble with the exporter through once a minute, with the number of all."""
    throttle = Throttle()

    def repeated(record: logging.LogRecord) -> bool:
        times = throttle.times((record.name, record.msg))
        if times > 1:
            record.msg = f"{record.msg} ({times} times)"
        return bool(times)

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(repeated)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(repeated)
