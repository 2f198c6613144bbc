"""Calls of the processor in spans of theirs; in this process the span is current while the user's code runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from collator.messages import Output, Result, Run, Task
from collator.processor import BatchFailed, Calls, EndedCall, Function, Requests
from collator.workers.chunks import Chunk
from collator.workers.run_chunk import RunChunk

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing
    from collator.workers.runner import ProcessorCall


def traced_attempt(tracing: Tracing, function: Function, chunk: RunChunk, run: Run, place: int) -> bytes | Result:
    """Call *function* for the packet at *place* of *run*, which is of *chunk*, in this thread."""
    task = run.task(place)
    with tracing.processing((task,)) as span:
        answer = function.attempt_at(run, place)
        result = Output(task.lease, answer) if isinstance(answer, bytes) else answer
        span.ended(*_told([result], late=chunk.abandoned))
    return answer


def traced_batch(
    tracing: Tracing, function: Function, chunk: Chunk, tasks: Sequence[Task]
) -> list[Result] | BatchFailed:
    """Call *function* once for all *tasks* of *chunk*, in this thread."""
    with tracing.processing(tasks) as span:
        results = function.attempt_all(tasks)
        span.ended(*_told(results, late=chunk.abandoned))
    return results


async def traced_call(
    tracing: Tracing, make_call: Calls | Requests, call: ProcessorCall
) -> EndedCall | list[Result] | BatchFailed:
    """Make *call*, on this event loop."""
    with tracing.processing(call.tasks, second=call.second) as span:
        ended = await make_call(call.tasks)
        span.ended(*_told([ended.result] if isinstance(ended, EndedCall) else ended, late=call.abandoned))
    return ended


def trace_child_call(
    tracing: Tracing, chunk: Chunk, tasks: Sequence[Task], results: Sequence[Result] | BatchFailed, now: float
) -> None:
    """Make the span of a call for *tasks* of *chunk* that a child process has made, and that has ended *now*."""
    call = chunk.call
    if call is not None and tasks:
        tracing.processed(tasks, now - call[1], *_told(results, late=chunk.abandoned))


def trace_answers(tracing: Tracing, tasks: Sequence[Task], results: Sequence[Result], seconds: float) -> None:
    """Make the spans of calls for *tasks* that a Celery worker has made, one for each, where there is a result for it.

    Their *seconds* are the mean of those that were answered together, and they end now.
    """
    by_lease = {result.lease: result for result in results}
    for task in tasks:
        if (result := by_lease.get(task.lease)) is not None:
            tracing.processed((task,), seconds, (result,))


def _told(results: Sequence[Result] | BatchFailed, *, late: bool) -> tuple[Sequence[Result], str]:
    """The *results* that a span tells of; why there are none, where they come too *late*, or a batch failed."""
    if late:
        return (), "it ended after it was given up"
    return ((), results.kind) if isinstance(results, BatchFailed) else (results, "")
