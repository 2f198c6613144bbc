"""The threads that call the processor: who takes which chunk, and what becomes of a call that does not end.

Lives here: threads, and the lock that they share with the event loop. Does not live here: the ledger. The loop puts
tasks in and never waits for more than a few steps; each thread takes its next chunk by itself, so that none waits for
the loop between two of them.

Theory. A thread cannot be killed. A call that outlasts its time is given up: the attempt has failed, its late result
is ignored, and a new thread takes the place, until `max_abandoned` calls are given up at one time. Then nothing is
begun until one of them returns; a thread that returns goes on as a worker where one is missing, else it ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

import structlog

from collator.engines.embedded.workforce.chunks import Chunk, next_size
from collator.engines.embedded.workforce.turns import Turns
from collator.exchange import Result, Task
from collator.processor import Processor

STALLED = 0.010
"""Seconds after which a call lets go of what is before and behind it in its chunk."""

log = structlog.get_logger("collator.workforce")


class Worker:
    """A thread, and what it has in hand."""

    __slots__ = ("chunk",)

    def __init__(self) -> None:
        self.chunk: Chunk | None = None

    @property
    def abandoned(self) -> bool:
        """Whether its call was given up and has not returned."""
        chunk = self.chunk
        return chunk is not None and chunk.abandoned


class Threads:
    """As many threads as *concurrency* says, and up to *max_abandoned* more whose call was given up."""

    def __init__(
        self,
        processor: Processor,
        *,
        concurrency: int,
        max_abandoned: int,
        max_chunk: int,
        finished: Callable[[Chunk, float], None],
    ) -> None:
        """*finished* is called in the thread, with a chunk that is done and the mean seconds of a call in it."""
        self.chunk_size = 1
        self.abandoned = 0
        """How many calls were given up and have not returned."""
        self._processor = processor
        self._concurrency = concurrency
        self._max_abandoned = max_abandoned
        self._max_chunk = max_chunk
        self._finished = finished
        self._turns = Turns()
        self._workers: list[Worker] = []
        self._chunks: set[Chunk] = set()  # taken, and not collected yet
        self._idle = 0
        self._roused = False  # an idle thread was told to look, and has not looked yet
        self._paused = False
        self._stopped = False
        self._change = threading.Condition()  # guards all that is above; nothing slow is done while it is held

    def start(self) -> None:
        """Start the threads."""
        with self._change:
            for _ in range(self._concurrency):
                self._hire()

    def pause(self) -> None:
        """Let nobody take any more; what is in hand is finished."""
        with self._change:
            self._paused = True

    def stop(self) -> None:
        """Let every thread end as soon as its call returns."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def put(self, tasks: Sequence[Task]) -> None:
        """Let *tasks* wait for a thread."""
        with self._change:
            self._turns.put(tasks)
            self._rouse()

    def take_back(self) -> Sequence[Task]:
        """All that waits, which now waits no longer."""
        with self._change:
            return self._turns.take(len(self._turns))

    def collect(self, chunk: Chunk) -> list[Result]:
        """The results of a *chunk* that is done."""
        with self._change:
            self._chunks.discard(chunk)
            return chunk.collect()

    def give_up(self) -> tuple[list[Result], list[Task]]:
        """Wait for nobody any more: the results that are there, and the tasks that have none."""
        with self._change:
            chunks = [*self._chunks]
            for chunk in chunks:
                self._disown(chunk)
            unfinished = [task for chunk in chunks for task in chunk.unfinished()]
            return [result for chunk in chunks for result in chunk.collect()], unfinished

    def drop(self, leases: Collection[int]) -> None:
        """Forget the tasks of *leases*, where they wait."""
        with self._change:
            self._turns.drop(leases)

    def unfinished(self) -> list[Task]:
        """All tasks that wait or are in hand."""
        with self._change:
            return [*self._turns, *(task for chunk in self._chunks for task in chunk.unfinished())]

    def waiting(self) -> int:
        """How many tasks wait."""
        return len(self._turns)

    def in_hand(self) -> int:
        """How many tasks threads have taken and not finished; 0 only once every result is collected."""
        return sum([len(chunk.todo) + 1 for chunk in [*self._chunks]]) if self._chunks else 0

    def blocked(self) -> bool:
        """Whether nothing is begun, as too many calls were given up."""
        return self.abandoned >= self._max_abandoned

    def watch(self) -> tuple[list[Result], list[Task]]:
        """Look after calls that take long: results that are there by now, and the tasks whose time is up."""
        now = self._processor.clock.monotonic()
        results: list[Result] = []
        late: list[Task] = []
        with self._change:
            for chunk in [*self._chunks]:
                call = chunk.call
                if call is None or now - call[1] < STALLED:
                    continue
                self._turns.put(chunk.rest())
                results += chunk.collect()
                if now - call[1] >= self._processor.timeout:
                    late.append(call[0])
                    self._abandon(chunk)
            self._rouse()
        return results, late

    def _abandon(self, chunk: Chunk) -> None:
        self._disown(chunk)
        if len(self._workers) < self._concurrency + self._max_abandoned:
            self._hire()

    def _disown(self, chunk: Chunk) -> None:
        chunk.abandoned = True
        self._chunks.discard(chunk)
        self._count()

    def _count(self) -> None:
        self.abandoned = sum(worker.abandoned for worker in self._workers)

    def _rouse(self) -> None:
        """Have one idle thread look for work. It rouses the next if it leaves some, so that few hints make no crowd."""
        if self._idle and not self._roused:
            self._roused = True
            self._change.notify()

    def _hire(self) -> None:
        worker = Worker()
        thread = threading.Thread(target=self._work, args=(worker,), name="collator-processor", daemon=True)
        self._workers.append(worker)
        thread.start()

    def _work(self, worker: Worker) -> None:
        calls, seconds = 0, 0.0
        while (chunk := self._next(worker, calls, seconds)) is not None:
            try:
                calls, seconds = chunk.work(self._processor.attempt, self._processor.clock.monotonic)
            except Exception:  # a defect of ours: the lease ends, and the task is handed out again
                log.exception("a defect in a thread of the processor")
                calls, seconds = 0, 0.0
            if not chunk.abandoned:
                self._finished(chunk, seconds / max(1, calls))

    def _next(self, worker: Worker, calls: int, seconds: float) -> Chunk | None:
        """The next chunk for *worker*, once there is one, after *calls* that took *seconds*; `None`: let it end."""
        with self._change:
            returned = worker.abandoned
            worker.chunk = None
            if returned:
                self._count()
                self._change.notify_all()  # perhaps nothing was begun because of this one
            elif calls:
                self.chunk_size = next_size(self.chunk_size, calls=calls, seconds=seconds, limit=self._max_chunk)
            while self._may_stay() and not self._may_take():
                self._wait()
            if not self._may_stay():
                self._workers.remove(worker)
                return None
            worker.chunk = Chunk(self._turns.take(self.chunk_size))
            self._chunks.add(worker.chunk)
            if self._turns:
                self._rouse()
            return worker.chunk

    def _wait(self) -> None:
        self._idle += 1
        self._change.wait()
        self._idle -= 1
        self._roused = False

    def _may_stay(self) -> bool:
        return not self._stopped and len(self._workers) - self.abandoned <= self._concurrency

    def _may_take(self) -> bool:
        return len(self._turns) > 0 and not self._paused and not self.blocked()
