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
        found: dict[str | int, Snapshot] = {}
        missing: list[str | int] = []
        for id_ in ids:
            one = self._pop(self._recent_rows.get(id_) or self._earlier_rows.get(id_) or 0)
            if one is None or anew:
                missing.append(id_)
            else:
                found[id_] = one
        for one in self._read("find_resources", missing) if missing else ():
            found[one.resource_id] = one
        return found

    def take_by_row(self, rows: Collection[int], *, anew: bool = False) -> dict[int, Snapshot]:
        """Take out the resources of the handles *rows*, as above."""
        found: dict[int, Snapshot] = {}
        missing: list[int] = []
        for row in rows:
            one = self._pop(row)
            if one is None or anew:
                missing.append(row)
            else:
                found[row] = one
        for one in self._read("find_handles", missing) if missing else ():
            found[one.key] = one
        return found

    def put(self, snapshots: Iterable[Snapshot]) -> None:
        """Put back those of *snapshots* that are open, which were taken, or are new; all of them as they are stored."""
        still_open = [one for one in snapshots if one.state is State.OPEN]
        size, half = 0, self.most // 2
        for one in still_open:
            size += _EACH + len(one.resource_id) + len(one.metadata or b"")
            if one.outputs is not None:
                size += _OUTPUTS + one.body_size + _OUTPUT * one.done
        if size > half:
            return
        if self._size + size > half:
            self._earlier, self._earlier_rows = self._recent, self._recent_rows
            self._recent, self._recent_rows, self._size = {}, {}, 0
        for one in still_open:
            self._recent[one.key] = one
            self._recent_rows[one.resource_id] = one.key
        self._size += size

    def _pop(self, row: int) -> Snapshot | None:
        return self._recent.pop(row, None) or self._earlier.pop(row, None)
