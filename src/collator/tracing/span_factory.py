"""Beginning and ending spans. What samples and exports them may be the program's: no packet feels its errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import structlog
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TracerProvider,
)
from opentelemetry.util.types import AttributeValue

from collator import __version__
from collator.throttle import Throttle

log = structlog.get_logger("collator.tracing")


class Operation(NamedTuple):
    """One of the things that are done with messages."""

    name: str
    kind: SpanKind
    attributes: Mapping[str, AttributeValue]
    """Those of all its spans."""


def operation(name: str, operation_type: str, kind: SpanKind) -> Operation:
    """The operation *name*, of one of the types of the semantic conventions for messaging."""
    named = {"messaging.operation.name": name, "messaging.operation.type": operation_type}
    return Operation(name, kind, {"messaging.system": "collator", **named})


class SpanFactory:
    """Begins and ends spans, in any thread. Never raises."""

    def __init__(self, provider: TracerProvider) -> None:
        """Make them by *provider*."""
        self._tracer = provider.get_tracer("collator", __version__)
        self._throttle = Throttle()

    def begin(
        self,
        operation: Operation,
        parent: Context,
        attributes: Mapping[str, AttributeValue],
        links: Sequence[SpanContext] = (),
        *,
        since: int | None = None,
    ) -> Span:
        """A span in the trace of *parent*; one that is not valid where the provider fails.

        It begins now, or at *since*, in nanoseconds since 1970.
        """
        destination = attributes.get("messaging.destination.name")
        try:
            return self._tracer.start_span(
                f"{operation.name} {destination}" if destination else operation.name,
                parent,
                operation.kind,
                {**operation.attributes, **attributes},
                [Link(one) for one in links],
                start_time=since,
                record_exception=False,
                set_status_on_exception=False,
            )
        except Exception as error:  # noqa: BLE001 - that of the program may raise anything, and no packet may feel it
            self._note(error)
            return INVALID_SPAN

    def end(self, span: Span, at: int | None = None) -> None:
        """End *span*, now or *at* a time, in nanoseconds since 1970."""
        try:
            span.end(at)
        except Exception as error:  # noqa: BLE001 - as above
            self._note(error)

    def _note(self, error: Exception) -> None:
        """Log *error*, once a minute."""
        if times := self._throttle.times():
            log.error("OpenTelemetry failed; a span is lost", times=times, exc_info=error)


def within(parent: SpanContext | None) -> Context:
    """The context of a child of *parent*; an empty one, which begins a trace, without it."""
    return Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context())


@contextmanager
def current(span: Span) -> Iterator[None]:
    """*span* is the current one in this context, with nothing else of its surroundings."""
    token = contexts.attach(trace.set_span_in_context(span, Context()))
    try:
        yield
    finally:
        contexts.detach(token)
