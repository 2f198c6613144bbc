"""Packets that wait for a call: resources take turns. Pure.

Theory. In its turn a resource gives an equal share of what is taken in one go, but no less than an eighth of it, round
and round over the resources that have any: one of one packet that comes in behind one of many is served second,
whatever the other holds. What is given in a turn stays one run. So with calls that take long a turn is one packet; with
quick ones, of which all that waits takes some milliseconds, it is more, as runs that are cut cost more. A resource that
has nothing left leaves the round, and comes back at its end.

Where a call takes a batch, a packet that has failed before, alone or in company, is called *single*: a batch that fails
says nothing of whose fault it is, and the others should not suffer twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from collator.messages import Lease, Run, packets_in

BATCH_SIZE = 8 * 1024 * 1024
"""Bytes of the payloads that a call of a batch takes, at most, however few they are."""

SHARERS = 8
"""Resources among which what is taken in one go is shared out, where there are as many."""


class _WaitingRun:
    """A run, of which the first packets were taken."""

    __slots__ = ("run", "taken")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.taken = 0

    def __len__(self) -> int:
        return len(self.run.indexes) - self.taken

    def take(self, count: int) -> Run:
        """Take up to *count* packets."""
        start = self.taken
        self.taken = min(start + count, len(self.run.indexes))
        return self.run.part(start, self.taken)

    def rest(self) -> Run:
        """The packets that are left."""
        return self.run.part(self.taken, len(self.run.indexes))


class RoundRobin:
    """The packets, a queue of runs for each resource, and the round in which they are served."""

    def __init__(self, *, batch: int = 1) -> None:
        """*batch*: how many packets a call may take."""
        self._batch = batch
        self._singles: deque[Run] = deque()
        self._queues: dict[str, deque[_WaitingRun]] = {}
        self._round: deque[deque[_WaitingRun]] = deque()
        self.size = 0
        """How many packets wait."""

    def __len__(self) -> int:
        """The number of packets that wait."""
        return self.size

    def put(self, runs: Iterable[Run]) -> None:
        """Let *runs* wait, each behind those of its resource."""
        for run in runs:
            if self._batch > 1 and max(run.attempts) > 1:
                self.put_each([run])
                continue
            self._queue(run.resource_id).append(_WaitingRun(run))
            self.size += len(run.indexes)

    def put_back(self, runs: Iterable[Run]) -> None:
        """Let *runs*, which were taken and not begun, wait before the others of their resource."""
        for run in reversed([*runs]):
            self._queue(run.resource_id).appendleft(_WaitingRun(run))
            self.size += len(run.indexes)

    def put_each(self, runs: Iterable[Run]) -> None:
        """Let *runs* wait, each packet for a call of its own."""
        for run in runs:
            self._singles.extend(run.part(place, place + 1) for place in range(len(run.indexes)))
            self.size += len(run.indexes)

    def take(self, count: int, *, size: int | None = None) -> list[Run]:
        """The next *count* packets, or all that there are, or one that is to be called apart.

        Where there is a *size*, their payloads have so many bytes together, or it is a single one.
        """
        if self._singles:
            self.size -= 1
            return [self._singles.popleft()]
        if count >= self.size and size is None:
            return self.take_all()
        taken: list[Run] = []
        left = min(count, self.size)
        share = 1 if size is not None else max(1, left // min(SHARERS, len(self._round) or 1))
        while left:
            if size is not None:
                next_one = self._round[0][0]
                size -= len(next_one.run.payloads[next_one.taken])
                if size < 0 and taken:
                    break
            served = self._serve(min(share, left))
            taken += served
            left -= packets_in(served)
        self.size -= packets_in(taken)
        return taken

    def take_all(self) -> list[Run]:
        """All that there is."""
        every = [*self]
        self._clear()
        return every

    def drop(self, leases: Collection[Lease]) -> None:
        """Forget what waits under *leases*, of a run all where its first packet does."""
        single = [run for run in self._singles if run.lease not in leases]
        kept = [rest for one in chain.from_iterable(self._round) if (rest := one.rest()).lease not in leases]
        self._clear()
        self.put_each(single)
        self.put(kept)

    def __iter__(self) -> Iterator[Run]:
        """All that waits, queue by queue."""
        return chain(self._singles, (one.rest() for one in chain.from_iterable(self._round)))

    def _queue(self, resource_id: str) -> deque[_WaitingRun]:
        queue = self._queues.get(resource_id)
        if queue is None:
            queue = self._queues[resource_id] = deque()
            self._round.append(queue)
        return queue

    def _serve(self, share: int) -> list[Run]:
        """Up to *share* packets of the resource whose turn it is."""
        queue = self._round.popleft()
        served: list[Run] = []
        while queue and share > 0:
            served.append(queue[0].take(share))
            share -= len(served[-1].indexes)
            if not queue[0]:
                queue.popleft()
        if queue:
            self._round.append(queue)
        else:
            del self._queues[served[0].resource_id]
        return served

    def _clear(self) -> None:
        self._singles.clear()
        self._queues.clear()
        self._round.clear()
        self.size = 0
