"""The time that one step of upkeep may take: others wait for its commit, and what it leaves is done in the next.

A step does its work unit by unit while its slice lasts, and the first unit in any case, so that it always gets on. So a
unit is what has to be small: `ROWS` rows and `BYTES` bytes at most, or one resource, whose end is not divided (R12).
What is bounded by a number alone is not: 1,000 resources ended in 0.1 s where each had a packet, and in minutes where
each had a million.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

SECONDS = 0.003
"""Work of one step: as much again as a commit takes on a common disk, so that half of the time is left to others."""
LONGEST = 0.03
"""The same of a step that owes others rows (`purge`): in it goes what two commits write that are full of packets."""
ROWS = 256
"""Rows of one unit."""
BYTES = 1024 * 1024
"""Bytes of one unit, or a single row: the pages of what is large are freed one by one."""


class Slice:
    """The time of one step, from now on."""

    def __init__(self, seconds: float, *, now: Callable[[], float], owed: int = 0) -> None:
        """Last *seconds*, as *now* counts them; until *owed* rows are done, `LONGEST`."""
        self._now, self._owed, self._begun = now, owed, False
        begins = now()
        self._until, self._latest = begins + seconds, begins + LONGEST

    def lasts(self, done: int = 0) -> bool:
        """Return whether another unit may be begun after *done* rows; the first always."""
        begun, self._begun = self._begun, True
        return not begun or self._now() < (self._latest if done < self._owed else self._until)

    def take(self, units: Iterable[T]) -> Iterator[T]:
        """Give *units* one by one while the slice lasts."""
        for unit in units:
            if not self.lasts():
                return
            yield unit


def in_units(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """*items* in units of `ROWS`."""
    return (items[start : start + ROWS] for start in range(0, len(items), ROWS))
