"""The spans, named as the semantic conventions for messaging have it: `send`, `process` and `deliver`.

`send` is a child of what the sender says (`traceparent`), or of the span that is current in a program that holds the
engine; `process` a child of `send`; `deliver` is in the trace of the packet that began the resource, linked to the
attempts for all of them. No payload is in a span, nor what a receiver said; the reason of a failure is as it is
recorded.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from collator.messages import Attempt, Delivery, Failure, Result, Retry, Task
from collator.packet import Packet, Receipt, Status
from collator.states import DeliveryState
from collator.tracing import headers
from collator.tracing.memory import MOST_LINKS, TraceMemory
from collator.tracing.span_factory import SpanFactory, current, operation, within

Parent = SpanContext
"""The span that another is a child of."""


_SEND = operation("send", "send", SpanKind.PRODUCER)
_PROCESS = operation("process", "process", SpanKind.CONSUMER)
_DELIVER = operation("deliver", "send", SpanKind.CLIENT)
_TAKEN = (Status.ACCEPTED, Status.DUPLICATE)


class Tracing:
    """Makes the spans of one pipeline. Its verbs may be called in any thread."""

    def __init__(self, provider: TracerProvider, memory: TraceMemory | None = None) -> None:
        """Make spans by *provider*; *memory* says in which traces packets are."""
        self.factory = SpanFactory(provider)
        self.memory = memory or TraceMemory()

    def parent(self, fields: Iterable[tuple[bytes, bytes]]) -> Parent | None:
        """The span that a request with *fields*, their names in small letters, is sent in; `None` where it has none."""
        return headers.read(fields)

    def current(self) -> Parent | None:
        """The span that is current."""
        found = trace.get_current_span().get_span_context()
        return found if found.is_valid else None

    @contextmanager
    def receiving(self, fields: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
        """A context in which all that a request with *fields* does is a child of the span that it is sent in.

        Where it says nothing of that, or a span of the same trace is current, as in a program that traces its requests
        itself, that of the program stays.
        """
        found = headers.read(fields)
        if found is None or found.trace_id == trace.get_current_span().get_span_context().trace_id:
            yield
            return
        with current(NonRecordingSpan(found)):
            yield

    def sending(self, packets: Sequence[Packet], parents: Sequence[Parent | None] | None) -> SendSpans:
        """Begin the spans of *packets*, which are to be stored: one for all, in the current span.

        With *parents*, one for each: they came in requests of their own, and `None` begins a trace.
        """
        if parents is None:
            keys = [(packet.resource_id, packet.index) for packet in packets]
            return SendSpans([self.factory.begin(_SEND, contexts.get_current(), _about(keys))], packets, self)
        spans = [
            self.factory.begin(_SEND, within(parent), _about([(packet.resource_id, packet.index)]))
            for packet, parent in zip(packets, parents, strict=True)
        ]
        return SendSpans(spans, packets, self)

    @contextmanager
    def processing(self, tasks: Sequence[Task], *, second: bool = False) -> Iterator[ProcessSpan]:
        """A call of the processor for *tasks* is made in this context, in which its span is current.

        It is in the trace of the first task, linked to the others. *second*: another call is under way for the same.
        """
        span = self._process(tasks, second=second)
        try:
            with current(span):
                yield ProcessSpan(span, tasks, self.memory)
        finally:
            self.factory.end(span)

    def processed(self, tasks: Sequence[Task], seconds: float, results: Sequence[Result], why: str = "") -> None:
        """Make the span of a call for *tasks* that another process has made: it took *seconds*, and ends now.

        What came of it as in `ProcessSpan.ended`.
        """
        now = time.time_ns()
        span = self._process(tasks, since=now - int(seconds * 1e9))
        ProcessSpan(span, tasks, self.memory).ended(results, why)
        self.factory.end(span, now)

    def delivering(self, delivery: Delivery) -> DeliverySpan:
        """Begin the span of an attempt for *delivery*."""
        began, links = self.memory.resource(delivery.resource_id, delivery.generation)
        attributes: dict[str, AttributeValue] = {
            "messaging.destination.name": delivery.endpoint,
            "messaging.message.id": delivery.webhook_id,
            "collator.resource.id": delivery.resource_id,
            "collator.attempt": delivery.attempt,
        }
        return DeliverySpan(self.factory.begin(_DELIVER, within(began), attributes, links), self.factory)

    def headers(self) -> Mapping[str, str]:
        """The headers of a request that is made in the current span."""
        return headers.write(trace.get_current_span().get_span_context())

    def _process(self, tasks: Sequence[Task], *, second: bool = False, since: int | None = None) -> Span:
        parents = [self.memory.parent(task.key) for task in tasks]
        attributes = _about([(task.key.resource_id, task.key.index) for task in tasks])
        if len(tasks) == 1:
            attributes["collator.attempt"] = tasks[0].attempt
        if second:
            attributes["collator.hedge"] = True
        links = [parent for parent in parents[1:] if parent is not None and parent.trace_flags.sampled][:MOST_LINKS]
        return self.factory.begin(_PROCESS, within(parents[0]), attributes, links, since=since)


class SendSpans:
    """The spans of packets that are being stored. One of its two verbs is called, once."""

    def __init__(self, spans: Sequence[Span], packets: Sequence[Packet], tracing: Tracing) -> None:
        """*spans*: one for each of *packets*, or one for all."""
        self._spans, self._packets = spans, packets
        self._memory, self._end = tracing.memory, tracing.factory.end

    def stored(self, receipts: Sequence[Receipt]) -> None:
        """End: what became of each packet is in *receipts*. To be called before anybody processes one of them."""
        alone = len(self._spans) == len(receipts)
        spans = self._spans if alone else [self._spans[0]] * len(receipts)
        for packet, receipt, span in zip(self._packets, receipts, spans, strict=True):
            if receipt.status is Status.ACCEPTED:
                self._memory.sent(str(packet.resource_id), packet.index, span.get_span_context())
            elif alone:
                span.set_attribute("collator.receipt", receipt.status.value)
                if receipt.status not in _TAKEN:
                    span.set_status(StatusCode.ERROR, receipt.reason or "")
        refused = 0 if alone else sum(receipt.status not in _TAKEN for receipt in receipts)
        if refused:
            self._spans[0].set_status(StatusCode.ERROR, f"{refused} of {len(receipts)} packets were not accepted")
        for span in self._spans:
            self._end(span)

    def failed(self, error: BaseException) -> None:
        """End: none was stored, for *error*."""
        for span in self._spans:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR, str(error))
            self._end(span)


class ProcessSpan:
    """The span of a call of the processor."""

    def __init__(self, span: Span, tasks: Sequence[Task], memory: TraceMemory) -> None:
        """*span* is that of a call for *tasks*."""
        self._span, self._tasks, self._memory = span, tasks, memory

    def ended(self, results: Sequence[Result], why: str = "") -> None:
        """Say what came of it: *results*, one for each task; without any, *why*."""
        context = self._span.get_span_context()
        done = {result.lease for result in results if not isinstance(result, Retry)}
        for task in self._tasks:
            self._memory.processed(task.key, context, over=task.lease in done)
        failures = [result for result in results if isinstance(result, Failure | Retry)]
        if failures:
            first = failures[0]
            self._span.set_attribute("error.type", first.fault.label if first.fault else "_OTHER")
            why = first.reason if len(results) == 1 else f"{len(failures)} of {len(results)} failed: {first.reason}"
        if why:
            self._span.set_status(StatusCode.ERROR, why)


class DeliverySpan:
    """The span of an attempt to deliver."""

    def __init__(self, span: Span, factory: SpanFactory) -> None:
        """It is *span*, which *factory* has made."""
        self._span, self._end = span, factory.end
        self.fields = "".join(f"{name}: {value}\r\n" for name, value in headers.write(span.get_span_context()).items())
        """The lines that the head of its request has for it."""

    @contextmanager
    def current(self) -> Iterator[None]:
        """It is the current one in this context."""
        with current(self._span):
            yield

    def ended(self, attempt: Attempt | None, status: int | None = None) -> None:
        """End: what came of it, and the HTTP *status*, if there was one; `None` where it was cancelled."""
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if attempt is None:
            self._span.set_status(StatusCode.ERROR, "cancelled")
        elif attempt.state is not DeliveryState.DELIVERED:
            self._span.set_attribute("error.type", "_OTHER" if status is None else str(status))
            self._span.set_status(StatusCode.ERROR, attempt.reason)
        self._end(self._span)


def _about(packets: Sequence[tuple[str | int, int]]) -> dict[str, AttributeValue]:
    """The attributes of a span for *packets*, by resource and index: which it is, or how many."""
    if len(packets) != 1:
        return {"messaging.batch.message_count": len(packets)}
    ((resource_id, index),) = packets
    return {"collator.resource.id": resource_id, "collator.packet.index": index}
