"""The executor of a thread of the pool. The one here calls a function in the thread itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from collator.messages import Run, tasks_of
from collator.processor import BatchFailed, Function
from collator.workers.chunks import Chunk
from collator.workers.run_chunk import RunChunk
from collator.workers.task_buffer import TaskBuffer
from collator.workers.traced_calls import traced_attempt, traced_batch

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing


ChunkInHand = Chunk | RunChunk
C = TypeVar("C", bound=ChunkInHand)


class Executor(Protocol[C]):
    """The executor of one thread. All but `kill` is called by it."""

    @property
    def killable(self) -> bool:
        """Whether `kill` can end a call."""
        ...

    @property
    def trouble(self) -> str | None:
        """The reason why it is not ready, in words."""
        ...

    def ready(self) -> bool:
        """Get ready for a chunk, however long that takes; whether it is."""
        ...

    def chunk(self, runs: Iterable[Run]) -> C:
        """*runs* as a chunk that it can go through."""
        ...

    def work(self, chunk: C) -> tuple[int, float]:
        """Go through *chunk*; the number of calls, and the seconds that they took."""
        ...

    def kill(self) -> None:
        """End the call, if that can be done. From any thread."""
        ...

    def close(self) -> None:
        """Close it, as it is not needed any more."""
        ...


class PoolThread:
    """A thread: its executor, and the chunk that it has."""

    __slots__ = ("chunk", "executor")

    def __init__(self, executor: Executor[Any]) -> None:
        self.executor = executor
        self.chunk: ChunkInHand | None = None

    @property
    def abandoned(self) -> bool:
        """Whether its call was given up and has not returned."""
        chunk = self.chunk
        return chunk is not None and chunk.abandoned


class ThreadExecutor:
    """Call a function in the thread itself. A call cannot be ended from outside."""

    killable: Final = False
    trouble: Final = None

    def __init__(self, function: Function, buffer: TaskBuffer, tracing: Tracing | None = None) -> None:
        """Tasks of a batch that failed go back into *buffer*; *tracing* makes a span of each call."""
        self._tracing = tracing
        self._function = function
        self._buffer = buffer
        self._now = function.outcomes.running

    def ready(self) -> bool:
        """Always."""
        return True

    def chunk(self, runs: Iterable[Run]) -> ChunkInHand:
        """Of runs, or of the tasks of a batch."""
        return RunChunk(runs) if self._function.batch == 1 else Chunk(deque(tasks_of(runs)))

    def work(self, chunk: ChunkInHand) -> tuple[int, float]:
        """Call one by one, or all at once where the function takes a batch."""
        if isinstance(chunk, Chunk):
            return self._work_batch(chunk)
        outcomes, attempt = self._function.outcomes, self._function.attempt_at
        if self._tracing is not None:
            attempt = partial(traced_attempt, self._tracing, self._function, chunk)
        return chunk.work(attempt, outcomes.clock.monotonic, outcomes.stood_still())

    def kill(self) -> None:
        """Nothing can be done."""

    def close(self) -> None:
        """Nothing is to be done."""

    def _work_batch(self, chunk: Chunk) -> tuple[int, float]:
        begun = self._now()
        with self._buffer.change:
            tasks = chunk.begin_all(begun)
        if self._tracing is None:
            results = self._function.attempt_all(tasks)
        else:
            results = traced_batch(self._tracing, self._function, chunk, tasks)
        now = self._now()
        with self._buffer.change:
            batch = chunk.recall()
            if isinstance(results, BatchFailed) and not chunk.abandoned:
                self._buffer.put_each(batch, results)
            elif not isinstance(results, BatchFailed) and not chunk.abandoned:
                chunk.done.extend(results)
        return 1, now - begun
