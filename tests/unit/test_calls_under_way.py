"""Calls under way, with second ones beside them, in a time that the test makes: every task has one result."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from collator.messages import Failure, Key, Lease, Output, Task, runs_of
from collator.processor import Coroutine
from collator.workers.calls_under_way import CallsUnderWay
from collator.workers.hedges import FIRST_CALLS, Hedges
from collator.workers.result_bytes import ResultBytes
from collator.workers.runner import ProcessorCall, Runner
from collator.workers.task_buffer import TaskBuffer

PLACES, EARNED = 3, 2 * FIRST_CALLS
"""Calls at a time, and first calls that were there before."""


class CallsMachine(RuleBasedStateMachine):
    """Tasks come, are called for, once or twice, and end in any order and in any way."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.buffer = TaskBuffer()
        self.notes: list[bool] = []
        self.hedges = Hedges(0.5, note=self.notes.append)
        for _ in range(EARNED):
            self.hedges.add(1.0)
            self.hedges.begin_first()
        self.calls = CallsUnderWay(
            self.buffer, ResultBytes(), batch=1, now=lambda: self.now, service=None, hedges=self.hedges
        )
        self.runner = Runner(Coroutine(_never), turning=lambda _runner: None)
        self.calls.runners.append(self.runner)
        self.put = self.first = self.second = 0
        self.results: Counter[int] = Counter()
        self.given_up: Counter[int] = Counter()

    @rule(count=st.integers(1, 4))
    def come(self, count: int) -> None:
        tasks = [Task(Key("r", b"g" * 16, self.put + n), b"1", 1, Lease(0, self.put + n)) for n in range(count)]
        self.put += count
        self.buffer.put(runs_of(tasks))

    @precondition(lambda self: self.calls.may_begin() and len(self.runner.calls) < PLACES)
    @rule()
    def begin(self) -> None:
        waiting = len(self.buffer)
        call = self.calls.begin(self.runner)
        self.first, self.second = self.first + (not call.second), self.second + call.second
        assert len(self.buffer) == waiting - (not call.second)
        if call.second:
            assert call.other is not None
            assert call.tasks is call.other.tasks
            assert self.now - call.other.since > 1.0

    def pick(self, number: int) -> ProcessorCall:
        return [*self.runner.calls][number % len(self.runner.calls)]

    @precondition(lambda self: self.runner.calls)
    @rule(number=st.integers(0, 9), fine=st.booleans())
    def end(self, number: int, fine: bool) -> None:
        call = self.pick(number)
        task, other = call.tasks[0], call.other
        result: Any = Output(task.lease, b"1") if fine else Failure(task.lease, "why")
        results = cast("list[Any]", self.calls.end(call, [result]))
        assert results == ([] if other is not None and not fine else [result])
        self.calls.remove(call)
        assert other is None or other.abandoned == fine
        self.results.update(one.lease.token for one in results)

    @precondition(lambda self: self.runner.calls)
    @rule(number=st.integers(0, 9))
    def run_out_of_time(self, number: int) -> None:
        call = self.pick(number)
        other, alone = call.other, self.calls.cancel([call])
        assert alone == ([] if other is not None else [call])
        self.results.update(one.tasks[0].lease.token for one in alone)

    @precondition(lambda self: self.runner.calls)
    @rule()
    def drain(self) -> None:
        tasks = self.calls.unfinished()
        self.calls.cancel([*self.runner.calls])
        self.given_up.update(task.lease.token for task in tasks)

    @rule(seconds=st.sampled_from([0.1, 0.9, 2.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def every_task_is_in_one_place(self) -> None:
        places = [one.lease.token for one in [*self.buffer.runs(), *runs_of(self.calls.unfinished())]]
        assert sorted([*places, *self.results.elements(), *self.given_up.elements()]) == [*range(self.put)]
        assert self.calls.tasks == len(self.calls.unfinished())

    @invariant()
    def there_are_two_calls_for_a_task_at_most(self) -> None:
        calls = Counter(call.tasks[0].lease.token for call in self.runner.calls)
        assert max(calls.values(), default=0) <= 2
        assert all(call.other is None or call.other.other is call for call in self.runner.calls)

    @invariant()
    def second_calls_keep_to_their_budget(self) -> None:
        assert self.second * FIRST_CALLS <= self.first + EARNED
        assert self.second == len(self.notes) + sum(call.second for call in self.runner.calls)


async def _never(_payload: object) -> None:
    """Be a coroutine function."""


CallsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestCallsMachine = CallsMachine.TestCase
