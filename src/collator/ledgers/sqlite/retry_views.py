"""The view of resources that a retry can mend: those with packets that have no output, in order of id.

One look goes through no more resources than it was asked for, whatever fits, so that it holds up no other view. The
cursor has the latest handle of all that there were at the first look: what opens later is left out, so that there is an
end to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from collator.errors import Malformed
from collator.ledgers.prefix import behind
from collator.messages import ResourceFilter, UnfinishedPage, UnfinishedResource, webhook_id
from collator.text import quoted

_CURSOR = re.compile(r"([0-9]{1,18})-(.+)", re.DOTALL)


class _Looked(msgspec.Struct):
    last: str | None
    rows: list[tuple[str, str, int]]


_decode_looked = msgspec.json.Decoder(_Looked).decode


class Retryable(NamedTuple):
    """Resources that were found, and where to go on."""

    resources: Sequence[UnfinishedResource]
    last: str | None
    """The last id that was looked at; `None` where there are no others behind it."""
    until: int
    """The latest handle of all that are looked through."""

    @property
    def after(self) -> str | None:
        """The cursor of what is behind."""
        return None if self.last is None else self.behind(self.last)

    def behind(self, last: str) -> str:
        """The cursor of what is behind the id *last*."""
        return f"{self.until}-{last}"


class UnfinishedViews:
    """Views of resources with packets that have no output, on the connection of a reader."""

    def __init__(self, value: Callable[..., bytes]) -> None:
        """*value* gives what a named statement gives, as JSON."""
        self._value = value

    def page(self, wanted: ResourceFilter, after: str, limit: int) -> UnfinishedPage:
        """A page: of up to *limit* resources, from the cursor *after* on, those that are *wanted*. `Malformed`."""
        found = self.find(wanted, after, limit)
        return UnfinishedPage(resources=found.resources, after=found.after)

    def find(self, wanted: ResourceFilter, after: str, limit: int) -> Retryable:
        """The same, with what a cursor is made of."""
        cursor = _CURSOR.fullmatch(after)
        if after and cursor is None:
            raise Malformed(f"cursor: {quoted(after)} is not a cursor of a previous page")
        until, last = (int(cursor[1]), cursor[2]) if cursor else (int(self._value("last_resource")), "")
        first = wanted.prefix if wanted.prefix > last else last + "\0"  # the least text behind `last`
        fits = (until, wanted.since, wanted.completed_by, wanted.reason)
        looked = _decode_looked(
            self._value("list_unfinished", wanted.state, first, behind(wanted.prefix), *fits, limit)
        )
        rows = [
            UnfinishedResource(id_, webhook_id(id_, bytes.fromhex(generation)), packets)
            for id_, generation, packets in looked.rows
        ]
        return Retryable(rows, looked.last, until)
