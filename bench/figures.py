"""Every figure that the bench gives: what it is called, its unit, and what it says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

POST, STREAM, LIGHT, YARDSTICKS, RATIOS = "post", "stream", "light", "yardsticks", "ratios"
TENTH, HUNDREDTH, LIVE = "tenth", "hundredth", "live"
ONE, THOUSAND, HUNDRED_THOUSAND, WIDE, PURGE = "one", "thousand", "hundred-thousand", "wide", "purge"
PARTS = (POST, STREAM, ONE, THOUSAND, HUNDRED_THOUSAND, WIDE, LIVE, PURGE, LIGHT, TENTH, HUNDREDTH, YARDSTICKS)
"""What can be measured by itself."""


class Figure(NamedTuple):
    """One figure, measured once in each run."""

    name: str
    """In JSON, with its unit."""
    label: str
    unit: str
    what: str
    """What it says, for a person."""
    factor: float = 1.0
    """From seconds and pieces, which are measured, to the unit."""


_USED = (
    Figure("service_us_per_packet", "service time", "µs", "processor time of the service for a packet", 1e6),
    Figure("worker_us_per_packet", "worker time", "µs", "the same of the Celery worker", 1e6),
    Figure("broker_us_per_packet", "broker time", "µs", "the same of the broker", 1e6),
    Figure("service_cores", "service", "cores", "used by the service"),
    Figure("worker_cores", "worker", "cores", "used by the Celery worker"),
    Figure("broker_cores", "broker", "cores", "used by the broker"),
    Figure("sender_cores", "sender", "cores", "used by the sender, which shares the cores with the service"),
    Figure("receiver_cores", "receiver", "cores", "used by the receiver, which does too"),
    Figure("others_cores", "others", "cores", "used by strangers: the more, the less all of this says"),
)


def _under_load(*more: Figure) -> tuple[Figure, ...]:
    return (
        Figure("packets_per_second", "packets", "/s", "first byte sent to last webhook received"),
        *more,
        Figure(
            "completion_to_send_p50_ms", "send p50", "ms", "last output known to webhook begun, in the service", 1e3
        ),
        Figure("completion_to_send_p99_ms", "send p99", "ms", "the same", 1e3),
        *_USED,
        Figure("service_peak_mib", "memory", "MiB", "the most that the service had resident"),
    )


_ACK = (
    Figure("ack_p50_ms", "ack p50", "ms", "request written to answer read: the packet is durable", 1e3),
    Figure("ack_p99_ms", "ack p99", "ms", "the same", 1e3),
)

_CALLS = (
    Figure("busy", "busy", "%", "the calls, of the time from the first byte sent to the last webhook received", 100.0),
    Figure("packets_per_second", "packets", "/s", "the same"),
    *_USED,
)

_ACKED = Figure("acked_per_second", "acknowledged", "/s", "first byte sent to summary received")
_STREAMED = _under_load(_ACKED)
_LIVE = _under_load(
    _ACKED,
    Figure("live_per_second", "live packets", "/s", "done meanwhile for readers of events and senders over WebSocket"),
    Figure("event_p50_ms", "event p50", "ms", "committed to received, of each event and each reader", 1e3),
    Figure("event_p99_ms", "event p99", "ms", "the same", 1e3),
    Figure("clients_cores", "clients", "cores", "used by readers and senders, which share the cores with the service"),
)

SECTIONS: Mapping[str, tuple[str, tuple[Figure, ...]]] = {
    POST: ("single POSTs over many connections", _under_load(*_ACK)),
    STREAM: ("one NDJSON stream", _STREAMED),
    ONE: ("one NDJSON stream, one packet a resource", _STREAMED),
    THOUSAND: ("one NDJSON stream, 1,000 packets a resource", _STREAMED),
    HUNDRED_THOUSAND: ("one NDJSON stream, 100,000 packets a resource", _STREAMED),
    WIDE: ("one NDJSON stream, 3,000 resources under way at once", _STREAMED),
    LIVE: ("one NDJSON stream, beside readers of events and senders over WebSocket", _LIVE),
    PURGE: (
        "deletion of what was kept for its time, after a stream",
        (
            Figure("purge_us_per_packet", "service time", "µs", "processor time of deletion for a packet", 1e6),
            Figure("idle_cores", "idle", "cores", "used by the service before that, and taken off"),
        ),
    ),
    LIGHT: (
        "one resource at a time, over one connection",
        (
            *_ACK,
            Figure("completion_to_send_p50_ms", "send p50", "ms", "last output known to webhook begun", 1e3),
            Figure("completion_to_send_p99_ms", "send p99", "ms", "the same", 1e3),
            Figure("ack_to_webhook_p50_ms", "webhook p50", "ms", "last answer read to webhook received", 1e3),
            Figure("ack_to_webhook_p99_ms", "webhook p99", "ms", "the same", 1e3),
        ),
    ),
    TENTH: ("one NDJSON stream, 64 calls of 100 ms at a time", _CALLS),
    HUNDREDTH: ("one NDJSON stream, 64 calls of 10 ms at a time", _CALLS),
    YARDSTICKS: (
        "what the machine and the libraries give",
        (
            Figure("syncs_per_second", "raw syncs", "/s", "4 KiB appends made durable, one after the other"),
            Figure("sync_p50_us", "raw sync p50", "µs", "the same", 1e6),
            Figure("lines_per_second", "raw decoding", "lines/s", "the stream's lines decoded, nothing else done"),
            Figure("bare_per_second", "bare endpoint", "/s", "decodes a packet, answers 202: same door, same sender"),
            Figure("bare_p50_ms", "bare p50", "ms", "request written to answer read there", 1e3),
        ),
    ),
    RATIOS: (
        "the one beside the other, run by run",
        (
            Figure("post_to_bare", "POST / bare", "", "packets in single POSTs for a request of the bare endpoint"),
            Figure("post_to_syncs", "POST / syncs", "", "packets in single POSTs for a raw sync: what groups gain"),
            Figure("stream_to_lines", "stream / decoding", "", "packets in the stream for a line that is only decoded"),
            Figure("stream_to_post", "stream / POST", "", "packets in the stream for one in a single POST"),
            Figure(
                "live_to_stream", "live / stream", "", "service time for a packet of any kind, for one of the stream"
            ),
            Figure("ack_to_sync", "light ack / sync", "", "an acknowledgement at light load, in raw syncs"),
        ),
    ),
}

_DIVIDED = {
    "post_to_bare": ((POST, "packets_per_second"), (YARDSTICKS, "bare_per_second")),
    "post_to_syncs": ((POST, "packets_per_second"), (YARDSTICKS, "syncs_per_second")),
    "stream_to_lines": ((STREAM, "packets_per_second"), (YARDSTICKS, "lines_per_second")),
    "stream_to_post": ((STREAM, "packets_per_second"), (POST, "packets_per_second")),
    "live_to_stream": ((LIVE, "service_us_per_packet"), (STREAM, "service_us_per_packet")),
    "ack_to_sync": ((LIGHT, "ack_p50_ms"), (YARDSTICKS, "sync_p50_us")),
}

Samples = Mapping[str, float]
"""What one run of one part measured, by the names of its figures, in seconds and pieces."""


class Row(NamedTuple):
    """A figure, and its value in each run that gave one."""

    part: str
    figure: Figure
    values: Sequence[float]
    """In the figure's unit."""

    @property
    def median(self) -> float:
        """The median of the runs."""
        return median(self.values)

    def as_dict(self) -> dict[str, object]:
        """For programs."""
        return {
            "part": self.part,
            "name": self.figure.name,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "runs": self.values,
            "what": self.figure.what,
        }


def ratios(run: Mapping[str, Samples]) -> Samples:
    """The ratios of one run, as far as it measured what they divide."""
    found = {
        name: (run.get(above, {}).get(one), run.get(below, {}).get(other))
        for name, ((above, one), (below, other)) in _DIVIDED.items()
    }
    return {name: one / other for name, (one, other) in found.items() if one and other}


def rows(runs: Iterable[Mapping[str, Samples]]) -> list[Row]:
    """Return what the *runs*, each with the samples of its parts, come to."""
    complete = [{**run, RATIOS: ratios(run)} for run in runs]
    every = ((part, figure) for part, (_, figures) in SECTIONS.items() for figure in figures)
    found = (Row(part, figure, _values(complete, part, figure)) for part, figure in every)
    return [row for row in found if row.values]


def _values(runs: Iterable[Mapping[str, Samples]], part: str, figure: Figure) -> list[float]:
    measured = (run[part].get(figure.name) for run in runs if part in run)
    return [value * figure.factor for value in measured if value is not None]
