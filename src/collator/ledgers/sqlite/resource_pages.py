"""Pages of resources in the order of their ids.

Those that ended whole, which nearly all do, have no index of their own: each look goes through more of all resources
until the page is full, and gives way to others before the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from collator.ledgers.prefix import behind
from collator.ledgers.searches import summary
from collator.messages import ResourceSummary
from collator.states import State

LOOKED = 1_000
"""Resources that one look goes through: some 5 ms, as their ids lie all over the store."""

_Row = tuple[str, State, int | None, int, int, int, float, float | None]


class _Looked(msgspec.Struct):
    rows: list[_Row]
    last: str | None
    """The last id that was looked at, where others may be behind it."""


_decode_rows = msgspec.json.Decoder(list[_Row]).decode
_decode_looked = msgspec.json.Decoder(_Looked).decode


def by_id(
    value: Callable[..., bytes], state: State | None, prefix: str, after: str, limit: int
) -> Iterator[Sequence[ResourceSummary] | None]:
    """The first *limit* resources behind the id *after*, of *state*, with *prefix*; `None` before each further look.

    *value* gives what a named statement gives, as JSON.
    """
    first = prefix if prefix > after else _next_id(after)
    if state is State.COLLATED:
        yield from _collated(value, first, prefix, limit)
        return
    page = (first, behind(prefix), limit)
    asked = ("list_resources", *page) if state is None else ("list_resources_in", *page, state)
    yield [summary(row) for row in _decode_rows(value(*asked))]


def _collated(
    value: Callable[..., bytes], first: str, prefix: str, limit: int
) -> Iterator[Sequence[ResourceSummary] | None]:
    found: list[_Row] = []
    looked = limit
    while True:
        page = _decode_looked(value("list_collated", first, behind(prefix), limit - len(found), looked))
        found += page.rows
        if page.last is None or len(found) == limit:
            break
        yield None
        first, looked = _next_id(page.last), min(2 * looked, LOOKED)
    yield [summary(row) for row in found]


def _next_id(resource_id: str) -> str:
    """The least text behind *resource_id*."""
    return resource_id + "\0"
