"""The view of resources by time. A look goes through `LOOKED` of them at most; the page is short then, and says so."""

from __future__ import annotations

from collator.ledgers.postgresql.step import Statements, clean
from collator.ledgers.searches import page_of, rows_of, terms
from collator.ledgers.stretch import LOOKED
from collator.messages import ResourceSearch, ResourceSearchPage


async def search(look: Statements, wanted: ResourceSearch, after: str, limit: int) -> ResourceSearchPage:
    """A page of those that are *wanted*. `Malformed`."""
    where = rows_of(wanted, await look.value("last_delivery" if wanted.undelivered else "last_resource"), after)
    asked = (where.source, where.first, where.until, wanted.newest, LOOKED, *terms(wanted, clean(wanted.prefix)))
    looked = await look.rows("search_resources", *asked)
    rows = [tuple(row)[:9] for row in looked if row["fits"]][:limit]  # without `fits`
    return page_of(wanted, where, rows, limit, looked[-1]["place"] if len(looked) == LOOKED else None)
