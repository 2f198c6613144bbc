"""Packets that were lost with what processed them: one of them may have killed it. Pure.

Theory. A process of a pool has one job: if it ends with one packet, that packet is to blame; of several, each gets a
job of its own, and then that is so. Of a whole worker nobody knows what else it had in hand, and mostly no packet is to
blame, but who switched the machine off. So what is lost with a worker once is sent again as anything else; what is lost
so twice, only while nothing else of that kind is out; and what is lost then is to blame. This is kept in memory: after
a restart it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

from collator.messages import Key, Task

MOST = 10_000
"""Packets that are known at a time."""


class Suspicion(IntEnum):
    """How a packet is sent that was lost."""

    ONCE = 1
    """As any other."""
    SINGLE = 2
    """In a job of its own."""
    ALONE = 3
    """In a job of its own, and one at a time."""


class Suspects:
    """The packets."""

    def __init__(self) -> None:
        self._keys: dict[Key, Suspicion] = {}

    def lost_together(self, tasks: Iterable[Task]) -> None:
        """A process has ended with *tasks*, of which nobody knows which is to blame."""
        for task in tasks:
            self._suspect(task, max(Suspicion.SINGLE, self._keys.get(task.key, Suspicion.SINGLE)))

    def lost_with_worker(self, task: Task) -> bool:
        """*task* was lost with a whole worker; return whether it is to blame."""
        known = self._keys.get(task.key)
        self._suspect(task, Suspicion.ONCE if known is None else Suspicion.ALONE)
        return known is Suspicion.ALONE

    def clear(self, tasks: Iterable[Task]) -> None:
        """*tasks* were answered."""
        if self._keys:
            for task in tasks:
                self._keys.pop(task.key, None)

    def part(self, tasks: Iterable[Task]) -> tuple[Sequence[Task], Sequence[Task]]:
        """*tasks* in two: those that may travel together, and those that are sent each in a job of its own."""
        if not self._keys:
            return [*tasks], []
        together: list[Task] = []
        single: list[Task] = []
        for task in tasks:
            (single if self._keys.get(task.key, Suspicion.ONCE) >= Suspicion.SINGLE else together).append(task)
        return together, single

    def alone(self, task: Task) -> bool:
        """Return whether *task* is sent only while no other such is out."""
        return self._keys.get(task.key) is Suspicion.ALONE

    def _suspect(self, task: Task, suspicion: Suspicion) -> None:
        self._keys[task.key] = suspicion
        while len(self._keys) > MOST:
            del self._keys[next(iter(self._keys))]
