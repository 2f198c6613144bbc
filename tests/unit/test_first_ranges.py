"""The first ranges of what a resource lacks, put together from stretches of its indexes."""

from __future__ import annotations

from collator.ledgers.first_ranges import LOOKED, SHOWN, FirstRanges
from collator.rules.resource import Ranges, ranges

FIRST = 7 << 24
"""The first key of a resource."""


def search(lacking: set[int], *, end: int, stretch: int) -> FirstRanges:
    """A search for *lacking* until it is over, each stretch looked through by its keys."""
    found = FirstRanges(first=FIRST, end=end, count=len(lacking), stretch=stretch)
    while not found.over:
        first, last = (key - FIRST for key in found.next_keys())
        assert 0 <= first <= last < end
        found.add(ranges(sorted(index for index in lacking if first <= index <= last)), last - first + 1)
    return found


def shown(lacking: set[int], *, end: int, stretch: int) -> tuple[list[tuple[int, int]], int]:
    found = search(lacking, end=end, stretch=stretch)
    return [*found.ranges], found.more


def test_a_range_goes_on_over_the_ends_of_stretches() -> None:
    lacking = {*range(3, 25), 27, 29, 30}
    for stretch in range(1, 32):
        assert shown(lacking, end=31, stretch=stretch) == ([(3, 24), (27, 27), (29, 30)], 0)


def test_the_last_range_that_is_shown_is_whole_and_the_rest_are_counted() -> None:
    alone = {2 * place for place in range(SHOWN - 1)}
    lacking = alone | {2 * SHOWN, 2 * SHOWN + 1, 2 * SHOWN + 5, 2 * SHOWN + 7}
    found, more = shown(lacking, end=3 * SHOWN, stretch=2 * SHOWN + 1)
    assert len(found) == SHOWN
    assert found[-1] == (2 * SHOWN, 2 * SHOWN + 1)
    assert more == 2


def test_nothing_is_looked_at_where_nothing_is_lacking_or_all_of_it_is_found() -> None:
    assert search(set(), end=10, stretch=3).next_keys()[0] == FIRST + 10
    assert search({0}, end=10, stretch=3).next_keys()[0] == FIRST + 3


def test_a_search_ends_after_many_rows_and_counts_what_it_has_not_found() -> None:
    found = FirstRanges(first=FIRST, end=30, count=2, stretch=10)
    nothing: Ranges = []
    found.add(nothing, LOOKED)
    assert found.over
    assert (found.ranges, found.more) == ([], 2)
