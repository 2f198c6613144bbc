"""The queue of results until the event loop collects them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import msgspec

from collator.messages import AnyResult, output_size, packets_of
from collator.workers.result_bytes import ResultBytes


class Collected(msgspec.Struct, frozen=True, gc=False):
    """The results that were collected."""

    reports: list[AnyResult]
    size: int
    """Bytes of the outputs."""
    seconds: list[float]
    """The mean time of a call, for each portion in which the results came."""


class ResultQueue:
    """Results. Any thread may add some; the event loop takes them all."""

    def __init__(self, tell: Callable[[], None]) -> None:
        """*tell* is called, by the thread that adds to an empty result queue, for the event loop to collect."""
        self._tell = tell
        self.unrecorded = ResultBytes()
        """The bytes of what lies here, and of what was collected and is not recorded."""
        self.packets = 0
        """How many packets have a result here; to be read alone."""
        self._reports: list[AnyResult] = []
        self._size = 0
        self._seconds: list[float] = []
        self._guard = threading.Lock()

    def add(self, reports: Sequence[AnyResult], seconds: float | None = None) -> None:
        """Lay down *reports*, if any; *seconds* was the mean time of a call."""
        if not reports and seconds is None:
            return
        size, packets = output_size(reports), sum(map(packets_of, reports))
        with self._guard:
            empty = not (self._reports or self._seconds)
            self._reports += reports
            self._size += size
            self.packets += packets
            if reports:
                self.unrecorded.add(size, packets)
            if seconds is not None:
                self._seconds.append(seconds)
        if empty:
            self._tell()

    def collect(self) -> Collected:
        """Take all."""
        with self._guard:
            collected = Collected(self._reports, self._size, self._seconds)
            self._reports, self._size, self.packets, self._seconds = [], 0, 0, []
        return collected
