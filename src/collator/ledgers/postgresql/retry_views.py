"""The view of resources that a retry can mend: those with packets that have no output, in order of id.

One look goes through no more resources than it was asked for, whatever fits, so that it holds up no other view. The
cursor has the latest handle of all that there were at the first look: what opens later is left out, so that there is an
end to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from collator.errors import Malformed
from collator.ledgers.postgresql.step import Statements, clean
from collator.ledgers.prefix import behind
from collator.messages import ResourceFilter, UnfinishedResource, webhook_id
from collator.text import quoted

_CURSOR = re.compile(r"([0-9]{1,18})-(.+)", re.DOTALL)


class FoundResources(NamedTuple):
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


async def find(look: Statements, wanted: ResourceFilter, after: str, limit: int) -> FoundResources:
    """Of up to *limit* resources, from the cursor *after* on, those that are *wanted*. `Malformed`."""
    cursor = _CURSOR.fullmatch(after)
    if after and cursor is None:
        raise Malformed(f"cursor: {quoted(after)} is not a cursor of a previous page")
    until, last = (int(cursor[1]), cursor[2]) if cursor else (await look.value("last_resource"), "")
    first = wanted.prefix if wanted.prefix > last else last + "\x01"  # the least text behind `last`
    reason = None if wanted.reason is None else clean(wanted.reason)
    fits = (until, wanted.since, wanted.completed_by, reason)
    stretch = (clean(first), behind(clean(wanted.prefix)), limit)
    looked = await look.rows("list_unfinished", wanted.state, *stretch, *fits)
    rows = [
        UnfinishedResource(row["id"], webhook_id(row["id"], row["generation"]), row["packets"])
        for row in looked
        if row["fits"]
    ]
    return FoundResources(rows, looked[-1]["id"] if len(looked) == limit and looked else None, until)
