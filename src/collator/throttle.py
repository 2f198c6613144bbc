"""Lines of the log that would come again and again: the first at once, then one a minute with the number of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

PAUSE = 60.0
"""Seconds between two lines of one kind."""
MOST = 1000
"""Kinds that are known at a time; of more, the lines that were not told for longest count as new."""


class Throttle:
    """A filter of repeated log lines."""

    def __init__(self, *, pause: float = PAUSE, now: Callable[[], float] = time.monotonic) -> None:
        """Let a line of each kind through every *pause* seconds; *now* gives monotonic seconds."""
        self._pause, self._now = pause, now
        self._kinds: dict[Hashable, tuple[float, int]] = {}  # when one is told again, and how many were not

    def times(self, kind: Hashable = None, number: int = 1) -> int:
        """Count *number* lines of *kind*: how many came since the last that was told, or 0 where none is told now."""
        now = self._now()
        again, held = self._kinds.pop(kind, (now, 0))
        told = now >= again
        self._kinds[kind] = (now + self._pause, 0) if told else (again, held + number)
        if len(self._kinds) > MOST:
            del self._kinds[next(iter(self._kinds))]
        return held + number if told else 0

    def rest(self, *, everything: bool = False) -> list[tuple[Hashable, int]]:
        """The kinds of which lines came since the last that was told, and how many; they count as told now.

        Those whose pause has ended, or all of them where *everything* is wanted.
        """
        now = self._now()
        kinds = self._kinds.items()
        rest = [(kind, held) for kind, (again, held) in kinds if held and (everything or now >= again)]
        for kind, _ in rest:
            del self._kinds[kind]
            self._kinds[kind] = (now + self._pause, 0)
        return rest

    def over(self, kind: Hashable = None) -> None:
        """Forget *kind*, which has ended: the next line of it is told at once."""
        self._kinds.pop(kind, None)


class Quota:
    """A quota of log lines a minute, of whatever kinds: of kinds that others make up there is no end."""

    def __init__(self, most: int, *, pause: float = PAUSE, now: Callable[[], float] = time.monotonic) -> None:
        """Allow *most* lines in *pause* seconds; *now* gives monotonic seconds."""
        self._most, self._pause, self._now = most, pause, now
        self._until, self._used = float("-inf"), 0

    def allows(self) -> bool:
        """Return whether one more line may be told, which is counted."""
        if self._now() >= self._until:
            self._until, self._used = self._now() + self._pause, 0
        self._used += 1
        return self._used <= self._most
