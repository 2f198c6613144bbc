"""The first ranges of indexes that a resource lacks something of, looked for a bounded piece at a time.

A resource may have a million indexes and hundreds of thousands of gaps. So a view lists the first `SHOWN` ranges and
says how many indexes there are beyond them, which the counters of the resource tell without a look. The look goes
through the keys in stretches, and through several of them only within `TURN` seconds; then others have their turn. A
stretch in which nothing is lacking costs a count: 0.05 us an index, where the ranges of one cost 0.5.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import msgspec

from collator.ledgers.sqlite.output_map import TURN, OutputMap
from collator.ledgers.sqlite.slices import Slice
from collator.rules.resource import INDEX_MASK, Ranges, gaps

SHOWN = 1000
"""Ranges that a view lists."""
STRETCH = 4096
"""Indexes that are looked at in one go: 2 ms at most."""
LOOKED = 1_000_000
"""Rows that one look goes through at most: as many as a resource has by default."""

_decode_keys = msgspec.json.Decoder(list[int]).decode
_decode_ranges = msgspec.json.Decoder(list[tuple[int, int]]).decode

Value = Callable[..., bytes]
"""What a named statement gives, as JSON."""
Find = Callable[[Value, int, int], tuple[Ranges, int] | None]
"""What is lacking between two keys, as ranges of indexes, and how many rows were looked at; `None` for not yet."""


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

    def advance(self, value: Value) -> None:
        """Look further, for one turn: a stretch, and others as long as there is time."""
        turn = Slice(TURN, now=time.perf_counter)
        while not self.over and turn.lasts():
            last = min(self._next + STRETCH, self._end) - 1
            answer = self._find(value, self._first + self._next, self._first + last)
            if answer is None:
                return
            found, looked = answer
            if found and self._found and self._found[-1][1] + 1 == found[0][0]:
                self._found[-1] = self._found[-1][0], found[0][1]
                found = found[1:]
            self._found += found
            self._looked += looked
            self._next = last + 1


def missing(value: Value, first: int, last: int) -> tuple[Ranges, int]:
    """The indexes between the keys *first* and *last* that were never received."""
    received = int(value("count_packets", first, last))
    begin, size = first & INDEX_MASK, last - first + 1
    if received in {0, size}:
        return ([(begin, begin + size - 1)] if not received else []), received
    there = [(low - begin, high - begin) for low, high in _decode_ranges(value("packet_ranges", first, last))]
    return [(low + begin, high + begin) for low, high in gaps(there, size)], received


def unfinished(where: OutputMap) -> Find:
    """A search for the indexes that were received and have no outcome; *where* has the outputs of the resource."""

    def find(value: Value, first: int, last: int) -> tuple[Ranges, int] | None:
        if not where.advance():
            return None
        received = int(value("count_packets", first, last))
        if not received:
            return [], 0
        begin, end = first & INDEX_MASK, (last & INDEX_MASK) + 1
        finished = where.there[begin:end].ljust(end - begin, b"\0")
        for key in _decode_keys(value("failed_between", first, last)):
            finished[key - first] = 1
        looked = received + sum(finished)
        if received == sum(finished):
            return [], looked
        waiting = bytearray(end - begin)
        for low, high in _decode_ranges(value("packet_ranges", first, last)):
            waiting[low - begin : high - begin + 1] = b"\1" * (high - low + 1)
        left = int.from_bytes(waiting) & ~int.from_bytes(finished)
        found = re.finditer(b"\1+", left.to_bytes(end - begin))
        return [(run.start() + begin, run.end() + begin - 1) for run in found], looked

    return find
