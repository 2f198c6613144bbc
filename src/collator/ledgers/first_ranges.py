"""The first ranges of indexes that a resource lacks something of, looked for a bounded piece at a time.

A resource may have a million indexes and hundreds of thousands of gaps. So a view lists the first `SHOWN` ranges and
says how many indexes there are beyond them, which the counters of the resource tell without a look. Each ledger looks
in its own way for what is lacking in a stretch of keys; what comes of the stretches is put together here.
"""

from __future__ import annotations

from collator.rules.resource import Ranges

SHOWN = 1000
"""Ranges that a view lists."""
LOOKED = 1_000_000
"""Rows that one search looks at, at most: as many as a resource has by default."""


class FirstRanges:
    """The first ranges of *count* indexes, found stretch by stretch."""

    def __init__(self, *, first: int, end: int, count: int, stretch: int) -> None:
        """Search the *end* indexes of the resource whose first key is *first*, *stretch* of them at a time."""
        self._first, self._end, self._stretch = first, end, stretch
        self._next = 0 if count else end
        self._count = count
        self._found: list[tuple[int, int]] = []
        self._looked = 0

    @property
    def over(self) -> bool:
        """Whether there is nothing more to look for."""
        full = len(self._found) > SHOWN  # the last one shown may go on in the next stretch
        return full or self._next >= self._end or self._looked >= LOOKED or not self.more

    @property
    def ranges(self) -> Ranges:
        """The first ranges."""
        return self._found[:SHOWN]

    @property
    def more(self) -> int:
        """The number of indexes beyond those of `ranges`."""
        return max(0, self._count - sum(last - first + 1 for first, last in self.ranges))

    def next_keys(self) -> tuple[int, int]:
        """The first and the last key of the next stretch."""
        return self._first + self._next, self._first + self._stretch_end() - 1

    def add(self, found: Ranges, looked: int) -> None:
        """Add the ranges *found* in the next stretch, in which so many rows were *looked* at."""
        if found and self._found and self._found[-1][1] + 1 == found[0][0]:
            self._found[-1] = self._found[-1][0], found[0][1]
            found = found[1:]
        self._found += found
        self._looked += looked
        self._next = self._stretch_end()

    def _stretch_end(self) -> int:
        return min(self._next + self._stretch, self._end)
