"""The choice of a pool for a processor."""

from __future__ import annotations

from collections.abc import Callable

from collator.engines.sqlite.workers.executor import Executor, ThreadExecutor
from collator.engines.sqlite.workers.loops import Loops
from collator.engines.sqlite.workers.pool import Pool
from collator.engines.sqlite.workers.processes import ProcessExecutor
from collator.engines.sqlite.workers.task_buffer import TaskBuffer
from collator.engines.sqlite.workers.threads import Threads
from collator.processor import Function, Processor, SubprocessFunction


def open_pool(
    processor: Processor, *, tell: Callable[[], None], concurrency: int, max_abandoned: int, window: int
) -> Pool:
    """A pool for *processor*, which takes no more than *window* tasks in one go; nothing is started yet.

    *tell* is called, in any thread, when there are results to collect.
    """
    if not isinstance(processor, Function | SubprocessFunction):
        return Loops(processor, tell=tell, concurrency=concurrency, max_abandoned=max_abandoned, max_chunk=window)

    def executor(buffer: TaskBuffer) -> Executor:
        return (
            ThreadExecutor(processor, buffer) if isinstance(processor, Function) else ProcessExecutor(processor, buffer)
        )

    return Threads(
        executor,
        processor.outcomes,
        tell=tell,
        concurrency=concurrency,
        max_abandoned=max_abandoned,
        max_chunk=window,
        batch=processor.batch,
    )
