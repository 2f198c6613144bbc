"""Coroutines on a loop of their own: how many are under way, what ends them, and what becomes of a blocked loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio.lowlevel
import msgspec
import pytest
from structlog.testing import capture_logs

from collator.messages import Failure, Key, Lease, Output, Result, Retry, Task, results_of, runs_of
from collator.processor import Calls, Coroutine, OutcomeFactory
from collator.testing import ManualClock
from collator.workers.loops import FROZEN, Loops
from tests.wait import until

A_WHILE = 0.2
"""Seconds in which what must not happen would have happened."""


class Crew:
    """Loops whose calls end when the test says so, and the results that they gave."""

    def __init__(self, *, concurrency: int = 2, max_abandoned: int = 2, batch: int = 1) -> None:
        self.clock = ManualClock()
        self.begun: list[Any] = []
        self.cancelled: list[Any] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.results: dict[int, Result] = {}
        self._calls: dict[Any, tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = {}
        self._leases = count(1)
        coroutine = Coroutine(self._call, OutcomeFactory(retries=0, clock=self.clock), batch=batch)
        self.loops = Loops(
            coroutine, tell=lambda: None, concurrency=concurrency, max_abandoned=max_abandoned, window=100
        )

    def put(self, *payloads: str) -> None:
        """Let a task of its own resource wait for each of *payloads*."""
        self.loops.buffer.put(
            runs_of(
                Task(Key(one, b"g" * 16, 7), msgspec.json.encode(one), 1, Lease(0, next(self._leases)))
                for one in payloads
            )
        )

    async def under_way(self, *payloads: object) -> None:
        """Return once exactly these calls have been begun since the start."""
        await until(lambda: sorted(map(str, self.begun)) == sorted(map(str, payloads)))

    def end(self, payload: str) -> None:
        """Let the call for *payload* return."""
        loop, future = self._calls[payload]
        loop.call_soon_threadsafe(future.set_result, None)

    async def pass_time(self, seconds: float) -> None:
        """Let *seconds* pass, between two looks at loops that had the time to answer, if they can."""
        self.look()
        silent = [runner for runner in self.loops._runners if runner.asked_at is not None]
        end = asyncio.get_running_loop().time() + A_WHILE
        await until(lambda: all(one.asked_at is None for one in silent) or asyncio.get_running_loop().time() > end)
        self.clock.advance(seconds)
        self.look()

    def look(self) -> bool:
        for result in results_of([*self.loops.watch(), *self.loops.result_queue.collect().reports]):
            assert result.lease.token not in self.results
            self.results[result.lease.token] = result
        return True

    async def ended(self, *leases: int) -> list[object]:
        await until(lambda: self.look() and self.results.keys() >= {*leases})
        return [
            msgspec.json.decode(one.output) if isinstance(one, Output) else one.reason
            for one in map(self.results.__getitem__, leases)
        ]

    async def never(self, condition: Callable[[], object]) -> None:
        with pytest.raises(AssertionError):
            await until(condition, A_WHILE)

    async def _call(self, payload: Any) -> Any:  # noqa: ANN401 - one payload, or a list of them
        self.begun.append(payload)
        self.threads.add(threading.get_ident())
        if payload == "block":
            assert self.gate.wait(20.0)
            return payload
        future = asyncio.get_running_loop().create_future()
        self._calls[str(payload)] = (asyncio.get_running_loop(), future)
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError:
                self.cancelled.append(payload)
                if payload != "deaf":
                    raise
        return payload


@pytest.fixture
async def crew(request: pytest.FixtureRequest) -> AsyncIterator[Crew]:
    crew = Crew(**getattr(request, "param", {}))
    crew.loops.start()
    yield crew
    crew.gate.set()
    crew.loops.stop()
    await until(crew.loops.ended)


async def test_calls_are_under_way_side_by_side_and_never_more_than_may_be(crew: Crew) -> None:
    crew.put("a", "b", "c")
    await crew.under_way("a", "b")
    assert (len(crew.loops.buffer), crew.loops.in_hand(), len(crew.loops.unfinished())) == (1, 2, 2)
    await crew.never(lambda: "c" in crew.begun)
    crew.end("b")
    await crew.under_way("a", "b", "c")
    assert await crew.ended(2) == ["b"]
    assert crew.threads.isdisjoint({threading.get_ident()})
    assert len(crew.threads) == 1


async def test_a_call_that_is_out_of_time_is_cancelled(crew: Crew) -> None:
    crew.put("a")
    await crew.under_way("a")
    await crew.pass_time(59.0)
    assert crew.results == {}
    await crew.pass_time(1.0)
    assert await crew.ended(1) == ["timed out after 60 s"]
    await until(lambda: crew.cancelled == ["a"])
    await until(lambda: crew.loops.abandoned == 0)
    assert crew.loops.in_hand() == 0


@pytest.mark.parametrize("crew", [{"concurrency": 1, "max_abandoned": 1}], indirect=True)
async def test_nothing_is_begun_while_too_many_calls_do_not_let_themselves_be_cancelled(crew: Crew) -> None:
    crew.put("deaf")
    await crew.under_way("deaf")
    await crew.pass_time(60.0)
    assert await crew.ended(1) == ["timed out after 60 s"]
    assert crew.loops.health() == (
        "1 processor calls have not returned after 60 s; no packet is processed until one of them returns"
    )
    crew.put("a")
    await crew.never(lambda: "a" in crew.begun)
    crew.end("deaf")
    await crew.under_way("deaf", "a")
    assert (crew.loops.health(), crew.loops.abandoned, [*crew.results]) == (None, 0, [1])


async def test_a_blocked_loop_is_told_and_what_waits_goes_to_another(crew: Crew) -> None:
    crew.put("block")
    await crew.under_way("block")
    with capture_logs() as logs:
        await crew.pass_time(FROZEN)
        crew.look()
    (told,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert told["event"] == "a coroutine of the processor blocks the event loop"
    assert (told["resource_id"], told["index"], told["seconds"]) == ("block", 7, 1.0)
    assert told["where"].startswith("test_loops.py, line ")
    assert told["where"].endswith(", in _call")
    crew.put("a")
    await crew.under_way("block", "a")
    assert len(crew.threads) == 2
    crew.end("a")
    assert await crew.ended(2) == ["a"]

    crew.gate.set()  # it was a long block, and no more
    assert await crew.ended(1) == ["block"]
    await until(lambda: len(crew.loops._runners) == 1)
    assert (crew.loops.abandoned, crew.loops.health()) == (0, None)


@pytest.mark.parametrize("crew", [{"concurrency": 3}], indirect=True)
async def test_only_the_call_that_blocked_a_loop_has_failed_and_the_others_begin_anew(crew: Crew) -> None:
    crew.put("a")
    await crew.under_way("a")
    crew.put("block")
    await crew.under_way("a", "block")
    await crew.pass_time(FROZEN)
    crew.put("b")
    await crew.under_way("a", "block", "b")
    await crew.pass_time(59.0)
    assert await crew.ended(2) == ["timed out after 60 s: the event loop was blocked"]
    await crew.under_way("a", "block", "b", "a")
    assert crew.loops.abandoned == 1
    crew.end("a")
    crew.end("b")
    assert await crew.ended(1, 3) == ["a", "b"]
    crew.gate.set()
    await until(lambda: crew.loops.abandoned == 0)
    crew.look()
    assert len(crew.results) == 3


@pytest.mark.parametrize("crew", [{"concurrency": 2, "max_abandoned": 1}], indirect=True)
async def test_loops_are_not_replaced_without_end(crew: Crew) -> None:
    crew.put("block")
    await crew.under_way("block")
    await crew.pass_time(60.0)
    await until(lambda: crew.look() and crew.loops.width() == 0)
    assert isinstance(crew.results[1], Failure)
    crew.put("a")
    await crew.never(lambda: "a" in crew.begun)
    crew.gate.set()
    await crew.under_way("block", "a")
    crew.end("a")
    assert await crew.ended(2) == ["a"]


@pytest.mark.parametrize("crew", [{"batch": 3}], indirect=True)
async def test_a_batch_that_is_out_of_time_is_called_again_one_by_one(crew: Crew) -> None:
    crew.put("a", "b", "c")
    await crew.under_way(["a", "b", "c"])
    await crew.pass_time(60.0)
    await crew.under_way(["a", "b", "c"], ["a"], ["b"])
    assert crew.results == {}
    crew.end("['a']")
    assert await crew.ended(1) == ["a"]


class Slow(Coroutine):
    """A processor that is not open before the test says so."""

    def __init__(self) -> None:
        super().__init__(anyio.lowlevel.checkpoint)
        self.may_open = threading.Event()

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Calls]:
        self.may_open.wait(30.0)
        async with super().calls() as calls:
            yield calls


async def test_a_loop_that_is_stopped_before_it_turns_comes_to_its_end() -> None:
    slow = Slow()
    loops = Loops(slow, tell=lambda: None, concurrency=1, max_abandoned=1, window=1)
    loops.start()
    loops.stop()
    assert not loops.ended()
    slow.may_open.set()
    await until(loops.ended)


async def test_a_loop_that_is_left_behind_before_it_turns_comes_to_its_end() -> None:
    slow = Slow()
    loops = Loops(slow, tell=lambda: None, concurrency=1, max_abandoned=1, window=1)
    loops.start()
    with loops._change:
        loops._spawn()  # as where the first does not turn in time
    slow.may_open.set()
    await until(lambda: len(loops._runners) == 1)
    loops.stop()
    await until(loops.ended)


async def test_a_loop_that_the_users_code_stops_is_replaced_and_no_task_is_lost() -> None:
    async def stop(payload: object) -> object:
        if payload == "stop":
            asyncio.get_running_loop().stop()
        for _ in range(50):  # so that no call ends by chance while the loop is being closed
            await anyio.lowlevel.checkpoint()
        return payload

    loops = Loops(Coroutine(stop), tell=lambda: None, concurrency=3, max_abandoned=1, window=1)
    loops.start()
    try:
        payloads = ["stop", *["go"] * 8] * 5
        loops.buffer.put(
            runs_of(
                Task(Key("a", b"g" * 16, n), msgspec.json.encode(one), 1, Lease(0, n)) for n, one in enumerate(payloads)
            )
        )
        await until(lambda: loops.result_queue.packets == len(payloads))
        results = {result.lease.token: result for result in loops.result_queue.collect().reports}
    finally:
        loops.stop()
        await until(loops.ended)
    assert sorted(results) == [*range(len(payloads))]
    assert isinstance(results[0], Retry)
    assert isinstance(results[len(payloads) - 1], Output)
    assert loops.in_hand() == 0
