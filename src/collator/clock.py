"""Time as an argument: two readings, of which only one may decide anything.

Durations come from `monotonic`; `wall` is for the timestamps that people read, and for the ledger's high-water mark
across restarts (design, "Time"). A test passes a clock of its own, so that no test has to wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

MAX_GAP = 2.0
"""Seconds between two beats, beyond which time is a standstill: a few of the intervals at which they come."""


class Clock(Protocol):
    """Two readings of time, both in seconds."""

    def wall(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z. It may jump either way."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The clock of the machine."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Heartbeat:
    """For how long something stood still, that beats while it goes on.

    Between two beats at most `MAX_GAP` seconds count; the rest is a standstill.
    A process that was stopped, a machine that was paused, an event loop or a store that does not answer: whatever has a
    time limit could do nothing meanwhile, so no limit may run. A gap that still lasts is counted at each reading, not
    at the next beat: the first reading after a standstill has it.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic, most: float = MAX_GAP) -> None:
        """Begin with a beat. *now* gives monotonic seconds, of which *most* count between two beats."""
        self._now, self._most = now, most
        self._state = (now(), 0.0)  # the last beat, and what stood still before it: one value, as any thread reads it

    def beat(self) -> None:
        """It goes on."""
        self._state = (self._now(), self.stood_still())

    def stood_still(self) -> float:
        """Seconds for which it stood still, ever. From any thread; never less than before."""
        last, before = self._state
        gap = self._now() - last - self._most
        return before + gap if gap > 0 else before


def never() -> float:
    """Seconds for which something stood still that never does."""
    return 0.0


@lru_cache(maxsize=16)  # all that ends in a step has its time: 5 us for each
def rfc3339(seconds: float) -> str:
    """*seconds* since 1970 as RFC 3339 in UTC with microseconds, as in ``2026-11-24T02:05:00.123456Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
