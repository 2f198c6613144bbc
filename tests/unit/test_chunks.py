"""What a thread takes in one go, how much that is, and how others get at it while a call is slow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from collator.messages import Key, Lease, Output, Result, Task
from collator.testing import ManualClock
from collator.workers.chunks import CHUNK_SECONDS, Chunk, next_size


def chunk_of(count: int) -> Chunk:
    return Chunk(deque(Task(Key("a", b"g" * 16, index), b"1", 1, Lease(0, index)) for index in range(count)))


def work(chunk: Chunk, during: Callable[[Task], object] = lambda _task: None) -> tuple[int, float]:
    clock = ManualClock()

    def attempt(task: Task) -> Result:
        during(task)
        clock.advance(0.5)
        return Output(task.lease, b"1")

    return chunk.work(attempt, clock.monotonic)


def collected(chunk: Chunk) -> list[int]:
    return [result.lease.token for result in chunk.collect()]


def test_a_chunk_is_worked_through_in_order_and_measured() -> None:
    chunk = chunk_of(4)
    assert work(chunk) == (4, 2.0)
    assert collected(chunk) == [0, 1, 2, 3]
    assert collected(chunk) == []
    assert chunk.unfinished() == []


def test_what_is_behind_a_slow_call_can_be_taken_and_what_is_before_it_collected() -> None:
    chunk = chunk_of(5)
    seen: list[list[int]] = []

    def during(task: Task) -> None:
        if task.lease.token == 2:
            seen.append([task.lease.token for task in chunk.unfinished()])
            seen.append(collected(chunk))
            seen.append([task.lease.token for task in chunk.rest()])

    assert work(chunk, during) == (3, 1.5)
    assert seen == [[2, 3, 4], [0, 1], [3, 4]]
    assert collected(chunk) == [2]


def test_a_call_tells_since_when_it_runs() -> None:
    chunk = chunk_of(2)
    since: list[float] = []
    work(chunk, lambda _task: since.append(chunk.call[1] if chunk.call else -1.0))
    assert since == [1000.0, 1000.5]
    assert chunk.call is None


def test_an_abandoned_chunk_ignores_the_running_call_and_begins_nothing() -> None:
    chunk = chunk_of(3)

    def during(task: Task) -> None:
        chunk.abandoned = task.lease.token == 1

    assert work(chunk, during)[0] == 2
    assert collected(chunk) == [0]
    assert [task.lease.token for task in chunk.unfinished()] == [2]


sizes = st.integers(1, 1024)
durations = st.floats(0.0, 10.0)


@given(size=sizes, calls=st.integers(1, 1024), seconds=durations, limit=sizes)
def test_a_size_is_within_its_limit_and_moves_by_a_factor_of_four_at_most(
    size: int, calls: int, seconds: float, limit: int
) -> None:
    size = min(size, limit)
    after = next_size(size, calls=calls, seconds=seconds, limit=limit)
    assert 1 <= after <= limit
    assert size // 4 <= after <= size * 4


@given(size=sizes, each=durations)
def test_sizes_settle_at_five_milliseconds_of_work(size: int, each: float) -> None:
    for _ in range(12):
        size = next_size(size, calls=size, seconds=size * each, limit=1024)
    after = next_size(size, calls=size, seconds=size * each, limit=1024)
    assert abs(after - size) <= 1
    assert size == 1 or size * each <= CHUNK_SECONDS * 1.001
    assert size == 1024 or (size + 2) * each >= CHUNK_SECONDS * 0.999


@given(size=sizes, each=st.floats(CHUNK_SECONDS, 10.0))
def test_calls_of_five_milliseconds_and_more_go_one_by_one(size: int, each: float) -> None:
    for _ in range(6):
        size = next_size(size, calls=1, seconds=each, limit=1024)
    assert size == 1
