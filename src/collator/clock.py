"""Time as an argument: two readings, of which only one may decide anything.

Durations come from `monotonic`; `wall` is for the timestamps that people read, and for the ledger's high-water mark
across restarts (design, "Time"). A test passes a clock of its own, so that no test has to wait.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


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

    def wall(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()


def rfc3339(seconds: float) -> str:
    """*seconds* since 1970 as RFC 3339 in UTC with microseconds, as in ``2026-11-24T02:05:00.123456Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
