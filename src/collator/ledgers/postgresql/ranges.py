"""What a resource lacks, as ranges of indexes, looked for stretch by stretch (`collator.ledgers.first_ranges`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from collator.ledgers.first_ranges import FirstRanges
from collator.ledgers.postgresql.step import Statements
from collator.rules.resource import INDEX_MASK, Ranges, gaps

STRETCH = 16_384
"""Indexes that are looked at in one go."""

Find = Callable[[Statements, int, int], Awaitable[tuple[Ranges, int]]]
"""What is lacking between two keys, as ranges of indexes; and how many rows were looked at."""


async def first_ranges(look: Statements, find: Find, *, first: int, end: int, count: int) -> FirstRanges:
    """The first ranges of what *find* finds, of which there are *count* indexes.

    Looked at are the *end* indexes of the resource whose first key is *first*.
    """
    found = FirstRanges(first=first, end=end, count=count, stretch=STRETCH)
    while not found.over:
        found.add(*await find(look, *found.next_keys()))
    return found


async def missing(look: Statements, first: int, last: int) -> tuple[Ranges, int]:
    """The indexes between the keys *first* and *last* that were never received."""
    received = await look.value("count_packets", first, last)
    begin, size = first & INDEX_MASK, last - first + 1
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
