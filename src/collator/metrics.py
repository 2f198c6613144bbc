"""What the service counts and times, in Prometheus names with units. No resource id is ever a label."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, generate_latest

_FINE = (0.0001, 0.0002, 0.0003, 0.0005, 0.0007, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 5)
_COARSE = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60)


class Metrics:
    """One registry for one service; nothing global, so that two services in one process do not mix."""

    def __init__(self) -> None:
        """Declare every metric, once."""
        self.registry = CollectorRegistry()
        self.packets = self._counter("collator_packets", "Packets answered, by status of the receipt", "status")
        self.attempts = self._counter(
            "collator_processor_attempts", "Calls of the processor, by result: output, retry, failure", "result"
        )
        self.dropped = self._counter(
            "collator_outcomes_dropped", "Outcomes that came too late: lease lost, or resource closed", "why"
        )
        self.processing = self._histogram(
            "collator_processor_seconds", "Mean time of one call of the processor, by chunk", _COARSE
        )
        self.resources = self._counter("collator_resources_closed", "Resources that ended without a person's doing")
        self.stored = Gauge("collator_stored", "What the store holds, by kind", ["kind"], registry=self.registry)
        self._declare_deliveries()

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _declare_deliveries(self) -> None:
        self.deliveries = self._counter(
            "collator_delivery_attempts", "Attempts to deliver, by result", "endpoint", "result"
        )
        self.request_seconds = self._histogram(
            "collator_delivery_request_seconds",
            "Time of one request to a receiver, from connecting to the end of its answer",
            _COARSE,
            "endpoint",
        )
        self.completion_to_send = self._histogram(
            "collator_completion_to_send_seconds",
            "Last output known to the start of the webhook's request: first attempts by the process that recorded it",
            _FINE,
        )
        self.breakers = Enum(
            "collator_endpoint_breaker",
            "Whether an endpoint is sent to: closed (yes), half_open (one request tries it), open (not for now)",
            ["endpoint"],
            states=["closed", "half_open", "open"],
            registry=self.registry,
        )

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, what, labels, buckets=buckets, registry=self.registry)
