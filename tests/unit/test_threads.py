"""The threads by themselves: who begins what, without anybody who looks after them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count

import pytest
from structlog.testing import capture_logs

from collator.messages import Key, Lease, Output, Result, Retry, Run, Task, results_of, runs_of, tasks_of
from collator.processor import BatchFailed, Function, OutcomeFactory
from collator.testing import ManualClock
from collator.workers.chunks import Chunk
from collator.workers.executor import ThreadExecutor
from collator.workers.task_buffer import TaskBuffer
from collator.workers.threads import STALLED, Threads
from tests.wait import until_sync

A_WHILE = 0.2
"""Seconds in which what must not happen would have happened."""


class Crew:
    """Threads whose calls all wait for a gate, and the results that they reported."""

    def __init__(self, *, concurrency: int, max_abandoned: int = 1) -> None:
        self.clock = ManualClock()
        self.begun: list[object] = []
        self.gate = threading.Event()
        self.results: list[Result] = []
        self._leases = count(1)
        self.stood_still = 0.0
        outcomes = OutcomeFactory(clock=self.clock, stood_still=lambda: self.stood_still)
        self.threads = Threads(
            lambda line: ThreadExecutor(Function(self._call, outcomes), line),
            outcomes,
            tell=self._collect,
            concurrency=concurrency,
            max_abandoned=max_abandoned,
            window=10,
        )
        self.threads.start()

    def put(self, *payloads: str) -> None:
        self.threads.buffer.put(
            runs_of(
                Task(Key("a", b"g" * 16, 0), f'"{payload}"'.encode(), 1, Lease(0, next(self._leases)))
                for payload in payloads
            )
        )

    def put_run(self, *payloads: str) -> None:
        """Let *payloads* of one run wait."""
        encoded = [f'"{payload}"'.encode() for payload in payloads]
        number = len(payloads)
        self.threads.buffer.put([Run("r", b"g" * 16, Lease(0, 0), [*range(number)], encoded, [1] * number)])

    def never(self, condition: Callable[[], object]) -> bool:
        with pytest.raises(AssertionError):
            until_sync(condition, timeout=A_WHILE)
        return True

    def _call(self, payload: object) -> None:
        self.begun.append(payload)
        assert self.gate.wait(10.0)

    def _collect(self) -> None:
        self.results += results_of(self.threads.result_queue.collect().reports)


@pytest.fixture
def crew(request: pytest.FixtureRequest) -> Iterable[Crew]:
    crew = Crew(**request.param)
    yield crew
    crew.gate.set()
    crew.threads.stop()


@pytest.mark.parametrize("crew", [{"concurrency": 4}], indirect=True)
def test_one_hint_wakes_as_many_threads_as_there_is_work_for(crew: Crew) -> None:
    crew.put("a", "b", "c")
    until_sync(lambda: sorted(map(str, crew.begun)) == ["a", "b", "c"])
    assert (len(crew.threads.buffer), crew.threads.in_hand()) == (0, 3)


@pytest.mark.parametrize("crew", [{"concurrency": 2}], indirect=True)
def test_what_is_in_hand_counts_until_it_is_collected(crew: Crew) -> None:
    crew.put("a", "b", "c")
    until_sync(lambda: len(crew.begun) == 2)
    assert (len(crew.threads.buffer), crew.threads.in_hand(), len(crew.threads.unfinished())) == (1, 2, 2)
    crew.gate.set()
    until_sync(lambda: crew.threads.in_hand() == 0)
    assert sorted(result.lease.token for result in crew.results) == [1, 2, 3]


@pytest.mark.parametrize("crew", [{"concurrency": 1}], indirect=True)
def test_nothing_is_begun_in_a_pause(crew: Crew) -> None:
    crew.threads.buffer.pause()
    crew.put("a")
    assert crew.never(lambda: crew.begun)
    assert [task.lease.token for task in crew.threads.buffer.take_back()] == [1]


@pytest.mark.parametrize("crew", [{"concurrency": 1}], indirect=True)
def test_nothing_is_begun_while_too_many_calls_are_given_up_and_it_goes_on_when_one_returns(crew: Crew) -> None:
    crew.put("a")
    until_sync(lambda: crew.begun)
    crew.clock.advance(60.0)
    assert [result.lease.token for result in crew.threads.watch()] == [1]
    assert crew.threads.width() == 0
    crew.put("b")
    assert crew.never(lambda: len(crew.begun) == 2)
    crew.gate.set()
    until_sync(lambda: crew.begun == ["a", "b"])
    until_sync(lambda: [result.lease.token for result in crew.results] == [2])
    assert crew.threads.width() > 0


@pytest.mark.parametrize("crew", [{"concurrency": 1}], indirect=True)
def test_what_a_process_has_behind_a_call_that_is_out_of_time_waits_again(crew: Crew) -> None:
    crew.threads.chunk_size = 3
    crew.put("a", "b", "c")
    until_sync(lambda: crew.begun)
    (worker,) = crew.threads._workers
    assert worker.chunk is not None
    chunk = worker.chunk = Chunk(deque(tasks_of([*worker.chunk.unfinished(), *crew.threads.buffer.take_back()])))
    crew.threads._chunks = {chunk}
    chunk.begin_all(crew.clock.monotonic())  # as a process does that is stopped, and says nothing any more
    crew.clock.advance(60.0)
    assert [result.lease.token for result in crew.threads.watch()] == [1]
    assert [task.lease.token for task in crew.threads.buffer.take_back()] == [2, 3]


@pytest.mark.parametrize("crew", [{"concurrency": 1}], indirect=True)
def test_the_time_of_a_call_does_not_run_while_the_process_stands_still(crew: Crew) -> None:
    crew.put("a")
    until_sync(lambda: crew.begun)
    crew.clock.advance(59.0)
    crew.stood_still += 3600.0
    crew.clock.advance(3600.0)
    assert not crew.threads.watch()
    crew.clock.advance(1.0)
    assert [result.lease.token for result in crew.threads.watch()] == [1]


@pytest.mark.parametrize("crew", [{"concurrency": 2, "max_abandoned": 2}], indirect=True)
def test_every_thread_ends_after_a_stop(crew: Crew) -> None:
    crew.put("a")
    until_sync(lambda: crew.begun)
    crew.threads.stop()
    crew.gate.set()
    until_sync(lambda: crew.threads._workers == [])


@pytest.mark.parametrize("raised", [None, ValueError()])
def test_p2_a_batch_that_was_given_up_brings_nothing_and_is_not_called_again(raised: Exception | None) -> None:
    """Whoever gave it up has let others have its tasks."""
    tasks = [Task(Key("a", b"g" * 16, index), b"1", 1, Lease(0, index)) for index in range(3)]
    chunk, buffer = Chunk(deque(tasks)), TaskBuffer(batch=3)

    def function(payloads: list[object]) -> list[object]:
        chunk.abandoned = True
        if raised:
            raise raised
        return payloads

    ThreadExecutor(Function(function, OutcomeFactory(), batch=3), buffer).work(chunk)
    assert (chunk.collect(), buffer.take_back()) == ([], [])


def test_the_traceback_of_a_batch_is_told_even_where_another_batch_was_told_first() -> None:
    """It is given once an hour, and the thread that has it may be the later one to lay its batch down."""
    buffer = TaskBuffer(batch=3)
    tasks = [Task(Key("a", b"g" * 16, index), b"1", 1, Lease(0, index)) for index in range(3)]
    with capture_logs() as lines:
        for trace in ("", "", "Traceback", ""):
            buffer.put_each(tasks, BatchFailed("ValueError in own.py", trace))
    assert [line.get("exception") for line in lines] == [None, "Traceback"]


# A run, of which not all is as usual.


class RunCrew(Crew):
    """One thread whose calls end at once, but for those of some payloads."""

    def _call(self, payload: object) -> None:
        if payload == "bad":
            raise ValueError("bad")
        if payload == "slow":
            super()._call(payload)

    def results_by_place(self) -> dict[int, type]:
        return {result.lease.position: type(result) for result in self.results}


@pytest.fixture
def run_crew() -> Iterable[RunCrew]:
    crew = RunCrew(concurrency=1)
    crew.threads.chunk_size = 10
    yield crew
    crew.gate.set()
    crew.threads.stop()


def test_of_a_run_of_which_one_packet_fails_the_others_have_their_outputs(run_crew: RunCrew) -> None:
    run_crew.put_run("a", "bad", "b", "c")
    until_sync(lambda: len(run_crew.results) == 4 and run_crew.threads.in_hand() == 0)
    assert run_crew.results_by_place() == {0: Output, 1: Retry, 2: Output, 3: Output}
    assert len(run_crew.threads.result_queue.unrecorded) == 3 * len("null")


def test_of_a_run_of_which_one_packet_is_slow_what_is_before_it_is_recorded_and_what_is_behind_it_let_go(
    run_crew: RunCrew,
) -> None:
    run_crew.put_run("a", "b", "slow", "c", "d")
    until_sync(lambda: run_crew.begun)
    run_crew.clock.advance(2 * STALLED)
    assert [result.lease.position for result in results_of(run_crew.threads.watch())] == [0, 1]
    assert [run.leases() for run in run_crew.threads.unfinished()] == [[Lease(0, 0, 2)]]
    assert [run.leases() for run in run_crew.threads.buffer.runs()] == [[Lease(0, 0, 3), Lease(0, 0, 4)]]
    run_crew.gate.set()
    until_sync(lambda: len(run_crew.results) == 3 and run_crew.threads.in_hand() == 0)
    assert run_crew.results_by_place() == dict.fromkeys((2, 3, 4), Output)


def test_of_a_run_of_which_one_packet_is_out_of_time_only_that_has_failed(run_crew: RunCrew) -> None:
    run_crew.put_run("a", "slow", "b")
    until_sync(lambda: run_crew.begun)
    run_crew.clock.advance(60.0)
    timed_out = results_of(run_crew.threads.watch())
    assert [(result.lease.position, type(result)) for result in timed_out] == [(0, Output), (1, Retry)]
    run_crew.gate.set()  # too late
    until_sync(lambda: len(run_crew.results) == 1 and run_crew.threads.in_hand() == 0)
    assert run_crew.results_by_place() == {2: Output}


def test_of_a_run_that_is_given_up_every_packet_has_a_result_or_comes_back(run_crew: RunCrew) -> None:
    run_crew.put_run("a", "b", "slow", "c")
    until_sync(lambda: run_crew.begun)
    back = [lease.position for run in run_crew.threads.give_up() for lease in run.leases()]
    until_sync(lambda: len(run_crew.results) == 2)
    assert (back, run_crew.results_by_place()) == ([2, 3], {0: Output, 1: Output})
