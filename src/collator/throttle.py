"""Lines of the log that would come again and again: the first at once, then one a minute with the number of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

PAUSE = 60.0
"""Seconds between two lines of one kind."""
MOST = 1000
"""Kinds that are known at a time; of more, the lines that were not told for longest count as new."""


class Throttle:
    """Which of many lines are told."""

    def __init__(self, *, pause: float = PAUSE, now: Callable[[], float] = time.monotonic) -> None:
        """Let a line of each kind through every *pause* seconds; *now* gives monotonic seconds."""
        self._pause, self._now = pause, now
        self._kinds: dict[Hashable, tuple[float, int]] = {}  # when one is told again, and how many were not

    def times(self, kind: Hashable = None) -> int:
        """Count a line of *kind*: how often it came since the last that was told, or 0 where it is not told itself."""
        now = self._now()
        again, held = self._kinds.pop(kind, (now, 0))
        told = now >= again
        self._kinds[kind] = (now + self._pause, 0) if told else (again, held + 1)
        if len(self._kinds) > MOST:
            del self._kinds[next(iter(self._kinds))]
        return held + 1 if told else 0

    def over(self, kind: Hashable = None) -> None:
        """What *kind* is about has ended: the next line of it is told at once."""
        self._kinds.pop(kind, None)
