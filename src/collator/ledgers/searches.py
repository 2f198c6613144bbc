"""Searches for resources by time: the list in which one looks, what fits it, and the page that it gives. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collator.clock import rfc3339
from collator.ledgers.prefix import behind
from collator.ledgers.stretch import Stretch
from collator.messages import ResourceSearch, ResourceSearchPage, ResourceSummary
from collator.states import State


def rows_of(wanted: ResourceSearch, until: int, after: str) -> Stretch:
    """The rows that a search looks at, up to the handle *until*, from the cursor *after* on. `Malformed`."""
    early = wanted.state in {State.INCOMPLETE, State.CANCELLED}
    source = "undelivered" if wanted.undelivered else "early" if early else "all"  # the shortest that has all
    where = Stretch(source, 0, 0, until)
    return where.onward(after) if after else where


def terms(wanted: ResourceSearch, prefix: str) -> tuple[object, ...]:
    """The terms with which each row is compared; *prefix* is that of *wanted*, as the store has texts."""
    times = (wanted.opened_since, wanted.opened_until, wanted.ended_since, wanted.ended_until)
    return wanted.state, prefix, behind(prefix), *times, wanted.failed


def page_of(
    wanted: ResourceSearch, where: Stretch, rows: Sequence[Sequence[Any]], limit: int, last: int | None
) -> ResourceSearchPage:
    """The page of up to *limit* *rows* that fit, each a handle and the columns of a line.

    *last* is the handle of the last row that was looked at, where there may be more.
    """
    places = [where.behind(row[0], newest=wanted.newest) for row in rows]
    end = None if last is None else where.behind(last, newest=wanted.newest)
    after = places[-1] if len(rows) == limit else end
    return ResourceSearchPage(resources=[summary(row[1:]) for row in rows], after=after, places=places)


def summary(row: Sequence[Any]) -> ResourceSummary:
    """A line of a list, of its columns: id, state, total, received, done, failed, when it was opened and ended."""
    id_, state, total, received, done, failed, opened, closed = row
    return ResourceSummary(
        resource_id=id_,
        state=State(state),
        total=total,
        received=received,
        done=done,
        failed=failed,
        opened_at=rfc3339(opened),
        closed_at=None if closed is None else rfc3339(closed),
    )
