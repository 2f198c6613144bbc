"""Two calls for one task on event loops: which counts, what becomes of the other, and when none is begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import msgspec
import pytest

from collator.egress import Answer, NoAnswer
from collator.messages import Key, Lease, Output, Result, Retry, Task, results_of, runs_of
from collator.processor import Coroutine, EndedCall, HttpService, OutcomeFactory, Requests, endings
from collator.testing import ManualClock
from collator.workers.hedges import FIRST_CALLS, Hedges
from collator.workers.loops import Loops
from collator.workers.service_calls import ServiceCalls
from tests.wait import until

QUICK, SLOW = 1.0, 2.0
"""Seconds: what the calls before took, and from when on one is late."""


class Calls:
    """Calls that end when the test says so, each as it says; for both kinds of processor."""

    def __init__(self, *, service: bool, ceiling: int = 4) -> None:
        self.clock = ManualClock()
        self.begun: list[str] = []
        self.attempts: list[tuple[int, str]] = []
        self.cancelled: list[str] = []
        self.hedges: list[bool] = []
        self.results: dict[int, Result] = {}
        self.open: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]]] = {}
        self._leases = count(1)
        outcomes = OutcomeFactory(retries=0, clock=self.clock)
        self._outcomes = outcomes
        hedges = Hedges(0.5, note=self.hedges.append)
        for _ in range(2 * FIRST_CALLS):
            hedges.add(QUICK)
            hedges.begin_first()
        processor = _Service(self) if service else Coroutine(self.called, outcomes)
        self.service = ServiceCalls(outcomes, "http://127.0.0.1:9/", ceiling=ceiling) if service else None
        self.loops = Loops(
            processor,
            tell=lambda: None,
            concurrency=ceiling,
            max_abandoned=2,
            window=100,
            judge=self.service,
            hedges=hedges,
        )

    def put(self, *names: str) -> None:
        self.loops.buffer.put(
            runs_of(
                Task(Key(name, b"g" * 16, 7), msgspec.json.encode(name), 3, Lease(0, next(self._leases)))
                for name in names
            )
        )

    async def under_way(self, *names: str) -> None:
        await until(lambda: sorted(self.begun) == sorted(names))

    def look(self) -> bool:
        for result in results_of([*self.loops.watch(), *self.loops.result_queue.collect().reports]):
            assert result.lease.token not in self.results
            self.results[result.lease.token] = result
        return True

    async def hedged(self, *names: str) -> None:
        """Let so much time pass that the oldest call is late, and see that exactly these have been begun then."""
        self.clock.advance(SLOW)
        self.look()
        await self.under_way(*names)

    def end(self, name: str, which: int, value: object = None) -> None:
        """Let the call *which* for *name* end: by what *value* says where it is an error, or with it."""
        loop, future = self.open[name][which]
        if isinstance(value, BaseException):
            loop.call_soon_threadsafe(future.set_exception, value)
        else:
            loop.call_soon_threadsafe(future.set_result, value)

    async def ended(self, lease: int) -> Result:
        await until(lambda: self.look() and lease in self.results)
        return self.results[lease]

    async def called(self, name: str) -> Any:  # noqa: ANN401 - what the test says
        self.begun.append(name)
        future = asyncio.get_running_loop().create_future()
        self.open.setdefault(name, []).append((asyncio.get_running_loop(), future))
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise


class _Service(HttpService):
    """A service whose answers the test gives."""

    def __init__(self, calls: Calls) -> None:
        super().__init__("http://127.0.0.1:9/", calls._outcomes)
        self._calls = calls

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Requests]:
        yield self._call

    async def _call(self, tasks: Any) -> EndedCall:  # noqa: ANN401 - as in the class above
        (task,) = tasks
        self._calls.attempts.append((task.attempt, self.shape.request(task).headers["idempotency-key"]))
        try:
            answer = await self._calls.called(msgspec.json.decode(task.payload))
        except asyncio.CancelledError as error:
            return EndedCall(endings.of_error(error, "cancelled"), self._calls._outcomes.failed(task, error))
        return self._ended(task, endings.of_answer(answer, size=1, max_output=99, wall=0.0))


@pytest.fixture
async def calls(request: pytest.FixtureRequest) -> AsyncIterator[Calls]:
    calls = Calls(**getattr(request, "param", {"service": False}))
    calls.loops.start()
    yield calls
    calls.loops.stop()
    await until(calls.loops.ended)


BOTH = pytest.mark.parametrize("calls", [{"service": False}, {"service": True}], indirect=True, ids=["loop", "service"])
SERVICE = pytest.mark.parametrize("calls", [{"service": True}], indirect=True)
DONE = Answer(200, body=b'"done"', media="application/json")


def done(calls: Calls) -> object:
    return DONE if isinstance(calls.loops._processor, HttpService) else "done"


@BOTH
async def test_the_output_of_the_second_call_counts_and_the_first_is_cancelled(calls: Calls) -> None:
    calls.put("a", "b")
    await calls.under_way("a", "b")
    calls.end("b", 0, done(calls))
    await calls.ended(2)
    await calls.hedged("a", "a", "b")
    assert (calls.loops.in_hand(), len(calls.loops.unfinished())) == (1, 1)
    calls.end("a", 1, done(calls))
    assert isinstance(await calls.ended(1), Output)
    await until(lambda: calls.cancelled == ["a"])
    await until(lambda: calls.loops.abandoned == 0)
    assert (calls.loops.in_hand(), calls.loops.unfinished(), calls.hedges) == (0, [], [True])


@BOTH
async def test_the_output_of_the_first_call_counts_too_and_there_is_no_third(calls: Calls) -> None:
    calls.put("a")
    await calls.under_way("a")
    await calls.hedged("a", "a")
    await calls.hedged("a", "a")
    calls.end("a", 0, done(calls))
    assert isinstance(await calls.ended(1), Output)
    await until(lambda: calls.cancelled == ["a"])
    assert (len(calls.begun), calls.hedges) == (2, [False])


@pytest.mark.parametrize("first", [0, 1])
async def test_the_failure_of_one_counts_for_nothing_while_the_other_is_under_way(calls: Calls, first: int) -> None:
    calls.put("a", "b")
    await calls.under_way("a", "b")
    calls.end("b", 0, "done")
    await calls.ended(2)
    await calls.hedged("a", "a", "b")
    calls.end("a", first, ValueError("no sound"))
    await until(lambda: sum(len(runner.calls) for runner in calls.loops._runners) == 1)
    assert calls.look()
    assert ({*calls.results}, calls.loops.in_hand()) == ({2}, 1)
    calls.end("a", 1 - first, "done")
    assert isinstance(await calls.ended(1), Output)
    assert (calls.cancelled, calls.hedges) == ([], [first == 0])


async def test_where_both_fail_the_last_failure_is_that_of_the_attempt(calls: Calls) -> None:
    calls.put("a")
    await calls.under_way("a")
    await calls.hedged("a", "a")
    calls.end("a", 1, ValueError("second"))
    await until(lambda: len(calls.hedges) == 1)
    calls.end("a", 0, ValueError("first"))
    result = await calls.ended(1)
    assert not isinstance(result, Output)
    assert result.reason.startswith("ValueError: first")
    assert calls.loops.in_hand() == 0


async def test_each_call_has_its_own_time_and_the_last_one_is_the_timeout_of_the_packet(calls: Calls) -> None:
    calls.put("a")
    await calls.under_way("a")
    await calls.hedged("a", "a")
    calls.clock.advance(60.0 - SLOW)
    assert (calls.look(), calls.results) == (True, {})
    await until(lambda: calls.cancelled == ["a"])
    calls.clock.advance(SLOW)
    result = await calls.ended(1)
    assert not isinstance(result, Output)
    assert result.reason == "timed out after 60 s"
    assert (calls.loops.in_hand(), calls.hedges) == (0, [False])


async def test_the_one_that_takes_longest_is_hedged_and_goes_before_what_waits(calls: Calls) -> None:
    calls.put("a", "b", "c", "d", "e")
    await calls.under_way("a", "b", "c", "d")
    calls.clock.advance(SLOW)
    calls.look()
    assert len(calls.begun) == 4  # every place is taken
    calls.end("d", 0, "done")
    await calls.under_way("a", "a", "b", "c", "d")


async def test_a_drain_gives_a_task_of_two_calls_back_once(calls: Calls) -> None:
    calls.put("a")
    await calls.under_way("a")
    await calls.hedged("a", "a")
    assert [run.resource_id for run in calls.loops.give_up()] == ["a"]
    await until(lambda: calls.cancelled == ["a", "a"])
    assert (calls.loops.in_hand(), calls.look(), calls.results) == (0, True, {})


async def test_nothing_is_hedged_once_nothing_more_may_be_taken(calls: Calls) -> None:
    calls.put("a")
    await calls.under_way("a")
    calls.loops.buffer.pause()
    await calls.hedged("a")
    assert calls.begun == ["a"]


@SERVICE
async def test_both_calls_say_the_same_attempt_and_the_same_key(calls: Calls) -> None:
    calls.put("a")
    await calls.under_way("a")
    await calls.hedged("a", "a")
    assert calls.attempts[0] == calls.attempts[1]
    assert calls.attempts[0][0] == 3


@SERVICE
async def test_the_refusal_of_a_second_call_lowers_the_limit_and_is_not_held_against_the_packet(calls: Calls) -> None:
    calls.put("a")
    await calls.under_way("a")
    await calls.hedged("a", "a")
    calls.end("a", 1, Answer(503))
    await until(lambda: calls.hedges == [False])
    service = calls.service
    assert service is not None
    assert (service.limit, len(service._refusals), calls.look(), calls.results) == (1, 0, True, {})
    calls.end("a", 0, DONE)
    assert isinstance(await calls.ended(1), Output)


@SERVICE
async def test_nothing_is_hedged_while_the_service_is_away(calls: Calls) -> None:
    calls.put("a", "b")
    await calls.under_way("a", "b")
    calls.end("b", 0, NoAnswer("connection refused", reached=False))
    assert isinstance(await calls.ended(2), Retry)
    await calls.hedged("a", "b")
    calls.end("a", 0, DONE)
    assert isinstance(await calls.ended(1), Output)
    assert (calls.begun, calls.hedges) == (["a", "b"], [])
