"""The executor of a thread of the pool. The one here calls a function in the thread itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from collator.processor import BatchFailed, Function
from collator.workers.chunks import Chunk
from collator.workers.task_buffer import TaskBuffer
from collator.workers.traced_calls import traced_attempt, traced_batch

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing


class Executor(Protocol):
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

    def work(self, chunk: Chunk) -> tuple[int, float]:
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

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.chunk: Chunk | None = None

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

    def work(self, chunk: Chunk) -> tuple[int, float]:
        """Call one by one, or all at once where the function takes a batch."""
        if self._function.batch == 1:
            attempt = self._function.attempt
            if self._tracing is not None:
                attempt = partial(traced_attempt, self._tracing, self._function, chunk)
            return chunk.work(attempt, self._now)
        tasks, begun = chunk.rest(), self._now()
        with self._buffer.change:
            chunk.begin(tasks, begun)
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

    def kill(self) -> None:
        """Nothing can be done."""

    def close(self) -> None:
        """Nothing is to be done."""
