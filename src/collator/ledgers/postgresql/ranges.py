"""The first ranges of indexes that a resource lacks something of, looked for a bounded piece at a time.

A resource may have a million indexes and hundreds of thousands of gaps. So a view lists the first `SHOWN` ranges and
says how many indexes there are beyond them, which the counters of the resource tell without a look.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from collator.ledgers.postgresql.step import Statements
from collator.rules.resource import Ranges, gaps

SHOWN = 1000
"""Ranges that a view lists."""
STRETCH = 16_384
"""Indexes that are looked at in one go."""
LOOKED = 1_000_000
"""Rows that one look goes through at most: as many as a resource has by default."""

Find = Callable[[Statements, int, int], Awaitable[tuple[Ranges, int]]]
"""What is lacking between two keys, as ranges of indexes; and how many rows were looked at."""


class RangeSearch:
    """A look for the first ranges of what *find* finds, of which there are *count* indexes."""

    def __init__(self, find: Find, *, first: int, end: int, count: int) -> None:
        """Look at the *end* indexes of the resource whose first key is *first*."""
        self._find, self._first, self._end = find, first, end
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

    async def advance(self, look: Statements) -> None:
        """Look until it is over."""
        while not self.over:
            last = min(self._next + STRETCH, self._end) - 1
            found, looked = await self._find(look, self._first + self._next, self._first + last)
            if found and self._found and self._found[-1][1] + 1 == found[0][0]:
                self._found[-1] = self._found[-1][0], found[0][1]
                found = found[1:]
            self._found += found
            self._looked += looked
            self._next = last + 1


async def missing(look: Statements, first: int, last: int) -> tuple[Ranges, int]:
    """The indexes between the keys *first* and *last* that were never received."""
    received = await look.value("count_packets", first, last)
    begin, size = first & 0xFFFFFF, last - first + 1
    if received in {0, size}:
        return ([(begin, begin + size - 1)] if not received else []), received
    there = [(low - begin, high - begin) for low, high in await look.rows("packet_ranges", first, last)]
    return [(low + begin, high + begin) for low, high in gaps(there, size)], received


async def unfinished(look: Statements, first: int, last: int) -> tuple[Ranges, int]:
    """The indexes between the keys *first* and *last* that were received and have no outcome."""
    received = await look.value("count_packets", first, last)
    finished = await look.value("count_outcomes", first, last) if received else 0
    if received == finished:
        return [], received + finished
    return [(low, high) for low, high in await look.rows("unfinished_ranges", first, last)], received + finished
