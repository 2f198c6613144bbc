"""Interim outputs of calls that are under way, for who follows their resources. In memory, and nowhere else.

Of each packet the latest is kept while its call runs and somebody follows its resource; else nothing is. Any thread may
show one: calls are made on event loops and threads of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from collator.messages import Task

MOST = 64 * 1024
"""Bytes of JSON of an interim output at most: a larger one is not shown."""


class Interim(msgspec.Struct, frozen=True, order=True):
    """The latest interim output of a packet."""

    number: int
    """Rises with each that is shown."""
    index: int
    attempt: int
    output: bytes
    """JSON."""


class InterimOutputs:
    """What calls show, and who follows it."""

    def __init__(self) -> None:
        """Begin with nobody who follows."""
        self._lock = threading.Lock()
        self._hints: dict[str, list[Callable[[], object]]] = {}
        self._latest: dict[str, dict[int, Interim]] = {}
        self._number = 0

    def wanted(self, resource_id: str) -> bool:
        """Return whether anybody follows this resource now."""
        return resource_id in self._hints

    def show(self, task: Task, output: bytes) -> None:
        """Show *output*, which is JSON, of a call for *task* that is under way."""
        resource_id, index = task.key.resource_id, task.key.index
        with self._lock:
            hints = self._hints.get(resource_id)
            if hints is None:
                return
            self._number += 1
            self._latest[resource_id][index] = Interim(self._number, index, task.attempt, output)
            for hint in hints:
                hint()

    def end(self, task: Task) -> None:
        """The call for *task* has ended: what it showed is out of date."""
        with self._lock:
            self._latest.get(task.key.resource_id, {}).pop(task.key.index, None)

    def latest(self, resource_id: str, *, after: int) -> Sequence[Interim]:
        """Give the latest of this resource behind the number *after*, in the order of the numbers."""
        with self._lock:
            shown = self._latest.get(resource_id, {})
            return sorted(one for one in shown.values() if one.number > after)

    @contextmanager
    def follow(self, resource_id: str, hint: Callable[[], object]) -> Iterator[None]:
        """Keep what is shown of this resource while the context is open; *hint* is called in the thread that shows."""
        with self._lock:
            self._hints.setdefault(resource_id, []).append(hint)
            self._latest.setdefault(resource_id, {})
        try:
            yield
        finally:
            with self._lock:
                self._hints[resource_id].remove(hint)
                if not self._hints[resource_id]:
                    del self._hints[resource_id], self._latest[resource_id]
