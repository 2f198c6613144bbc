"""The view of resources by time. A look goes through `LOOKED` of them at most; the page is short then, and says so."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from collator.ledgers.searches import page_of, rows_of, terms
from collator.ledgers.stretch import LOOKED
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
    where = rows_of(wanted, int(value("last_delivery" if wanted.undelivered else "last_resource")), after)
    asked = (where.source, where.first, where.until, wanted.newest, LOOKED, *terms(wanted, wanted.prefix), limit)
    looked = _decode_looked(value("search_resources", *asked))
    return page_of(wanted, where, looked.rows, limit, looked.last if looked.looked == LOOKED else None)
