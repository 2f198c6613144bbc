"""The answers of the latest operations, for callers who ask again because an answer was lost.

One process has the store open, so who asks again is in it, and memory is enough: with the process, its callers end.
"""

from __future__ import annotations

from collections.abc import Sequence

from collator.ledgers.sqlite.verbs import Call

OPERATIONS = 1024
"""Answers that are kept."""
BYTES = 4 * 1024 * 1024
"""Bytes that came with the calls of all that are kept, or with the last one: what was handed out is held by them."""


class Answers:
    """Answers by operation; the oldest go first."""

    def __init__(self) -> None:
        """Start empty."""
        self._kept: dict[str, tuple[object, int]] = {}
        self._size = 0

    def __contains__(self, operation: str) -> bool:
        """Return whether *operation* was answered."""
        return operation in self._kept

    def get(self, operation: str) -> object:
        """Return the answer to *operation*, which was answered."""
        return self._kept[operation][0]

    def split(self, calls: Sequence[Call]) -> tuple[list[Call], list[Call]]:
        """Answer those of *calls* that were answered before; the others that come first, and those that come again."""
        first: list[Call] = []
        again: list[Call] = []
        operations = set[str]()
        for call in calls:
            if not call.operation:
                first.append(call)
            elif call.operation in self._kept:
                call.result = self.get(call.operation)
            elif call.operation in operations:
                again.append(call)
            else:
                operations.add(call.operation)
                first.append(call)
        return first, again

    def keep_of(self, calls: Sequence[Call]) -> None:
        """Keep the answers of *calls*. An error changed nothing, and may be another the next time."""
        for call in calls:
            if call.operation and not isinstance(call.result, BaseException):
                self.keep(call.operation, call.result, call.weight)

    def keep(self, operation: str, answer: object, size: int) -> None:
        """Keep *answer*, the first to *operation*; its call had *size* bytes."""
        self._kept[operation] = answer, size
        self._size += size
        while len(self._kept) > OPERATIONS or (self._size > BYTES and len(self._kept) > 1):
            _, oldest = self._kept.pop(next(iter(self._kept)))
            self._size -= oldest
