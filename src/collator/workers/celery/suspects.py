"""Packets that were in a job that was lost with others: one of them may have killed its worker. Pure.

Theory. Nobody saw which packet a worker was at when it died, so it is held against none. They are sent again, each
alone; one that is lost alone is to blame. This is kept in memory: after a restart it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collator.messages import Key, Task

MOST = 10_000
"""Packets that are known at a time."""


class Suspects:
    """The packets."""

    def __init__(self) -> None:
        self._keys: dict[Key, None] = {}

    def add(self, tasks: Iterable[Task]) -> None:
        """*tasks* were lost together."""
        for task in tasks:
            self._keys[task.key] = None
        while len(self._keys) > MOST:
            del self._keys[next(iter(self._keys))]

    def clear(self, task: Task) -> None:
        """*task* was answered."""
        self._keys.pop(task.key, None)

    def part(self, tasks: Iterable[Task]) -> tuple[Sequence[Task], Sequence[Task]]:
        """*tasks* in two: those that may travel together, and those that are sent alone."""
        if not self._keys:
            return [*tasks], []
        together: list[Task] = []
        alone: list[Task] = []
        for task in tasks:
            (alone if task.key in self._keys else together).append(task)
        return together, alone
