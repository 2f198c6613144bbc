"""The view of resources that a retry can mend: those with packets that have no output, in order of id.

One look goes through no more resources than it was asked for, whatever fits, so that it holds up no other view. The
cursor has the latest handle of all that there were at the first look: what opens later is left out, so that there is an
end to it.
"""

from __future__ import annotations

from collator.ledgers.postgresql.step import Statements, clean
from collator.ledgers.prefix import behind
from collator.ledgers.repair_steps import FoundResources, parse_cursor
from collator.messages import ResourceFilter, UnfinishedResource, webhook_id


async def find(look: Statements, wanted: ResourceFilter, after: str, limit: int) -> FoundResources:
    """Of up to *limit* resources, from the cursor *after* on, those that are *wanted*. `Malformed`."""
    until, last = parse_cursor(after)
    if until is None:
        until = int(await look.value("last_resource"))
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
