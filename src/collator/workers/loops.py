"""The pool on an event loop: calls under way side by side, and what becomes of one that does not end.

Lives here: which calls are under way, on which loop. Does not live here: how a call is made. The loop is not that of
the service, but one of its own in a thread of its own: a coroutine that blocks it delays no packet, no webhook and no
page, and a storm of answers from an HTTP service is read and judged beside the service's loop, not on it.

Theory. A call that outlasts its time is cancelled, and given up: whether it ends is up to its coroutine. A loop that
does not turn cannot cancel anything. So that is noticed, and said; what waits goes to another loop, and what was under
way stays, as most blocks pass and it may have been paid for. When a call's time is up and the loop still stands, the
loop is given up: the call that it is in has failed, and the others, which could not move, are made anew. Whatever was
given up and has not ended is counted, and from `max_abandoned` on nothing is begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from collator.errors import ProcessorFailed
from collator.messages import AnyResult, Result, Run, Task, WorkerReport, given_back, runs_of
from collator.processor import BatchFailed, Coroutine, HttpService
from collator.throttle import Throttle
from collator.workers.calls_under_way import CallsUnderWay
from collator.workers.chunks import next_size
from collator.workers.hedges import Hedges
from collator.workers.pool import blocked_words, note_late
from collator.workers.result_queue import ResultQueue
from collator.workers.runner import ProcessorCall, Runner
from collator.workers.service_calls import CallJudge
from collator.workers.task_buffer import TaskBuffer
from collator.workers.traced_calls import traced_call

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing

FROZEN = 1.0
"""Seconds after which a loop that does not answer is blocked; half the timeout of a call where that is less."""

LATE = 1.0
"""Seconds beyond its time after which a request is given up: it keeps its time itself, and knows what it waited for."""
AT_ONCE = 32
"""Calls that are begun before the loop turns: those that end in one step have ended behind it."""


class Loops:
    """Up to *concurrency* calls on a loop, and up to *max_abandoned* calls and loops that were given up."""

    def __init__(
        self,
        processor: Coroutine | HttpService,
        *,
        tell: Callable[[], None],
        concurrency: int,
        max_abandoned: int,
        window: int,
        judge: CallJudge | None = None,
        hedges: Hedges | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """*tell* as in `ResultQueue`; *window* tasks at most. *judge* decides on calls to an HTTP service.

        *hedges* decides when a second call is made; none is where a function takes a batch. *tracing* makes a span of
        each call.
        """
        self.buffer = TaskBuffer(batch=processor.batch)
        self.buffer.wake_one = self._wake_one
        self.result_queue = ResultQueue(tell)
        self.chunk_size = 1
        self._processor, self._tracing = processor, tracing
        self._outcomes = processor.outcomes
        self._time = self._outcomes.timeout
        self._service = judge
        if isinstance(processor, HttpService):
            self._time += LATE
        self._concurrency = concurrency
        self._max_abandoned = max_abandoned
        self._window = window
        self._alive = 0  # threads
        self._lost = 0  # loops that were given up and have not ended
        self._stopped = False
        self._now = self._outcomes.running
        self._calls = CallsUnderWay(
            self.buffer,
            self.result_queue.unrecorded,
            batch=processor.batch,
            now=self._now,
            service=self._service,
            hedges=hedges if processor.batch == 1 else None,
        )
        self._runners = self._calls.runners
        self._change = self.buffer.change
        self._late_calls = Throttle()
        self.result_queue.unrecorded.relieved = self._go_on

    @property
    def abandoned(self) -> int:
        """The number of calls and loops that were given up and have not ended."""
        return self._calls.late + self._lost

    def start(self) -> None:
        """Start a loop."""
        with self._change:
            self._see_to_one()

    def stop(self) -> None:
        """Let every loop come to its end."""
        with self._change:
            self._stopped = True
            self.give_up()
            for runner in self._runners:
                runner.end()

    def ended(self) -> bool:
        """Return whether every loop has ended but those that are blocked, which cannot be ended."""
        return self._alive == self._lost

    def give_up(self) -> list[Run]:
        """Wait for nobody any more."""
        unfinished = self.unfinished()
        with self._change:
            for runner in self._runners:
                self._calls.cancel([*runner.calls])
        return unfinished

    def unfinished(self) -> list[Run]:
        """The packets of all calls under way."""
        with self._change:
            return runs_of(self._calls.unfinished())

    def in_hand(self) -> int:
        """The number of tasks under way and of results in the result queue."""
        # In this order: what moves meanwhile is counted twice, and not passed over.
        return self._calls.tasks + self.result_queue.packets

    def width(self) -> int:
        """Twice what is under way, within the window; more where calls take less than a look into the store."""
        if self._blocked():
            return 0
        calls = self._concurrency if self._service is None else self._service.limit
        return min(self._window, 2 * calls * max(self.chunk_size, self._processor.batch))

    def recorded(self, reports: Sequence[AnyResult]) -> None:
        """Nothing is to be done."""

    def reports(self) -> Sequence[WorkerReport]:
        """None are elsewhere."""
        return ()

    def health(self) -> str | None:
        """The reason why nothing is begun or gets through, in words; `None` while all is well."""
        if self._blocked():
            return blocked_words(self.abandoned, self._outcomes.timeout)
        return None if self._service is None else self._service.health(self._now())

    def watch(self) -> list[Result]:
        """Give up the calls whose time is up, and see whether the loops turn."""
        now = self._now()
        results: list[Result] = []
        late: list[Task] = []
        with self._change:
            for runner in [*self._runners]:
                silent = runner.ask(now, self._answered)
                calls = [*takewhile(lambda call: now - call.since >= self._time, runner.calls)]
                if silent < min(FROZEN, self._outcomes.timeout / 2):
                    calls = self._calls.cancel(calls)
                else:
                    self._note_frozen(runner, silent)
                    calls = self._lose(runner, calls) if calls else []
                results += [result for call in calls for result in self._time_out(call, blocked=runner.given_up)]
                late += [call.tasks[0] for call in calls]
            self._wake_one()
        note_late(late, self.abandoned, self._late_calls)
        return results

    def _time_out(self, call: ProcessorCall, *, blocked: bool) -> list[Result]:
        """Time *call* out: its result; the tasks of a batch are tried one by one instead."""
        if len(call.tasks) > 1:
            self.buffer.round_robin.put_each(runs_of(call.tasks))
            return []
        return [self._outcomes.timed_out(call.tasks[0], why="the event loop was blocked" if blocked else "")]

    def _note_frozen(self, runner: Runner, silent: float) -> None:
        """*runner* has not answered for *silent* seconds: say so, once, and let another take its place."""
        if not runner.frozen:
            runner.frozen = True
            runner.note_frozen(silent)
            self._see_to_one()

    def _lose(self, runner: Runner, late: list[ProcessorCall]) -> list[ProcessorCall]:
        """Give up *runner*, which does not turn, as the time of *late* is up; whose fault it is."""
        guilty = [culprit] if (culprit := runner.culprit()) else late
        self._runners.remove(runner)
        self._lost += 1
        runner.given_up = True
        runner.end()
        alone = [call for call in [*runner.calls] if self._calls.remove(call)]
        for call in alone:
            self.buffer.round_robin.put(runs_of(call.tasks if call not in guilty else ()))
        self._see_to_one()
        return [call for call in alone if call in guilty]

    def _see_to_one(self) -> None:
        """See that there is a loop that turns, as far as there may be another."""
        turning = any(not (runner.frozen or runner.left_behind) for runner in self._runners)
        if not turning and not self._stopped and len(self._runners) + self._lost <= self._max_abandoned:
            self._spawn()

    def _spawn(self) -> None:
        for runner in self._runners:
            runner.left_behind = True
        runner = Runner(self._processor, turning=self._fill)
        self._runners.append(runner)
        self._alive += 1
        runner.start(self._change, self._gone)

    def _gone(self, runner: Runner) -> None:
        """*runner* has come to its end. On its thread, as what follows is."""
        with self._change:
            self._alive -= 1
            if runner.given_up:
                self._lost -= 1
            else:
                self._runners.remove(runner)
            stopped = ProcessorFailed("the event loop was stopped")  # by the user's code
            alone = [call for call in [*runner.calls] if self._calls.remove(call)]
            self.result_queue.add([self._outcomes.failed(task, stopped) for call in alone for task in call.tasks])
            self._see_to_one()
            self._wake_one()

    def _answered(self, runner: Runner) -> None:
        with self._change:
            runner.asked_at, runner.frozen = None, False
            runner.end_if_idle()

    def _fill(self, runner: Runner) -> None:
        """Begin as many calls as there is room for, and behind them look again, as some may have ended already."""
        begun: list[ProcessorCall] = []
        with self._change:
            runner.roused = False
            while self._may_take(runner) and len(begun) < AT_ONCE:
                begun.append(self._calls.begin(runner))
        for call in begun:
            call.running = asyncio.get_running_loop().create_task(self._attend(runner, call))
        if len(begun) == AT_ONCE:
            asyncio.get_running_loop().call_soon(self._fill, runner)

    async def _attend(self, runner: Runner, call: ProcessorCall) -> None:
        if self._tracing is None:
            results = await runner.make_call(call.tasks)
        else:
            results = await traced_call(self._tracing, runner.make_call, call)
        with self._change:
            self._calls.late -= call.late
            if not call.abandoned:
                self._finish(call, self._calls.end(call, results))
                self._calls.remove(call)  # behind its results: see `in_hand`
            runner.end_if_idle()
        self._fill(runner)

    def _finish(self, call: ProcessorCall, results: list[Result] | BatchFailed) -> None:
        if not results:  # another call for the same task decides
            return
        seconds = self._now() - call.since
        if not (isinstance(results, list) and given_back(results[0])):  # else it says nothing of the work
            self.chunk_size = next_size(self.chunk_size, calls=1, seconds=seconds, limit=self._window)
        if isinstance(results, BatchFailed):
            self.buffer.put_each(call.tasks, results)
            results = []
        self.result_queue.add(results, seconds)

    def _wake_one(self) -> None:
        """Have a loop look for tasks."""
        for runner in self._runners:
            if self._may_take(runner) and not runner.roused and runner.loop is not None:
                runner.roused = True
                runner.loop.call_soon_threadsafe(self._fill, runner)

    def _may_take(self, runner: Runner) -> bool:
        if self._stopped or self._blocked() or not self._calls.may_begin():
            return False
        busy = sum([1 if other.frozen else len(other.calls) for other in self._runners])
        return runner.takes_calls() and busy < self._concurrency

    def _blocked(self) -> bool:
        return self.abandoned >= self._max_abandoned

    def _go_on(self) -> None:
        """The ledger has taken results, for which no call was begun."""
        with self._change:
            self._wake_one()
