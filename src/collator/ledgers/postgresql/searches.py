"""The view of resources by time. A look goes through `LOOKED` of them at most; the page is short then, and says so."""

from __future__ import annotations

from collator.ledgers.postgresql.step import Statements, clean
from collator.ledgers.prefix import behind
from collator.ledgers.searches import searched, summary
from collator.ledgers.stretch import LOOKED, Stretch
from collator.messages import ResourceSearch, ResourceSearchPage


async def search(look: Statements, wanted: ResourceSearch, after: str, limit: int) -> ResourceSearchPage:
    """A page of those that are *wanted*. `Malformed`."""
    source, prefix = searched(wanted), clean(wanted.prefix)
    until = await look.value("last_delivery" if wanted.undelivered else "last_resource")
    where = Stretch(source, 0, 0, until)
    if after:
        where = where.onward(after)
    times = (wanted.opened_since, wanted.opened_until, wanted.ended_since, wanted.ended_until)
    fits = (wanted.state, prefix, behind(prefix), *times, wanted.failed)
    looked = await look.rows("search_resources", source, where.first, where.until, wanted.newest, LOOKED, *fits)
    rows = [row for row in looked if row["fits"]][:limit]
    places = [where.behind(row["place"], newest=wanted.newest) for row in rows]
    if len(rows) == limit:
        last = places[-1]
    else:
        last = where.behind(looked[-1]["place"], newest=wanted.newest) if len(looked) == LOOKED else None
    return ResourceSearchPage(resources=[summary(tuple(row)[1:9]) for row in rows], after=last, places=places)
