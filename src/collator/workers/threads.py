"""The pool of threads: who takes which chunk, and what becomes of a call that does not end.

Lives here: threads, and what each has in hand. Does not live here: how a call is made, which is a matter of a thread's
hands. Each thread takes its next chunk by itself, so that none waits for the event loop between two of them.

Theory. A thread cannot be killed. A call that outlasts its time is given up: the attempt has failed, its late result
is ignored, and a new thread takes the place, until `max_abandoned` calls are given up at one time. Then nothing is
begun until one of them returns; a thread that returns goes on as a worker where one is missing, else it ends. Hands
that can kill what they hold return at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from collator.messages import AnyResult, Run, Task, WorkerReport, runs_of
from collator.processor import OutcomeFactory
from collator.throttle import Throttle
from collator.workers.chunks import Chunk, next_size
from collator.workers.executor import ChunkInHand, Executor, PoolThread
from collator.workers.pool import blocked_words, note_late
from collator.workers.result_queue import ResultQueue
from collator.workers.round_robin import BATCH_SIZE
from collator.workers.task_buffer import TaskBuffer

STALLED = 0.010
"""Seconds after which a call lets go of what is before and behind it in its chunk."""
RESTART = 1.0
"""Seconds until a thread whose executor is not ready tries again."""

log = structlog.get_logger("collator.workers")


class Threads:
    """As many threads as *concurrency* says, and up to *max_abandoned* more whose call was given up."""

    def __init__(
        self,
        executor: Callable[[TaskBuffer], Executor[Any]],
        outcomes: OutcomeFactory,
        *,
        tell: Callable[[], None],
        concurrency: int,
        max_abandoned: int,
        window: int,
        batch: int = 1,
    ) -> None:
        """*executor* makes those of one thread; *tell* as in `ResultQueue`; *window* tasks at most; *batch* a call."""
        self.buffer = TaskBuffer(batch=batch)
        self.buffer.wake_one = self._wake_one
        self.buffer.finish = self._finish_some
        self.result_queue = ResultQueue(tell)
        self.chunk_size = 1
        self.abandoned = 0
        self._make_executor = executor
        self._outcomes = outcomes
        self._batch = batch
        self._concurrency = concurrency
        self._max_abandoned = max_abandoned
        self._window = window
        self._workers: list[PoolThread] = []
        self._chunks: set[ChunkInHand] = set()  # in hand
        self._idle = 0
        self._woken = False  # an idle thread was told to look, and has not looked yet
        self._alive = 0
        self._stopped = threading.Event()
        self._change = self.buffer.change
        self._late_calls = Throttle()
        self.result_queue.unrecorded.relieved = self._go_on

    def start(self) -> None:
        """Start the threads."""
        with self._change:
            for _ in range(self._concurrency):
                self._spawn()

    def stop(self) -> None:
        """Let every thread end: at once where its executor can kill, else as soon as its call returns."""
        with self._change:
            self._stopped.set()
            self._change.notify_all()
            self.buffer.relief.notify_all()
            for worker in self._workers:
                worker.executor.kill()

    def ended(self) -> bool:
        """Return whether every thread has ended but those in a call that nothing can end."""
        return self._alive == sum(not worker.executor.killable for worker in [*self._workers] if worker.chunk)

    def give_up(self) -> list[Run]:
        """Wait for nobody any more."""
        with self._change:
            chunks = [*self._chunks]
            for chunk in chunks:
                self._abandon(chunk)
            self.result_queue.add([report for chunk in chunks for report in chunk.collect()])
            return [run for chunk in chunks for run in chunk.unfinished()]

    def unfinished(self) -> list[Run]:
        """The packets in hand."""
        with self._change:
            return [run for chunk in self._chunks for run in chunk.unfinished()]

    def in_hand(self) -> int:
        """The number of packets in hand and of results in the result queue."""
        chunks = sum([chunk.size() for chunk in [*self._chunks]]) if self._chunks else 0
        # In this order: what moves meanwhile is counted twice, and not passed over.
        return chunks + self.result_queue.packets

    def width(self) -> int:
        """Two chunks a thread, within the window."""
        if self._blocked():
            return 0
        return min(self._window, 2 * self._concurrency * max(self.chunk_size, self._batch))

    def recorded(self, reports: Sequence[AnyResult]) -> None:
        """Nothing is to be done."""

    def reports(self) -> Sequence[WorkerReport]:
        """None are elsewhere."""
        return ()

    def health(self) -> str | None:
        """The reason why no call is begun, in words; `None` while all is well."""
        if self._blocked():
            return blocked_words(self.abandoned, self._outcomes.timeout)
        troubles = [worker.executor.trouble for worker in [*self._workers] if not worker.abandoned]
        return troubles[0] if troubles and all(troubles) else None

    def watch(self) -> list[AnyResult]:
        """Take what is before and behind calls that take long, and give up those whose time is up."""
        now = self._outcomes.running()
        reports: list[AnyResult] = []
        late: list[Task] = []
        with self._change:
            for worker in [*self._workers]:
                chunk = worker.chunk
                call = None if chunk is None or chunk.abandoned else chunk.call
                if chunk is None or call is None or now - call[1] < STALLED:
                    continue
                self.buffer.round_robin.put_back(chunk.rest())
                reports += chunk.collect()
                if now - call[1] >= self._outcomes.timeout:
                    reports += self._time_out(worker, chunk, call[0])
                    late.append(call[0])
            self._wake_one()
        note_late(late, self.abandoned, self._late_calls)
        return reports

    def _time_out(self, worker: PoolThread, chunk: ChunkInHand, task: Task) -> list[AnyResult]:
        """Give up the call for *task*: what it brings to an end. What does not end goes back into the line."""
        others = chunk.behind()
        self._abandon(chunk)
        worker.executor.kill()
        if len(self._workers) < self._concurrency + self._max_abandoned:
            self._spawn()
        if others and self._batch > 1:
            self.buffer.round_robin.put_each([*runs_of([task]), *others])
            return []
        self.buffer.round_robin.put_back(others)
        return [self._outcomes.timed_out(task)]

    def _abandon(self, chunk: ChunkInHand) -> None:
        chunk.abandoned = True
        self._chunks.discard(chunk)
        self._count()
        self.buffer.relief.notify_all()

    def _count(self) -> None:
        self.abandoned = sum(worker.abandoned for worker in self._workers)

    def _wake_one(self) -> None:
        """Have one idle thread look for work. It rouses the next if it leaves some, so that few hints make no crowd."""
        if self._idle and not self._woken:
            self._woken = True
            self._change.notify()

    def _spawn(self) -> None:
        worker = PoolThread(self._make_executor(self.buffer))
        self._workers.append(worker)
        self._alive += 1
        threading.Thread(target=self._run, args=(worker,), name="collator-processor", daemon=True).start()

    def _run(self, worker: PoolThread) -> None:
        """The life of a thread."""
        while self._is_ready(worker) and (chunk := self._next(worker)) is not None:
            self._finish(worker, chunk, *self._work(worker, chunk))
        worker.executor.close()
        with self._change:
            self._alive -= 1

    def _is_ready(self, worker: PoolThread) -> bool:
        """Wait until the executor of *worker* is ready; False where the thread is to end."""
        while not (left := self._retire(worker)) and not worker.executor.ready():
            if not self._stopped.is_set():
                log.warning("cannot start a processor thread", reason=worker.executor.trouble)
                self._stopped.wait(RESTART)
        return not left

    def _retire(self, worker: PoolThread) -> bool:
        """Let *worker* go if it is not needed any more; whether it has left."""
        with self._change:
            if self._may_stay():
                return False
            self._workers.remove(worker)
            return True

    def _work(self, worker: PoolThread, chunk: ChunkInHand) -> tuple[int, float]:
        try:
            return worker.executor.work(chunk)
        except Exception:  # a defect of ours: the lease ends, and the task is handed out again
            log.exception("a processor thread failed")
            return 0, 0.0

    def _finish(self, worker: PoolThread, chunk: ChunkInHand, calls: int, seconds: float) -> None:
        """*worker* is through with *chunk*, which had *calls* that took *seconds*."""
        with self._change:
            worker.chunk = None
            if chunk.abandoned:
                self._count()
                self._change.notify_all()  # perhaps nothing was begun because of this one
                return
            self.buffer.round_robin.put_back(chunk.rest())  # of what has become large, or takes long
            if calls:
                self.chunk_size = next_size(self.chunk_size, calls=calls, seconds=seconds, limit=self._window)
            self.result_queue.add(chunk.collect(), seconds / calls if calls else None)
            self._chunks.discard(chunk)

    def _next(self, worker: PoolThread) -> ChunkInHand | None:
        """The next chunk for *worker*, once there is one; `None`: it has left."""
        with self._change:
            while self._may_stay() and not self._may_take():
                self._idle += 1
                self._change.wait()
                self._idle -= 1
                self._woken = False
            if not self._may_stay():
                self._workers.remove(worker)
                return None
            chunk: ChunkInHand = worker.executor.chunk(self._take())
            worker.chunk = chunk
            self._chunks.add(chunk)
            if self.buffer.round_robin:
                self._wake_one()
            return chunk

    def _take(self) -> list[Run]:
        round_robin = self.buffer.round_robin
        if self._batch == 1:
            return round_robin.take(self.chunk_size)
        return round_robin.take(self.result_queue.unrecorded.batch(self._batch), size=BATCH_SIZE)

    def _finish_some(self, chunk: Chunk) -> None:
        """Lay down the results of *chunk*, which goes on; not before the ledger has enough of what lies there."""
        with self._change:
            self.result_queue.add(chunk.collect())
            chunk.pause()
            while self.result_queue.unrecorded.full() and not (chunk.abandoned or self._stopped.is_set()):
                self.buffer.relief.wait()
            chunk.resume(self._outcomes.running())

    def _go_on(self) -> None:
        """The ledger has taken results, for which no call was begun."""
        with self._change:
            self.buffer.relief.notify_all()
            self._wake_one()

    def _may_stay(self) -> bool:
        return not self._stopped.is_set() and len(self._workers) - self.abandoned <= self._concurrency

    def _may_take(self) -> bool:
        if not self.buffer or self.buffer.paused or self._blocked():
            return False
        return not self.result_queue.unrecorded.full()

    def _blocked(self) -> bool:
        return self.abandoned >= self._max_abandoned
