"""Snapshots of open resources in memory, so that a resource is not read again with each batch that concerns it.

Theory. A snapshot is in the cache, or with the one step that took it, and never both. Whoever wants a resource, for
whatever purpose, takes its snapshot out; only who has stored all that he changed of it puts it back. So what is in the
cache is what is stored, and a step that forgets to put a snapshot back costs a read, and nothing else. When a
transaction is rolled back, all go: rollbacks are rare, and an undo could be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import Any

from collator.rules.resource import Snapshot
from collator.states import State

MOST = 32 * 1024 * 1024
"""Bytes of all snapshots in memory, about: those of 50,000 resources."""
_EACH = 600
"""Bytes of one, about, beside its id, metadata and outputs."""
_OUTPUTS, _OUTPUT = 200, 50
"""Bytes of the outputs of one, about, and of each of them with its index, beside its text."""


class SnapshotCache:
    """The snapshots of open resources that were used last. Of the thread that has the writing connection."""

    def __init__(self, read: Callable[[str, list[Any]], Iterable[Snapshot]], *, most: int = MOST) -> None:
        """Have up to *most* bytes; what is not there is found by *read*, from a statement and its keys."""
        self.most = most
        self._read = read
        self.clear()

    def clear(self) -> None:
        """Forget all, as a transaction is rolled back."""
        # What was put last, and what was put before that: when the first is half of what may be there, the second goes.
        self._recent: dict[int, Snapshot] = {}
        self._earlier: dict[int, Snapshot] = {}
        self._recent_rows: dict[str | int, int] = {}
        self._earlier_rows: dict[str | int, int] = {}
        self._size = 0

    def __iter__(self) -> Iterator[Snapshot]:
        """All that are there."""
        return chain(self._recent.values(), self._earlier.values())

    def take_by_id(self, ids: Collection[str | int], *, anew: bool = False) -> dict[str | int, Snapshot]:
        """Take out the resources *ids*, as far as there are such, whether in memory or not.

        *anew*: read all of them, so that damage is found (`ValueError`).
        """
        rows = [self._recent_rows.get(id_, 0) or self._earlier_rows.get(id_, 0) for id_ in ids]
        taken = self._pop(rows)
        found: dict[str | int, Snapshot] = {} if anew else {one.resource_id: one for one in taken}
        if len(found) < len(ids):
            missing = [id_ for id_ in ids if id_ not in found]
            found |= {one.resource_id: one for one in self._read("find_resources", missing)}
        return found

    def take_by_row(self, rows: Collection[int], *, anew: bool = False) -> dict[int, Snapshot]:
        """Take out the resources of the handles *rows*, as above."""
        taken = self._pop(rows)
        found = {} if anew else {one.key: one for one in taken}
        if len(found) < len(rows):
            missing = [row for row in rows if row not in found]
            found |= {one.key: one for one in self._read("find_handles", missing)}
        return found

    def put(self, snapshots: Iterable[Snapshot]) -> None:
        """Put back those of *snapshots* that are open, which were taken, or are new; all of them as they are stored."""
        still_open = [one for one in snapshots if one.state is State.OPEN]
        texts = sum([len(one.resource_id) + len(one.metadata or b"") for one in still_open])
        outputs = sum([_OUTPUTS + one.body_size + _OUTPUT * one.done for one in still_open if one.outputs is not None])
        size, half = _EACH * len(still_open) + texts + outputs, self.most // 2
        if size > half:
            return
        if self._size + size > half:
            self._earlier, self._earlier_rows = self._recent, self._recent_rows
            self._recent, self._recent_rows, self._size = {}, {}, 0
        self._recent.update([(one.key, one) for one in still_open])
        self._recent_rows.update([(one.resource_id, one.key) for one in still_open])
        self._size += size

    def _pop(self, rows: Iterable[int]) -> list[Snapshot]:
        recent, earlier = self._recent.pop, self._earlier.pop
        return [one for row in rows if (one := recent(row, None) or earlier(row, None)) is not None]
