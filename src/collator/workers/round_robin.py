"""Tasks that wait for a call: resources take turns. Pure.

Theory. One task a turn, round and round over the resources that have any: a resource of one packet that comes in
behind one of many is served second, whatever the other holds. A resource that has nothing left leaves the round, and
comes back at its end.

Where a call takes a batch, a task that has failed before, alone or in company, is called *single*: a batch that fails
says nothing of whose fault it is, and the others should not suffer twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from collator.messages import Lease, Task

BATCH_SIZE = 8 * 1024 * 1024
"""Bytes of the payloads that a call of a batch takes, at most, however few they are."""


class RoundRobin:
    """The tasks, a queue for each resource, and the round in which they are served."""

    def __init__(self, *, batch: int = 1) -> None:
        """*batch*: how many tasks a call may take."""
        self._batch = batch
        self._singles: deque[Task] = deque()
        self._queues: dict[str, deque[Task]] = {}
        self._round: deque[deque[Task]] = deque()
        self.size = 0
        """How many tasks wait."""

    def __len__(self) -> int:
        """The number of tasks that wait."""
        return self.size

    def put(self, tasks: Iterable[Task]) -> None:
        """Let *tasks* wait, each behind those of its resource."""
        for task in tasks:
            if self._batch > 1 and task.attempt > 1:
                self.put_each([task])
                continue
            queue = self._queues.get(task.key.resource_id)
            if queue is None:
                queue = self._queues[task.key.resource_id] = deque()
                self._round.append(queue)
            queue.append(task)
            self.size += 1

    def put_each(self, tasks: Iterable[Task]) -> None:
        """Let *tasks* wait, each for a call of its own."""
        for task in tasks:
            self._singles.append(task)
            self.size += 1

    def take(self, count: int, *, size: int | None = None) -> deque[Task]:
        """The next *count* tasks, or all that there are, or one that is to be called apart.

        Where there is a *size*, their payloads have so many bytes together, or it is a single one.
        """
        if self._singles:
            self.size -= 1
            return deque((self._singles.popleft(),))
        taken: deque[Task] = deque()
        for _ in range(min(count, self.size)):
            queue = self._round.popleft()
            if size is not None:
                size -= len(queue[0].payload)
                if size < 0 and taken:
                    self._round.appendleft(queue)
                    break
            task = queue.popleft()
            taken.append(task)
            if queue:
                self._round.append(queue)
            else:
                del self._queues[task.key.resource_id]
        self.size -= len(taken)
        return taken

    def take_all(self) -> list[Task]:
        """All that there are."""
        every = [*self]
        self.drop({task.lease for task in every})
        return every

    def drop(self, leases: Collection[Lease]) -> None:
        """Forget the tasks whose lease is one of *leases*."""
        single = [task for task in self._singles if task.lease not in leases]
        kept = [task for task in chain.from_iterable(self._round) if task.lease not in leases]
        self._singles.clear()
        self._queues.clear()
        self._round.clear()
        self.size = 0
        self.put_each(single)
        self.put(kept)

    def __iter__(self) -> Iterator[Task]:
        """All that wait, queue by queue."""
        return chain(self._singles, chain.from_iterable(self._round))
