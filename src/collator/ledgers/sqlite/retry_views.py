"""The view of resources that a retry can mend: those with packets that have no output, in order of id.

One look goes through no more resources than it was asked for, whatever fits, so that it holds up no other view. The
cursor has the latest handle of all that there were at the first look: what opens later is left out, so that there is an
end to it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from collator.ledgers.prefix import behind
from collator.ledgers.repair_steps import FoundResources, parse_cursor
from collator.messages import ResourceFilter, UnfinishedPage, UnfinishedResource, webhook_id


class _Looked(msgspec.Struct):
    last: str | None
    rows: list[tuple[str, str, int]]


_decode_looked = msgspec.json.Decoder(_Looked).decode


class UnfinishedViews:
    """Views of resources with packets that have no output, on the connection of a reader."""

    def __init__(self, value: Callable[..., bytes]) -> None:
        """*value* gives what a named statement gives, as JSON."""
        self._value = value

    def page(self, wanted: ResourceFilter, after: str, limit: int) -> UnfinishedPage:
        """A page: of up to *limit* resources, from the cursor *after* on, those that are *wanted*. `Malformed`."""
        found = self.find(wanted, after, limit)
        return UnfinishedPage(resources=found.resources, after=found.after)

    def find(self, wanted: ResourceFilter, after: str, limit: int) -> FoundResources:
        """The same, with what a cursor is made of."""
        until, last = parse_cursor(after)
        if until is None:
            until = int(self._value("last_resource"))
        first = wanted.prefix if wanted.prefix > last else last + "\0"  # the least text behind `last`
        fits = (until, wanted.since, wanted.completed_by, wanted.reason)
        looked = _decode_looked(
            self._value("list_unfinished", wanted.state, first, behind(wanted.prefix), *fits, limit)
        )
        rows = [
            UnfinishedResource(id_, webhook_id(id_, bytes.fromhex(generation)), packets)
            for id_, generation, packets in looked.rows
        ]
        return FoundResources(rows, looked.last, until)
