"""Metrics of the service, in Prometheus names with units. No resource id is ever a label."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from collator import __version__
from collator.distributions import Distributions
from collator.notices import Notices
from collator.totals import Totals, sums_of

_FINE = (
    0.0001,
    0.0002,
    0.0003,
    0.0005,
    0.0007,
    0.001,
    0.0015,
    0.002,
    0.003,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.3,
    0.5,
    1,
    5,
)
FAILURES = ("exception", "timeout", "output", "process", "answer", "service", "configuration")
"""Causes of attempts that failed: `collator.messages.Fault.label`."""
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_COARSE = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60)


class Metrics:
    """One registry for one service; nothing global, so that two services in one process do not mix."""

    def __init__(self) -> None:
        """Declare every metric, once."""
        self.registry = CollectorRegistry()
        self.notices = Notices()
        """What no metric says, for those who follow the service."""
        self.packets = self._counter("collator_packets", "Packets answered, by status of the receipt", "status")
        self.attempts = self._counter(
            "collator_processor_attempts",
            "Calls of the processor, by result: output, retry, failure, returned (not the packet's fault)",
            "result",
        )
        self.service_calls = self._counter(
            "collator_processor_calls",
            "Calls of an HTTP processor, by what their end is due to: output, packet, service, configuration",
            "cause",
        )
        self.hedges = self._counter(
            "collator_processor_hedges",
            "Second calls beside one that took long, by result: won (its output counts), wasted",
            "result",
        )
        self.failed_attempts = self._counter(
            "collator_processor_failed_attempts",
            "Attempts that failed, by cause: exception, timeout, output (unusable), process (ended), answer (HTTP), "
            "service (away or overloaded), configuration",
            "cause",
        )
        for label in FAILURES:
            self.failed_attempts.labels(label)  # from the start: an increase from nothing would be none
        self.dropped = self._counter(
            "collator_outcomes_dropped", "Outcomes that came too late: lease lost, or resource closed", "reason"
        )
        self.retried = self._counter(
            "collator_retried_packets", "Packets without an output that a person had tried again"
        )
        self.processing = self._histogram(
            "collator_processor_seconds", "Mean time of one call of the processor, by chunk", _COARSE
        )
        self.resources = self._counter("collator_resources_closed", "Resources that ended without a person's doing")
        self._declare_deliveries()
        self._declare_store()
        self._declare_http()

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(_WithoutTimes(self.registry))

    def totals(self) -> Totals:
        """Return the counts up to now."""
        attempts, deliveries = sums_of(self.attempts, "result"), sums_of(self.deliveries, "result")
        return Totals(
            accepted=sums_of(self.packets, "status").get("accepted", 0),
            processed=attempts.get("output", 0),
            failed=attempts.get("failure", 0),
            ended=sums_of(self.resources, "").get("", 0),
            delivered=deliveries.get("delivered", 0),
            attempts_failed=deliveries.get("retry", 0) + deliveries.get("dead", 0),
            refused={code: number for code, number in sums_of(self.refused, "code").items() if code != "not_ready"},
        )

    def _declare_deliveries(self) -> None:
        self.deliveries = self._counter(
            "collator_delivery_attempts", "Attempts to deliver, by result", "endpoint", "result"
        )
        self.request_seconds = self._distributions(
            "collator_delivery_request_seconds",
            "Time of one request to a receiver, from connecting to the end of its answer",
            _COARSE,
            "endpoint",
        )
        self.completion_to_send = self._distributions(
            "collator_completion_to_send_seconds",
            "Last output known to the start of the webhook's request: first attempts by the process that recorded it",
            _FINE,
        ).labels()
        self.breakers = Enum(
            "collator_endpoint_breaker",
            "Whether an endpoint is sent to: closed (yes), half_open (one request tries it), open (not for now)",
            ["endpoint"],
            states=["closed", "half_open", "open"],
            registry=self.registry,
        )
        self.paused = self._gauge(
            "collator_endpoint_paused", "1 while nothing is sent to an endpoint, until it is resumed", "endpoint"
        )
        self.waits = self._gauge(
            "collator_endpoint_wait_seconds",
            "Time for which an endpoint is not sent to, as its receiver asked (Retry-After) or descriptors are short",
            "endpoint",
        )
        self._due = self._gauge(
            "collator_endpoint_due", "Deliveries that are due, of the 1,000 oldest of all endpoints", "endpoint"
        )
        self._oldest_due = self._gauge(
            "collator_endpoint_oldest_due_seconds",
            "Time since the oldest delivery of these was created",
            "endpoint",
        )
        self._attempts_under_way = self._gauge(
            "collator_endpoint_requests_in_flight", "Deliveries that are being attempted", "endpoint"
        )

    def owed(self, due: Mapping[str, tuple[int, float]]) -> None:
        """Show what is *due*, by endpoint: how many deliveries, and the seconds since the oldest was created."""
        for place, gauge in enumerate((self._due, self._oldest_due)):
            gauge.clear()
            for endpoint, seen in due.items():
                gauge.labels(endpoint).set(seen[place])

    def under_way(self, packets: int, deliveries: Mapping[str, int]) -> None:
        """Show how many *packets* the processor has in hand, and *deliveries* are being attempted, by endpoint."""
        self._in_hand.set(packets)
        self._attempts_under_way.clear()
        for endpoint, number in deliveries.items():
            if number:
                self._attempts_under_way.labels(endpoint).set(number)

    def stored(self, counts: Mapping[str, int]) -> None:
        """Show what the store holds: *counts* by name, as in `collator.messages.Counts`."""
        for name, gauge in self._stored.items():
            gauge.set(counts[name])

    def shared(self, nodes: int, *, leased: int) -> None:
        """Show how many *nodes* have the ledger open, and how many packets are *leased* to this one."""
        self._nodes.set(nodes)
        self._leased.set(leased)

    def elsewhere(self, workers: int, *, calls: int, packets: int) -> None:
        """Show how many *workers* there are, how many *calls* they make at a time, and *packets* they have in hand."""
        self._workers.set(workers)
        self._worker_calls.set(calls)
        self._worker_packets.set(packets)

    def durable(self, risks: int, lags: Mapping[tuple[str, str], tuple[float, int]]) -> None:
        """Show the number of *risks*, and how far standbys are behind, in seconds and bytes, by name and ``sync``."""
        self._risks.set(risks)
        for place, gauge in enumerate((self._lag_seconds, self._lag_bytes)):
            gauge.clear()
            for labels, lag in lags.items():
                gauge.labels(*labels).set(lag[place])

    def committed(self, seconds: float, items: int) -> None:
        """Count a commit. From any thread."""
        self._commit_seconds.observe(seconds)
        self._commit_items.observe(items)

    def _declare_store(self) -> None:
        self._commit_seconds = self._histogram("collator_commit_seconds", "Time of one commit of the store", _FINE)
        self._commit_items = self._histogram(
            "collator_commit_items", "Packets, outcomes and other changes that one commit made durable", _SIZES
        )
        resources = self._gauge("collator_resources", "Resources in the store, by state", "state")
        deliveries = self._gauge("collator_deliveries", "Deliveries in the store that are not delivered", "state")
        self._stored = {state: resources.labels(state) for state in ("open", "collated", "incomplete", "cancelled")}
        self._stored |= {state: deliveries.labels(state) for state in ("due", "dead")}
        self._stored["waiting"] = self._gauge("collator_packets_waiting", "Packets that have no outcome yet")
        self._stored["backlog"] = self._gauge(
            "collator_backlog_bytes", "Bytes of packets that wait, and of open resources"
        )
        self._stored["open_bytes"] = self._gauge("collator_open_bytes", "Bytes of open resources, without packets")
        self.usable = self._gauge("collator_ledger_usable", "1 while the store can be written")
        self._nodes = self._gauge("collator_nodes", "Processes that have the ledger open; 0 while it cannot be read")
        self._in_hand = self._gauge(
            "collator_packets_in_hand", "Packets that the processor, or workers elsewhere, are working on"
        )
        self._leased = self._gauge("collator_packets_leased", "Packets that this node holds leases on")
        self._workers = self._gauge("collator_workers", "Celery workers that take packets of this node")
        self._worker_calls = self._gauge("collator_worker_calls", "Calls that they make at a time, at most")
        self._worker_packets = self._gauge("collator_worker_packets", "Packets of this node that they have in hand")
        self._risks = self._gauge("collator_durability_risks", "Reasons why an acknowledged packet may be lost")
        self._lag_seconds = self._gauge(
            "collator_standby_lag_seconds", "How far a standby is behind in storing commits", "standby", "sync"
        )
        self._lag_bytes = self._gauge(
            "collator_standby_lag_bytes", "What a standby has not stored yet", "standby", "sync"
        )
        self.clock_behind = self._gauge(
            "collator_clock_behind_seconds", "How far the store's time stays behind a clock that has jumped"
        )

    def _declare_http(self) -> None:
        self.connections = self._gauge("collator_connections", "Open connections to the service")
        self.given_way = self._counter(
            "collator_connections_closed", "Idle connections that were closed because all connections were in use"
        )
        self.requests = self._gauge("collator_requests_in_flight", "Concurrent requests, without streams")
        self.streams = self._gauge("collator_streams", "Requests that stream packets")
        self.refused = self._counter("collator_requests_refused", "Requests refused, by code of the problem", "code")
        self.loop_lag = self._histogram(
            "collator_loop_lag_seconds", "How late the event loop was for what was due, ten times a second", _FINE
        )
        self.lost_lines = LostLines()
        self.registry.register(self.lost_lines)
        ProcessCollector(registry=self.registry)
        build = Info("collator_build", "What runs here: its version, and that of Python", registry=self.registry)
        build.info({"version": __version__, "python": platform.python_version()})

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(name, what, labels, registry=self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self.registry)

    def _distributions(self, name: str, what: str, buckets: Sequence[float], *labels: str) -> Distributions:
        made = Distributions(name, what, buckets, labels)
        self.registry.register(made)
        return made

    def _histogram(self, name: str, what: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, what, labels, buckets=buckets, registry=self.registry)


class _WithoutTimes(Collector):
    """A registry without the times at which its counters were made: as many lines again, which nobody looks at.

    The switch of the library for it is one for all that a process measures.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class LostLines(Collector):
    """The number of lines of the log that were lost, as its writer counts them."""

    def __init__(self) -> None:
        """Count nothing, for as long as nobody says who counts."""
        self.count: Callable[[], int] = lambda: 0

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The count of this moment."""
        what = "Lines of the log and of the processor's output that were dropped"
        yield CounterMetricFamily("collator_log_lines_lost", what, value=self.count())
