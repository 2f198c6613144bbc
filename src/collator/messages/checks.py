"""The result of a whole look at a store: is everything there, and is it what was written?"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collator.messages.views import Counts

SHOWN = 10
"""Cases of one complaint that are listed; all are counted."""


class Complaint(msgspec.Struct, frozen=True):
    """One thing that is wrong, and where."""

    what: str
    cases: int
    where: Sequence[str]
    """The first of them."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a check."""

    database: str
    schema: int
    newest: int
    """The schema that this version of Collator works with."""
    counts: Counts
    """What it holds, counted row by row."""
    rows: dict[str, int]
    """How many ``resources``, ``packets``, ``outcomes`` and ``deliveries`` there are."""
    complaints: Sequence[Complaint]

    @property
    def older(self) -> bool:
        """Whether the schema is an earlier one: pages are checked and rows counted, and no more."""
        return 0 < self.schema < self.newest

    @property
    def sound(self) -> bool:
        """Whether nothing that was looked at is wrong."""
        return not self.complaints


def compare_counts(kept: Counts, counted: Counts) -> list[Complaint]:
    """The complaint about the counters *kept* in a store that are not those *counted* of its rows, if there are any."""
    wrong = [
        f"{name}: {getattr(kept, name)} stored, {number} counted"
        for name, number in msgspec.structs.asdict(counted).items()
        if getattr(kept, name) != number
    ]
    return [Complaint("the stored counters do not match the rows", len(wrong), wrong)] if wrong else []
