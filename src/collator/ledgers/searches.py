"""Searches for resources by time: the list in which one looks, and the lines that it gives. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collator.clock import rfc3339
from collator.messages import ResourceSearch, ResourceSummary
from collator.states import State


def searched(wanted: ResourceSearch) -> str:
    """The list in which a search looks: the shortest that has all that is *wanted*."""
    if wanted.undelivered:
        return "undelivered"
    return "early" if wanted.state in {State.INCOMPLETE, State.CANCELLED} else "all"


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
