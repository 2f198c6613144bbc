"""What a process of a worker counts for the metrics of the nodes, and sends along with its answers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from collator.processor import Cause


class CallCounts:
    """Calls that have ended and were not told yet. From any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._service_calls: Counter[str] = Counter()
        self._hedges: Counter[str] = Counter()

    def note_call(self, cause: Cause) -> None:
        """A call of an HTTP service has ended."""
        with self._guard:
            self._service_calls[str(cause)] += 1

    def note_hedge(self, won: bool) -> None:  # noqa: FBT001 - it is the value
        """A second call has ended, and its output counts or not."""
        with self._guard:
            self._hedges["won" if won else "wasted"] += 1

    def take(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """The calls of the service by cause, and the second calls by result, which are told now."""
        with self._guard:
            taken = self._service_calls, self._hedges
            self._service_calls, self._hedges = Counter(), Counter()
        return taken
