"""The queue of results until the event loop collects them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import msgspec

from collator.messages import Result, output_size
from collator.workers.result_bytes import ResultBytes


class Collected(msgspec.Struct, frozen=True, gc=False):
    """The results that were collected."""

    results: list[Result]
    size: int
    """Bytes of the results."""
    seconds: list[float]
    """The mean time of a call, for each portion in which the results came."""


class ResultQueue:
    """Results. Any thread may add some; the event loop takes them all."""

    def __init__(self, tell: Callable[[], None]) -> None:
        """*tell* is called, by the thread that adds to an empty result queue, for the event loop to collect."""
        self._tell = tell
        self.unrecorded = ResultBytes()
        """The bytes of what lies here, and of what was collected and is not recorded."""
        self.results: list[Result] = []
        """Not collected yet; to be read alone."""
        self._size = 0
        self._seconds: list[float] = []
        self._guard = threading.Lock()

    def add(self, results: Sequence[Result], seconds: float | None = None) -> None:
        """Lay down *results*, if any; *seconds* was the mean time of a call."""
        if not results and seconds is None:
            return
        size = output_size(results)
        with self._guard:
            empty = not (self.results or self._seconds)
            self.results += results
            self._size += size
            if results:
                self.unrecorded.add(size, len(results))
            if seconds is not None:
                self._seconds.append(seconds)
        if empty:
            self._tell()

    def collect(self) -> Collected:
        """Take all."""
        with self._guard:
            collected = Collected(self.results, self._size, self._seconds)
            self.results, self._size, self._seconds = [], 0, []
        return collected
