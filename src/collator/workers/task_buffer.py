"""The buffer of packets between the event loop, which fills it, and the threads of the pool, which empty it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence

import structlog

from collator.messages import Lease, Run, Task, runs_of
from collator.processor import BatchFailed
from collator.throttle import Throttle
from collator.workers.chunks import Chunk
from collator.workers.round_robin import RoundRobin

log = structlog.get_logger("collator.workers")


class TaskBuffer:
    """Packets that wait, in runs. May be used by any thread."""

    def __init__(self, *, batch: int = 1) -> None:
        """*batch*: how many packets a call may take."""
        guard = threading.RLock()
        self.change = threading.Condition(guard)
        """Guards the line, and what its pool keeps beside it; nothing slow is done while it is held."""
        self.relief = threading.Condition(guard)
        """For who has to wait until the ledger has taken results."""
        self.round_robin = RoundRobin(batch=batch)
        """Who is next; to be used with the guard held."""
        self._throttle = Throttle()
        self.paused = False
        """Nothing more may be taken."""
        self.wake_one: Callable[[], None] = lambda: None
        """The pool's: see whether somebody is free for what waits. Called with the guard held."""
        self.finish: Callable[[Chunk], None] = lambda _chunk: None
        """The pool's: lay down the results of a chunk on which work goes on; returns when it may."""

    def __len__(self) -> int:
        """The number of packets that wait."""
        return self.round_robin.size

    def put(self, runs: Iterable[Run]) -> None:
        """Let *runs* wait."""
        with self.change:
            self.round_robin.put(runs)
            self.wake_one()

    def put_back(self, runs: Iterable[Run]) -> None:
        """Let *runs*, which were taken and not begun, wait again."""
        with self.change:
            self.round_robin.put_back(runs)
            self.wake_one()

    def put_each(self, tasks: Sequence[Task], failed: BatchFailed) -> None:
        """Let *tasks*, whose call has *failed*, wait for a call each."""
        with self.change:
            if failed.trace:  # given once an hour: told, also where another thread came first without it
                self._throttle.over(failed.kind)
            times = self._throttle.times(failed.kind)
            self.round_robin.put_each(runs_of(tasks))
            self.wake_one()
        if times:
            trace = {"exception": failed.trace} if failed.trace else {}
            words = "a batch failed; its packets are processed one by one"
            log.warning(words, packets=len(tasks), reason=failed.kind, times=times, **trace)

    def pause(self) -> None:
        """Let nothing more be taken; what is in hand is finished."""
        with self.change:
            self.paused = True

    def take_back(self) -> list[Run]:
        """All that waits, which now waits no longer."""
        with self.change:
            return self.round_robin.take_all()

    def drop(self, leases: Collection[Lease]) -> None:
        """Forget what waits under *leases*, of a run all where its first packet does."""
        with self.change:
            self.round_robin.drop(leases)

    def runs(self) -> list[Run]:
        """All that waits."""
        with self.change:
            return [*self.round_robin]
