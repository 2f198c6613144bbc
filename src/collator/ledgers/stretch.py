"""The range of rows that a look at a list goes through, and the cursors of its pages. Pure.

Rows have handles that rise as they are created, and a list is in their order, or against it. What is created after the
first page is left out of those that follow: so who follows the cursors to the end sees each row once.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from collator.errors import Malformed
from collator.text import quoted

LOOKED = 4_000
"""Rows that one look goes through: some 5 ms."""

_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


class Stretch(NamedTuple):
    """A range of rows to look at."""

    source: str
    """The list, of which there are several."""
    resource_row: int
    """The resource whose rows they are, where the list is one of one."""
    first: int
    """The handle behind which to begin."""
    until: int
    """The last handle."""

    def onward(self, cursor: str) -> Stretch:
        """The part of it that is behind *cursor*. `Malformed`."""
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise Malformed(f"cursor: {quoted(cursor)} is not a cursor of a previous page")
        return self._replace(first=max(self.first, int(found[1])), until=min(self.until, int(found[2])))

    def behind(self, last: int, *, newest: bool) -> str | None:
        """The cursor behind the row *last*, where the list has the *newest* first; `None` where it was the end."""
        first, until = (self.first, last - 1) if newest else (last, self.until)
        return f"{first}-{until}" if first < until else None


NOTHING = Stretch("one", 0, 0, 0)
"""No row."""
