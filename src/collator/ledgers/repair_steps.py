"""What the steps of verbs of people give, on each ledger (`collator.ledgers.repair_verbs`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from collator.errors import Malformed, Unavailable
from collator.messages import UnfinishedResource
from collator.text import quoted

_CURSOR = re.compile(r"([0-9]{1,18})-(.+)", re.DOTALL)


class RetryResult(msgspec.Struct):
    """The result of one step of a retry."""

    number: int
    """Packets."""
    after: int
    """The index behind which the next step begins; `INDEX_MASK` where there is no more."""
    ended: bool = False
    """Whether the resource has ended, so that nothing was done: `reopen` is for those."""


class ReopenResult(msgspec.Struct):
    """The result of one step that opens resources again."""

    resources: int = 0
    packets: int = 0
    looked: int = 0
    """How many of those that were named were looked at."""
    refusal: Unavailable | None = None
    """Why no more of them may be opened; the next is the first that was not."""


class ReplayResult(msgspec.Struct):
    """The result of one step of a replay."""

    number: int = 0
    dead: int = 0
    """How many of those were dead."""
    endpoints: frozenset[str] = frozenset()
    looked: int = 0
    """How many of the deliveries that were named were looked at."""


class PurgeResult(msgspec.Struct, frozen=True):
    """The result of one step of a purge."""

    rows: int
    more: bool
    """Whether there is more to forget; an upper bound of rows may have ended the step, or its time."""


class FoundResources(NamedTuple):
    """Resources with packets that have no output, and where to go on.

    The cursor has the latest handle of all that there were at the first look: what opens later is left out, so that
    there is an end to it.
    """

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


def parse_cursor(cursor: str) -> tuple[int | None, str]:
    """The latest handle and the last id of *cursor*, which may be empty. `Malformed`."""
    parsed = _CURSOR.fullmatch(cursor)
    if cursor and parsed is None:
        raise Malformed(f"cursor: {quoted(cursor)} is not a cursor of a previous page")
    return (int(parsed[1]), parsed[2]) if parsed else (None, "")
