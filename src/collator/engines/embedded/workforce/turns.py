"""Tasks that wait for a call: resources take turns. Pure.

Theory. One task a turn, round and round over the resources that have any: a resource of one packet that comes in
behind one of many is served second, whatever the other holds. A resource that has nothing left leaves the round, and
comes back at its end.

Where a call takes a batch, a task that has failed before, alone or in company, is called *apart*: a batch that fails
says nothing of whose fault it is, and the others should not suffer twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from collator.exchange import Task

BATCH_SIZE = 8 * 1024 * 1024
"""Bytes of the payloads that a call of a batch takes, at most, however few they are."""


class Turns:
    """The tasks, a lane for each resource, and the round in which the lanes are served."""

    def __init__(self, *, batch: int = 1) -> None:
        """*batch*: how many tasks a call may take."""
        self._batch = batch
        self._apart: deque[Task] = deque()
        self._lanes: dict[str, deque[Task]] = {}
        self._round: deque[deque[Task]] = deque()
        self._size = 0

    def __len__(self) -> int:
        """How many tasks wait."""
        return self._size

    def put(self, tasks: Iterable[Task]) -> None:
        """Let *tasks* wait, each behind those of its resource."""
        for task in tasks:
            if self._batch > 1 and task.attempt > 1:
                self.put_apart([task])
                continue
            lane = self._lanes.get(task.key.resource_id)
            if lane is None:
                lane = self._lanes[task.key.resource_id] = deque()
                self._round.append(lane)
            lane.append(task)
            self._size += 1

    def put_apart(self, tasks: Iterable[Task]) -> None:
        """Let *tasks* wait, each for a call of its own."""
        for task in tasks:
            self._apart.append(task)
            self._size += 1

    def take(self, count: int, *, size: int | None = None) -> deque[Task]:
        """The next *count* tasks, or all that there are, or one that is to be called apart.

        Where there is a *size*, their payloads have so many bytes together, or it is a single one.
        """
        if self._apart:
            self._size -= 1
            return deque((self._apart.popleft(),))
        taken: deque[Task] = deque()
        for _ in range(min(count, self._size)):
            lane = self._round.popleft()
            if size is not None:
                size -= len(lane[0].payload)
                if size < 0 and taken:
                    self._round.appendleft(lane)
                    break
            task = lane.popleft()
            taken.append(task)
            if lane:
                self._round.append(lane)
            else:
                del self._lanes[task.key.resource_id]
        self._size -= len(taken)
        return taken

    def take_all(self) -> list[Task]:
        """All that there are."""
        every = [*self]
        self.drop({task.lease for task in every})
        return every

    def drop(self, leases: Collection[int]) -> None:
        """Forget the tasks whose lease is one of *leases*."""
        apart = [task for task in self._apart if task.lease not in leases]
        kept = [task for task in chain.from_iterable(self._round) if task.lease not in leases]
        self._apart.clear()
        self._lanes.clear()
        self._round.clear()
        self._size = 0
        self.put_apart(apart)
        self.put(kept)

    def __iter__(self) -> Iterator[Task]:
        """All that wait, lane by lane."""
        return chain(self._apart, chain.from_iterable(self._round))
