"""The executor of a thread that has its calls made by a process: one that can be killed, and that may die.

Theory. The process does its jobs in order, so what it has not answered is known to the last task: the first of it was
in the call that killed the process, and what is behind that was not begun and goes to others. It is sent as much as
keeps it busy and no more, so that large jobs do not wait in a pipe behind each other. The process is replaced before
the next chunk is taken, so no task waits for a start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from collator.errors import ProcessorFailed
from collator.messages import Result, Run, Task, output_size, runs_of, tasks_of
from collator.processor import BatchFailed, ChildProcess, SubprocessFunction
from collator.processor.subprocess import weight
from collator.processor.wire import BatchFailedReply, ChildReply, Garbled, JobsReturned, result_of
from collator.workers.chunks import Chunk
from collator.workers.result_bytes import PORTION
from collator.workers.task_buffer import TaskBuffer
from collator.workers.traced_calls import trace_child_call

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing

AHEAD = 64 * 1024
"""Bytes of jobs that a process has before it; one that is larger has nothing behind it."""
SLOW_START = 10.0
"""Seconds after which a process that is not ready is told of: what it waits for may never come."""

log = structlog.get_logger("collator.workers")


class ProcessExecutor:
    """Have a function called by a process."""

    killable: Final = True

    def __init__(self, isolated: SubprocessFunction, buffer: TaskBuffer, tracing: Tracing | None = None) -> None:
        """Tasks that the process did not begin, or that failed together, go back into *buffer*.

        *tracing* makes a span of each call.
        """
        self._tracing = tracing
        self._trouble: str | None = None
        self._starting: float | None = None  # since when, monotonic seconds
        self._isolated = isolated
        self._buffer = buffer
        self._child: ChildProcess | None = None
        self._now = isolated.outcomes.running

    @property
    def trouble(self) -> str | None:
        """The reason why there is no process, in words."""
        since = self._starting
        if since is None or (seconds := self._now() - since) < SLOW_START:
            return self._trouble
        return f"a processor process is not ready after {seconds:.0f} s; it still imports its module"

    def ready(self) -> bool:
        """Start a process where there is none."""
        if self._child is not None and not self._child.alive():
            log.warning("an idle processor process has ended", reason=self._child.end())
            self._child = None
        return self._child is not None or self._start()

    def chunk(self, runs: Iterable[Run]) -> Chunk:
        """Of tasks, which are sent."""
        return Chunk(deque(tasks_of(runs)))

    def work(self, chunk: Chunk) -> tuple[int, float]:
        """Send it what there is, by and by, and take the answers."""
        child, calls, begun = self._child, 0, self._now()
        if child is None:
            self._buffer.put_back(chunk.rest())
            return 0, 0.0
        size = 0
        while self._send(child, chunk):
            if size >= PORTION:  # what the process says meanwhile waits in it, as nobody reads
                self._buffer.finish(chunk)
                size = 0
            received, garbled = self._receive(child)
            if received is None:
                self._fail_chunk(child, chunk, garbled)
                break
            tasks, results = received[0], self._results(*received)
            if self._tracing is not None and results is not None:  # not under the lock: an exporter may be slow
                trace_child_call(self._tracing, chunk, tasks, results, self._now())
            with self._buffer.change:
                size += self._take(tasks, results, chunk)
            calls += 1
        if chunk.abandoned:
            self.close()  # it was killed, or will be, and must not be taken for one that can work
        return calls, self._now() - begun

    def kill(self) -> None:
        """End the process."""
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        """Let the process end."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _start(self) -> bool:
        self._starting = self._now()
        try:
            self._child = self._isolated.start()
            self._child.ready()
        except (OSError, ProcessorFailed) as error:
            self.close()
            self._trouble = f"cannot start a processor process: {error}"
            return False
        finally:
            self._starting = None
        self._trouble = None
        return True

    def _send(self, child: ChildProcess, chunk: Chunk) -> bool:
        """Send more of *chunk*, if there is too little ahead of *child*; whether any of it is under way."""
        jobs: list[list[Task]] = []
        size = child.ahead
        with self._buffer.change:
            while chunk.todo and not chunk.abandoned and (size == 0 or child.ahead < AHEAD / 2) and size < AHEAD:
                job = [chunk.todo.popleft() for _ in range(min(self._isolated.batch, len(chunk.todo)))]
                chunk.begin(job, self._now())
                size += weight(job)
                jobs.append(job)
        if jobs:
            child.send(jobs)
        return chunk.call is not None

    def _receive(self, child: ChildProcess) -> tuple[tuple[Sequence[Task], ChildReply] | None, str]:
        """The next reply of *child*, if any; and the reason why it was killed, where the reply was garbled."""
        try:
            return child.receive(), ""
        except Garbled as error:
            child.kill()
            return None, error.detail

    def _results(self, tasks: Sequence[Task], reply: ChildReply) -> list[Result] | BatchFailed | None:
        """The results of the call for *tasks* that *reply* tells of; `None` where none was made."""
        if isinstance(reply, JobsReturned):
            return None
        if isinstance(reply, BatchFailedReply):
            return reply.failed
        now = self._now()
        return [result_of(answer, task.lease, now) for task, answer in zip(tasks, reply.answers, strict=True)]

    def _take(self, tasks: Sequence[Task], results: list[Result] | BatchFailed | None, chunk: Chunk) -> int:
        """Enter the *results* of *tasks*, or let these wait again; the bytes of the results.

        Whoever has given up *chunk* has taken what was left of it.
        """
        if chunk.abandoned:
            chunk.recall()
        elif results is None:
            self._buffer.put_back(runs_of(chunk.recall(tasks)))
        elif isinstance(results, BatchFailed):
            self._buffer.put_each(chunk.recall(), results)
        else:
            chunk.answer(results, self._now())
            return output_size(results)
        return 0

    def _fail_chunk(self, child: ChildProcess, chunk: Chunk, garbled: str) -> None:
        """The process has ended within a call, or was killed, as what it said was *garbled*."""
        under_way, ended = child.under_way, child.end()
        reason = garbled or ended
        self._child = None
        if self._tracing is not None:
            trace_child_call(self._tracing, chunk, under_way, BatchFailed(reason), self._now())
        with self._buffer.change:
            task, *others = chunk.recall()
            if chunk.abandoned:
                return  # it was killed, as nobody waits for it any more
            if self._isolated.batch > 1 and others:
                self._buffer.put_each([task, *others], BatchFailed(reason))
            else:
                chunk.done.append(self._isolated.outcomes.failed(task, ProcessorFailed(reason)))
                self._buffer.put_back(runs_of(others))
