"""What a resource lacks, as ranges of indexes, looked for stretch by stretch (`collator.ledgers.first_ranges`).

A look goes through several stretches only within `TURN` seconds; then others have their turn. A stretch in which
nothing is lacking costs a count: 0.05 us an index, where the ranges of one cost 0.5.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import msgspec

from collator.ledgers.first_ranges import FirstRanges
from collator.ledgers.sqlite.output_map import TURN, OutputMap
from collator.ledgers.sqlite.slices import Slice
from collator.rules.resource import INDEX_MASK, Ranges, gaps

STRETCH = 4096
"""Indexes that are looked at in one go: 2 ms at most."""

_decode_keys = msgspec.json.Decoder(list[int]).decode
_decode_ranges = msgspec.json.Decoder(list[tuple[int, int]]).decode

Value = Callable[..., bytes]
"""What a named statement gives, as JSON."""
Find = Callable[[Value, int, int], tuple[Ranges, int] | None]
"""What is lacking between two keys, as ranges of indexes, and how many rows were looked at; `None` for not yet."""


class RangeSearch(FirstRanges):
    """A look for the first ranges of what *find* finds, of which there are *count* indexes."""

    def __init__(self, find: Find, *, first: int, end: int, count: int) -> None:
        """Look at the *end* indexes of the resource whose first key is *first*."""
        super().__init__(first=first, end=end, count=count, stretch=STRETCH)
        self._find = find

    def advance(self, value: Value) -> None:
        """Look further, for one turn: a stretch, and others as long as there is time."""
        turn = Slice(TURN, now=time.perf_counter)
        while not self.over and turn.lasts():
            answer = self._find(value, *self.next_keys())
            if answer is None:
                return
            self.add(*answer)


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
