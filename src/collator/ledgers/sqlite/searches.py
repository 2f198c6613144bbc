"""The view of resources by time. A look goes through `LOOKED` of them at most; the page is short then, and says so."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from collator.ledgers.prefix import behind
from collator.ledgers.searches import searched, summary
from collator.ledgers.stretch import LOOKED, Stretch
from collator.messages import ResourceSearch, ResourceSearchPage
from collator.states import State

_Row = tuple[int, str, State, int | None, int, int, int, float, float | None]


class _Looked(msgspec.Struct):
    looked: int
    last: int | None
    rows: list[_Row]


_decode_looked = msgspec.json.Decoder(_Looked).decode


def search(value: Callable[..., bytes], wanted: ResourceSearch, after: str, limit: int) -> ResourceSearchPage:
    """A page of those that are *wanted*; *value* gives what a named statement gives, as JSON. `Malformed`."""
    source = searched(wanted)
    until = int(value("last_delivery" if wanted.undelivered else "last_resource"))
    where = Stretch(source, 0, 0, until)
    if after:
        where = where.onward(after)
    times = (wanted.opened_since, wanted.opened_until, wanted.ended_since, wanted.ended_until)
    fits = (wanted.state, wanted.prefix, behind(wanted.prefix), *times, wanted.failed)
    asked = (source, where.first, where.until, wanted.newest, LOOKED, *fits, limit)
    looked = _decode_looked(value("search_resources", *asked))
    places = [where.behind(row[0], newest=wanted.newest) for row in looked.rows]
    if len(looked.rows) == limit:
        last = places[-1]
    elif looked.looked == LOOKED and looked.last is not None:
        last = where.behind(looked.last, newest=wanted.newest)
    else:
        last = None
    return ResourceSearchPage(resources=[summary(row[1:]) for row in looked.rows], after=last, places=places)
