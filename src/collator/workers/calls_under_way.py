"""The calls under way on event loops: which begins next, which are two for one task, and what the end of one gives.

Everything is called with the guard of the pool held, or before there are others.

Where calls are hedged (`hedges`), a task may have two at a time: the same attempt, with the same payload and the same
idempotency key. The first *output* counts, and the other call is cancelled. While both are under way, an end without an
output counts for nothing; the last end that is left does. A second call takes a place as any other does, and goes
before what waits: it is for a packet that was taken earlier. None is begun while the service takes no packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile

from collator.messages import Output, Result, Task, tasks_of
from collator.processor import BatchFailed, EndedCall
from collator.workers.hedges import Hedges
from collator.workers.result_bytes import ResultBytes
from collator.workers.round_robin import BATCH_SIZE
from collator.workers.runner import ProcessorCall, Runner
from collator.workers.service_calls import CallJudge
from collator.workers.task_buffer import TaskBuffer


class CallsUnderWay:
    """The calls of one pool."""

    def __init__(
        self,
        buffer: TaskBuffer,
        unrecorded: ResultBytes,
        *,
        batch: int,
        now: Callable[[], float],
        service: CallJudge | None,
        hedges: Hedges | None,
    ) -> None:
        """Tasks are taken from *buffer*, up to *batch* for a call; *service* and *hedges* where there are such."""
        self.tasks = 0
        """How many tasks are under way."""
        self.late = 0
        """Calls that were given up and have not ended."""
        self.runners: list[Runner] = []
        """The loops that they are on."""
        self._buffer = buffer
        self._unrecorded = unrecorded
        self._batch = batch
        self._now = now
        self._service = service
        self._hedges = hedges

    def unfinished(self) -> list[Task]:
        """The tasks under way."""
        return [task for runner in self.runners for call in runner.calls if call.counts() for task in call.tasks]

    def may_begin(self) -> bool:
        """Return whether there is something to call for, and who takes it."""
        if not (self._buffer or self._slow()) or self._buffer.paused or self._unrecorded.full(self.tasks):
            return False
        return self._service is None or self._service.may_begin(self._now())

    def begin(self, runner: Runner) -> ProcessorCall:
        """Begin the next call, on *runner*."""
        slow = self._slow()
        if slow is not None and self._hedges is not None:
            call = ProcessorCall(slow.tasks, self._now(), runner)
            call.hedge(slow)
            self._hedges.begin_second()
        else:
            runs = self._buffer.round_robin.take(self._unrecorded.batch(self._batch), size=BATCH_SIZE)
            tasks = tasks_of(runs)
            call = ProcessorCall(tasks, self._now(), runner)
            self.tasks += len(tasks)
            if self._hedges is not None:
                self._hedges.begin_first()
        call.ticket = None if self._service is None else self._service.begin()
        runner.calls[call] = None
        return call

    def end(self, call: ProcessorCall, ended: EndedCall | list[Result] | BatchFailed) -> list[Result] | BatchFailed:
        """*call* has *ended*, and is to be removed once its results are laid down; none where another is to decide."""
        results, other = self._results(call, ended), call.other
        if not (isinstance(results, list) and results and type(results[0]) is Output):
            return results if other is None else []
        call.won = call.second
        if self._hedges is not None:
            first = other if other is not None and call.second else call
            self._hedges.add(self._now() - first.since)
        self.cancel([other] if other is not None else ())
        return results

    def cancel(self, calls: Iterable[ProcessorCall]) -> list[ProcessorCall]:
        """Give *calls* up; those whose tasks now have none."""
        alone: list[ProcessorCall] = []
        for call in calls:
            call.late = True
            self.late += 1
            call.runner.cancel(call)
            if self.remove(call):
                alone.append(call)
        return alone

    def remove(self, call: ProcessorCall) -> bool:
        """*call* is under way no more; whether its tasks now have none."""
        call.abandoned = True
        del call.runner.calls[call]
        if self._service is not None and call.ticket is not None:
            self._service.give_up(call.ticket, self._now())
        if call.second and self._hedges is not None:
            self._hedges.note(call.won)
        other, call.other = call.other, None
        if other is not None:
            other.other = None
            return False
        self.tasks -= len(call.tasks)
        return True

    def _results(
        self, call: ProcessorCall, ended: EndedCall | list[Result] | BatchFailed
    ) -> list[Result] | BatchFailed:
        """Hear what a service says by *ended*: of itself always, of the packet where *call* decides."""
        if not isinstance(ended, EndedCall):
            return ended
        ticket, call.ticket = call.ticket, None
        if self._service is None or ticket is None:
            return [ended.result]
        self._service.hear(ticket, ended, self._now())
        decides = call.other is None or type(ended.result) is Output
        return [self._service.judge(call.tasks[0], ended, self._now())] if decides else []

    def _slow(self) -> ProcessorCall | None:
        """The call that is to be made once more: the one that takes longest."""
        if self._hedges is None or (self._service is not None and self._service.troubled):
            return None
        now, after = self._now(), self._hedges.after()
        slow = (
            call
            for runner in self.runners
            for call in takewhile(lambda call: now - call.since > after, runner.calls)
            if not (call.hedged or call.second)
        )
        return min(slow, key=lambda call: call.since, default=None)
