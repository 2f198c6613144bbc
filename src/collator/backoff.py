"""Retry schedules, and what a receiver or a processor says about them. Pure; rule R23.

Times are seconds; the random source is an argument, a function that gives numbers from 0 up to 1.

Jitter only ever adds: a receiver that named a time, and a reader of the schedule, may rely on "not before". It is at
most a tenth. That is enough to break up what failed in the same moment, since the concurrency limit of an endpoint
bounds any stampede already, and it keeps the schedule within a tenth of what the documentation promises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

SCHEDULE = (0.0, 1.0, 5.0, 30.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds that each attempt to deliver waits after the one before it (R23): 12 attempts over 75.6 hours."""
JITTER = 0.1
"""The share of a delay that chance may add."""
MAX_RETRY_AFTER = 86_400.0
"""A receiver may ask for a day, not more (R22)."""
FIRST_RETRY = 1.0
"""Seconds before the processor is called again after its first failure."""
MAX_RETRY = 3600.0
"""Seconds that doubling ends at."""

_DIGITS = re.compile(r"[0-9]+")
_DOUBLINGS = 16

Random = Callable[[], float]
"""Gives numbers from 0 up to, and not including, 1."""


def next_delay(step: int, *, random: Random) -> float | None:
    """Seconds from the attempt at place *step* of `SCHEDULE`, which failed, to the next; `None` after the last."""
    return None if step + 1 >= len(SCHEDULE) else _jittered(SCHEDULE[step + 1], random)


def exponential_delay(attempt: int, *, retries: int, floor: float = 0.0, random: Random) -> float | None:
    """Seconds from the failed *attempt* (1 for the first) to the next: 1, 2, 4 …; `None` after *retries* retries.

    Never less than *floor*, what the processor asked for.
    """
    if attempt > retries:
        return None
    doubled = FIRST_RETRY * 2.0 ** min(attempt - 1, _DOUBLINGS)
    return _jittered(max(min(doubled, MAX_RETRY), floor), random)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds from *now* (wall clock) that a ``Retry-After`` header asks for, 0 to 24 h; `None` where it is garbage.

    Both forms of RFC 9110, section 10.2.3: a number of seconds, and an HTTP date.
    """
    text = (value or "").strip()
    if _DIGITS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max(aware.timestamp() - now, 0.0), MAX_RETRY_AFTER)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _jittered(delay: float, random: Random) -> float:
    return delay * (1 + JITTER * random())
