"""What a thread takes in one go, how much that is, and how others get at it while a call is slow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from collator.messages import AnyResult, Failure, Lease, Output, Result, Run, RunOutputs, results_of, tasks_of
from collator.testing import ManualClock
from collator.workers.chunks import CHUNK_SECONDS, next_size
from collator.workers.result_bytes import PORTION
from collator.workers.run_chunk import RunChunk

TICK = 2**-10
"""Seconds, of which sums are exact."""


def run_of(count: int, token: int = 0) -> Run:
    indexes = [*range(count)]
    return Run("a", b"g" * 16, Lease(0, token, 5), indexes, [b"%d" % index for index in indexes], [1] * count)


def work(
    chunk: RunChunk, during: Callable[[Run, int], object] = lambda _run, _place: None, *, seconds: float = 0.0
) -> tuple[int, float]:
    """Go through *chunk*; an output is its payload, and *during* may give another result in its place."""
    clock = ManualClock()

    def call(run: Run, place: int) -> bytes | Result:
        result = during(run, place)
        clock.advance(seconds)
        return result if isinstance(result, Failure) else run.payloads[place]

    return chunk.work(call, clock.monotonic)


def places(chunk: RunChunk) -> list[int]:
    """Collect what is there: positions in the run."""
    return [result.lease.position - 5 for result in results_of(chunk.collect())]


def positions(runs: Sequence[Run]) -> list[int]:
    return [task.lease.position - 5 for task in tasks_of(runs)]


def test_a_chunk_is_worked_through_in_order_and_measured() -> None:
    chunk = RunChunk([run_of(3), run_of(2, token=1), run_of(1, token=2)])
    assert chunk.size() == 7
    assert work(chunk, seconds=TICK) == (6, 6 * TICK)
    assert chunk.collect() == [
        RunOutputs(Lease(0, 0, 5), [b"0", b"1", b"2"], 1000.0 + 3 * TICK),
        RunOutputs(Lease(0, 1, 5), [b"0", b"1"], 1000.0 + 5 * TICK),
        Output(Lease(0, 2, 5), b"0", 1000.0 + 6 * TICK),
    ]
    assert (chunk.collect(), chunk.unfinished(), chunk.rest(), chunk.size()) == ([], [], [], 1)


def test_what_is_behind_a_slow_call_can_be_taken_and_what_is_before_it_collected() -> None:
    chunk = RunChunk([run_of(5), run_of(1, token=1)])
    seen: list[list[int]] = []

    def during(_run: Run, place: int) -> None:
        if place == 2:
            seen.extend((positions(chunk.unfinished()), places(chunk), positions(chunk.rest())))
            assert positions(chunk.unfinished()) == [2]

    assert work(chunk, during)[0] == 3
    assert seen == [[2, 3, 4, 0], [0, 1], [3, 4, 0]]
    assert places(chunk) == [2]


@given(st.lists(st.sampled_from(["output", "failure", "collect", "rest"]), max_size=20))
def test_whatever_comes_of_a_run_each_packet_has_its_own_result_or_is_left(script: list[str]) -> None:
    """Some fail in the middle, and others collect and take what is left while a call is made."""
    chunk = RunChunk([run_of(len(script) + 1)])
    reports: list[AnyResult] = []
    rest: list[Run] = []

    def during(run: Run, place: int) -> Result | None:
        kind = script[place] if place < len(script) else "output"
        if kind == "collect":
            reports.extend(chunk.collect())
        elif kind == "rest":
            rest.extend(chunk.rest())
        return Failure(run.task(place).lease, "bad") if kind == "failure" else None

    calls, _ = work(chunk, during)
    reports += chunk.collect()
    results = results_of(reports)
    assert [one.lease.position - 5 for one in results] == [*range(calls)]
    assert positions(rest) == [*range(calls, len(script) + 1)]
    kinds = ["failure" if isinstance(one, Failure) else "output" for one in results]
    assert kinds == ["failure" if kind == "failure" else "output" for kind in [*script, "output"][:calls]]
    assert all(one.output == b"%d" % place for place, one in enumerate(results) if isinstance(one, Output))


def test_a_call_tells_for_what_it_is_and_since_when_it_runs() -> None:
    chunk, seen = RunChunk([run_of(2)]), list[tuple[int, float]]()

    def during(_run: Run, _place: int) -> None:
        assert chunk.call is not None
        task, since = chunk.call
        seen.append((task.lease.position - 5, since))

    work(chunk, during, seconds=TICK)
    assert seen == [(0, 1000.0), (1, 1000.0 + TICK)]
    assert chunk.call is None


def test_the_time_of_a_call_is_without_what_stood_still_before() -> None:
    chunk, since = RunChunk([run_of(1)]), list[float]()

    def call(_run: Run, _place: int) -> bytes:
        assert chunk.call is not None
        since.append(chunk.call[1])
        return b"1"

    chunk.work(call, lambda: 1000.0, 70.0)
    assert since == [930.0]


def test_an_abandoned_chunk_ignores_the_running_call_and_begins_nothing() -> None:
    chunk = RunChunk([run_of(3), run_of(2, token=1)])

    def during(run: Run, place: int) -> None:
        chunk.abandoned = run.lease.token == 0 and place == 1

    assert work(chunk, during)[0] == 2
    assert places(chunk) == [0]
    assert positions(chunk.unfinished()) == [2, 0, 1]


def test_a_chunk_that_takes_long_begins_no_further_call() -> None:
    """However quick each call is: a resource that came meanwhile waits for what was taken in one go."""
    chunk = RunChunk([run_of(20)])
    assert work(chunk, seconds=0.006)[0] == 4
    assert (places(chunk), positions(chunk.rest())) == ([0, 1, 2, 3], [*range(4, 20)])


def test_a_chunk_whose_outputs_are_large_begins_no_further_call() -> None:
    chunk = RunChunk([run_of(3)])
    assert chunk.work(lambda _run, _place: b"1" * (PORTION // 2), lambda: 0.0)[0] == 2
    assert positions(chunk.rest()) == [2]


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
