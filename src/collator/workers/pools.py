"""The choice of a pool for a processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from collator.processor import Function, Processor, SubprocessFunction
from collator.workers.executor import Executor, ThreadExecutor
from collator.workers.hedges import Hedges
from collator.workers.loops import Loops
from collator.workers.pool import WorkerPool
from collator.workers.processes import ProcessExecutor
from collator.workers.service_calls import CallJudge
from collator.workers.task_buffer import TaskBuffer
from collator.workers.threads import Threads

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing


def open_pool(
    processor: Processor,
    *,
    tell: Callable[[], None],
    judge: CallJudge | None = None,
    concurrency: int,
    max_abandoned: int,
    window: int,
    hedges: Hedges | None = None,
    tracing: Tracing | None = None,
) -> WorkerPool:
    """A pool for *processor*, which makes use of no more than *window* tasks; nothing is started yet.

    *tell* is called, in any thread, when there are results to collect; *judge* decides on calls to an HTTP service.
    *hedges* counts where a call can be cancelled: of coroutine functions and HTTP services. *tracing* makes a span
    of each call.
    """
    if not isinstance(processor, Function | SubprocessFunction):
        return Loops(
            processor,
            tell=tell,
            judge=judge,
            concurrency=concurrency,
            max_abandoned=max_abandoned,
            window=window,
            hedges=hedges,
            tracing=tracing,
        )

    def executor(buffer: TaskBuffer) -> Executor[Any]:
        if isinstance(processor, Function):
            return ThreadExecutor(processor, buffer, tracing)
        return ProcessExecutor(processor, buffer, tracing)

    return Threads(
        executor,
        processor.outcomes,
        tell=tell,
        concurrency=concurrency,
        max_abandoned=max_abandoned,
        window=window,
        batch=processor.batch,
    )
