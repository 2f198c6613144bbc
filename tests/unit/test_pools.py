"""What every pool promises to the workers, whoever makes the calls: threads, processes, a loop, an HTTP service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
import msgspec
import pytest

from collator.messages import Key, Lease, Output, Result, Task, results_of, runs_of
from collator.processor import OutcomeFactory, open_processor
from collator.workers.pools import open_pool
from tests.harness import fault_filesystem
from tests.receiver import Hold, Receiver, reply
from tests.wait import until

FUNCTIONS = {
    "thread": {"spec": "tests.harness.fault_filesystem:plain"},
    "process": {"spec": "tests.harness.fault_filesystem:plain", "pool": "process"},
    "coroutine": {"spec": "tests.harness.fault_filesystem:coroutine"},
}
KINDS = [*FUNCTIONS, "http"]
BATCHES = {
    "thread": {"spec": "tests.harness.fault_filesystem:batch"},
    "process": {"spec": "tests.harness.fault_filesystem:batch", "pool": "process"},
    "coroutine": {"spec": "tests.harness.fault_filesystem:coroutine_batch"},
}
PATIENCE = 60.0
"""Seconds; a process takes some tenths of one to start."""


class Crew:
    """A pool at work, and the results that it gave."""

    def __init__(self, spec: str, *, concurrency: int, timeout: float = 60.0, **options: Any) -> None:  # noqa: ANN401
        outcomes = OutcomeFactory(timeout=timeout, retries=0)
        processor = open_processor(spec, outcomes, **options)
        self.results: dict[Lease, Result] = {}
        self.told = 0
        self.pool = open_pool(processor, tell=self._tell, concurrency=concurrency, max_abandoned=4, window=100)
        self._leases = count(1)

    def put(self, *payloads: object, resource_id: str = "a", attempt: int = 1) -> list[Lease]:
        """Let tasks with *payloads* wait; their leases."""
        tasks = [
            Task(Key(resource_id, b"g" * 16, 0), msgspec.json.encode(payload), attempt, Lease(0, next(self._leases)))
            for payload in payloads
        ]
        self.pool.buffer.put(runs_of(tasks))
        return [task.lease for task in tasks]

    async def ended(self, leases: Sequence[Lease]) -> list[Result]:
        """The results of *leases*, once they are all there."""
        await until(lambda: self.look() and self.results.keys() >= {*leases}, PATIENCE)
        return [self.results[lease] for lease in leases]

    def look(self) -> bool:
        """Do as the workers do every few hundredths of a second."""
        found = results_of([*self.pool.watch(), *self.pool.result_queue.collect().reports])
        twice = self.results.keys() & {result.lease for result in found}
        assert not twice
        self.results |= {result.lease: result for result in found}
        return True

    def _tell(self) -> None:
        self.told += 1


@asynccontextmanager
async def crew(kind: str, **options: Any) -> AsyncIterator[Crew]:  # noqa: ANN401
    """A crew of *kind*; an HTTP service answers 1 to everything."""
    fault_filesystem.released.clear()
    async with Receiver(reply(200, body=b"1")) as receiver:
        chosen = {"spec": receiver.url} if kind == "http" else {**FUNCTIONS[kind]}
        options = {"concurrency": 1 if kind == "process" else 2, **options}
        made = Crew(**{**chosen, **options})
        made.pool.start()
        try:
            yield made
        finally:
            fault_filesystem.released.set()
            made.pool.stop()
            await until(made.pool.ended, PATIENCE)


def values(results: Sequence[Result]) -> list[object]:
    return [msgspec.json.decode(result.output) if isinstance(result, Output) else result.reason for result in results]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_task_has_one_result(kind: str) -> None:
    async with crew(kind) as it:
        leases = it.put(*[1] * 250)
        assert values(await it.ended(leases)) == [1] * 250
        await until(lambda: it.look() and it.pool.in_hand() == 0)
        assert (it.pool.unfinished(), len(it.pool.buffer), len(it.results)) == ([], 0, 250)
        assert it.told >= 1


@pytest.mark.parametrize("kind", FUNCTIONS)
async def test_a_call_that_does_not_end_holds_up_nobody(kind: str) -> None:
    fault = "wait" if kind == "coroutine" else "hang"
    async with crew(kind, timeout=2.0, concurrency=2) as it:
        await it.ended(it.put(0))
        it.pool.chunk_size = 50  # so that the good ones are behind the bad one in its chunk, if nobody takes care
        (bad,) = it.put(fault)
        good = it.put(*range(40), resource_id="b")
        assert values(await it.ended(good)) == [*range(40)]
        assert bad not in it.results
        assert values(await it.ended([bad])) == ["timed out after 2 s"]
        assert it.pool.health() is None


@pytest.mark.parametrize("kind", KINDS)
async def test_what_waits_in_a_pause_stays_there(kind: str) -> None:
    async with crew(kind) as it:
        await it.ended(it.put(1))
        it.pool.buffer.pause()
        leases = it.put(1, 1)
        it.look()
        assert [task.lease for task in it.pool.buffer.take_back()] == leases
        assert it.pool.in_hand() == 0


@pytest.mark.parametrize("kind", FUNCTIONS)
async def test_what_is_given_up_has_no_result_later(kind: str) -> None:
    fault = "wait" if kind == "coroutine" else "hang"
    async with crew(kind) as it:
        (lease,) = it.put(fault)
        await until(it.pool.unfinished, PATIENCE)
        assert [task.lease for task in it.pool.give_up()] == [lease]
        assert (it.pool.in_hand(), it.pool.unfinished()) == (0, [])
        fault_filesystem.released.set()
        it.pool.stop()
        await until(it.pool.ended, PATIENCE)
        it.look()
        assert it.results == {}


# Batches.


@pytest.mark.parametrize("kind", BATCHES)
async def test_a_batch_function_gets_lists_and_each_task_its_output(kind: str) -> None:
    async with crew(kind, **BATCHES[kind], batch=7) as it:
        leases = it.put(*range(100))
        assert values(await it.ended(leases)) == [*range(100)]


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("fault", ["fail", "hang"])
async def test_a_batch_that_fails_is_called_again_one_by_one(kind: str, fault: str) -> None:
    if (kind, fault) == ("coroutine", "hang"):
        fault = "wait"
    async with crew(kind, **BATCHES[kind], batch=5, timeout=0.3, concurrency=1) as it:
        await it.ended(it.put(0))
        leases = it.put(1, 2, fault, 4, 5)
        reason = (
            f"ValueError: no sound in it ({fault_filesystem.FAILS})" if fault == "fail" else "timed out after 0.3 s"
        )
        assert values(await it.ended(leases)) == [1, 2, reason, 4, 5]


async def test_a_batch_that_kills_its_process_is_called_again_one_by_one() -> None:
    async with crew("process", **BATCHES["process"], batch=4, concurrency=1) as it:
        await it.ended(it.put(0))
        leases = it.put(1, "leave", 3)
        assert values(await it.ended(leases)) == [1, "the process ended with exit code 7", 3]


async def test_only_the_call_that_killed_its_process_has_failed() -> None:
    async with crew("process", concurrency=1) as it:
        await it.ended(it.put(0))
        it.pool.chunk_size = 50
        leases = it.put(1, 2, "leave", 4, 5)
        assert values(await it.ended(leases)) == [1, 2, "the process ended with exit code 7", 4, 5]


async def test_late_answers_of_a_service_are_nobodys() -> None:
    late = anyio.Event()
    scripts = (Hold(late), *reply(200, body=b"1")), reply(200, body=b"2")
    async with Receiver(*scripts) as receiver, crew("http", spec=receiver.url, timeout=0.2) as it:
        (bad,) = it.put(0)
        assert values(await it.ended([bad])) == ["timed out after 0.2 s"]
        late.set()
        (good,) = it.put(0)
        assert values(await it.ended([good])) == [2]
        assert len(it.results) == 2
