"""Threads that call the processor, on the real ledger: what `tests/workers` does not ask of every kind of workers."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collator.errors import Permanent, Unavailable
from collator.intake import Intake
from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.messages import Batch, Delivery, Output, ReceiverAnswer, ResourceReport, Task
from collator.metrics import Metrics
from collator.packet import Packet
from collator.processor import Function, OutcomeFactory, Processor
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Capacity
from collator.states import State
from collator.testing import ManualClock
from collator.workers.executor import PoolThread
from collator.workers.local_workers import LocalWorkers
from collator.workers.reports import OUTSTANDING
from collator.workers.threads import Threads
from tests.harness.at_work import at_work
from tests.wait import until

pytestmark = pytest.mark.anyio

SOON = 0.01
PATIENT = LedgerLimits(task_lease=300.0)
"""For tests that let a minute pass in one step, which leaves no time to renew a lease."""


class Outbox:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []
        self.endpoints: set[str] = set()

    def capacity(self) -> Capacity:
        return {"default": 100}

    def take(self, deliveries: Sequence[Delivery], endpoints: Iterable[str]) -> None:
        self.taken += deliveries
        self.endpoints |= set(endpoints)

    async def refresh(self) -> None:
        return

    async def try_now(self, endpoint: str) -> bool:
        return False

    async def test(self, endpoint: str) -> ReceiverAnswer:
        """Never called."""
        raise NotImplementedError

    def under_way(self) -> dict[str, int]:
        """Nothing is."""
        return {}

    def next_try(self, endpoint: str) -> float | None:
        return None

    def why(self, endpoint: str) -> str | None:
        return None


class Setup:
    """A ledger, workers on it, and the way in."""

    def __init__(self, ledger: SqliteLedger, processor: Processor, clock: ManualClock, **options: Any) -> None:  # noqa: ANN401
        self.ledger, self.clock = ledger, clock
        self.metrics, self.outbox = Metrics(), Outbox()
        options = {"sweep": 3600.0, "concurrency": 2, **options}
        self.workers = LocalWorkers(ledger, processor, self.outbox, metrics=self.metrics, **options)
        self.intake = Intake(ledger, self.workers, self.outbox, metrics=self.metrics)

    async def send(self, resource_id: str, *payloads: object, last: bool = True, first: int = 0) -> None:
        """Accept *payloads* as packets from index *first*."""
        end = first + len(payloads) - 1
        await self.intake.accept(
            [
                Packet(resource_id, index, msgspec.Raw(msgspec.json.encode(payload)), last and index == end)
                for index, payload in enumerate(payloads, first)
            ]
        )

    def attempts(self, result: str) -> float:
        return self._value("collator_processor_attempts_total", result=result)

    def dropped(self, reason: str) -> float:
        return self._value("collator_outcomes_dropped_total", reason=reason)

    async def ended(self, resource_id: str) -> ResourceReport:
        """The resource, once it has ended."""
        await until(lambda: resource_id in {delivery.resource_id for delivery in self.outbox.taken})
        return await self.ledger.resource(resource_id)

    def _value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def setup(
    tmp_path: Path,
    function: Callable[[Any], object],
    *,
    ledger_limits: LedgerLimits | None = None,
    retries: int = 3,
    clock: ManualClock | None = None,
    backlog: Sequence[Packet] = (),
    **options: Any,  # noqa: ANN401
) -> AsyncIterator[Setup]:
    """A pipeline at work, with a clock that only the test moves."""
    clock = clock or ManualClock()
    ledger = await open_ledger(
        tmp_path, ledger_limits=ledger_limits or LedgerLimits(), clock=clock, route=lambda _resource_id: ["default"]
    )
    built = Setup(ledger, Function(function, OutcomeFactory(retries=retries, clock=clock)), clock, **options)
    await ledger.accept(Batch(backlog).groups, capacity=0)
    async with aclosing(ledger), at_work(built.workers):
        yield built


class Gate:
    """A function whose calls with the payload ``"wait"`` last until it is opened."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.open = threading.Event()

    def __call__(self, payload: object) -> object:
        self.calls.append(payload)
        if payload == "wait":
            assert self.open.wait(10.0)
        return payload


def workers(setup: Setup) -> list[PoolThread]:
    """The threads that call the processor."""
    assert isinstance(setup.workers._pool, Threads)
    return setup.workers._pool._workers


@pytest.fixture
def gate() -> Iterable[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


# Work that goes well.


async def test_outputs_are_recorded_and_the_deliveries_of_what_finishes_are_passed_on(tmp_path: Path) -> None:
    async with setup(tmp_path, len) as it:
        it.clock.advance(5.0)
        await it.send("call-17", "a", "bb", "ccc")
        report = await it.ended("call-17")
        assert (report.state, report.done) == (State.COLLATED, 3)
        (delivery,) = it.outbox.taken
        assert json.loads(await it.ledger.body(delivery))["data"]["outputs"] == [1, 2, 3]
        assert delivery.known_at == it.clock.monotonic()
        assert it.attempts("output") == 3
        assert it.workers._reports.leases() == []


async def test_the_room_is_two_tasks_a_thread_until_calls_have_proved_fast(tmp_path: Path, gate: Gate) -> None:
    async with setup(tmp_path, gate, concurrency=2, window=100) as it:
        assert it.workers.capacity() == 4
        await it.send("call-17", "wait", "wait", "wait", last=False)
        assert it.workers.capacity() == 1
        gate.open.set()
        await until(lambda: it.attempts("output") == 3)
        await it.send("call-17", *"abcdefghijklmnopqrst", last=False, first=3)
        await until(lambda: it.workers.capacity() > 4)


async def test_p5_no_more_is_claimed_while_too_many_results_wait_for_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, packets = list[object](), [Packet("r", index, msgspec.Raw(b"1")) for index in range(100)]
    async with setup(tmp_path, str, backlog=packets, window=4, sweep=SOON) as it:

        async def away(results: object, **_options: object) -> None:
            tries.append(results)
            raise Unavailable(retry_after=SOON)

        monkeypatch.setattr(it.ledger, "record", away)
        most = (OUTSTANDING + 1) * 4
        await until(lambda: it.workers._reports.size >= most)
        enough = len(tries) + 50
        await until(lambda: len(tries) >= enough)
        assert it.workers._reports.size == most


async def test_suspects_follow_each_other_without_a_hint(tmp_path: Path) -> None:
    limits, packets = LedgerLimits(), [Packet("r", index, msgspec.Raw(b"1"), index == 2) for index in range(3)]
    died = await open_ledger(tmp_path, ledger_limits=limits, clock=ManualClock(), route=lambda _: ["default"])
    await died.accept(Batch(packets).groups, capacity=3)
    died.abandon()
    async with setup(tmp_path, str) as it:
        assert (await it.ended("r")).done == 3


# Attempts that fail.


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), Permanent("no"), RecursionError()])
async def test_nothing_that_is_raised_ends_a_thread(tmp_path: Path, error: BaseException) -> None:
    def function(payload: object) -> object:
        if payload == "bad":
            raise error
        return payload

    async with setup(tmp_path, function, concurrency=1, retries=0) as it:
        await it.send("call-17", "bad", "good")
        report = await it.ended("call-17")
        assert (report.done, report.failed) == (1, 1)


# Calls that take long, or do not end.


async def test_a_slow_call_lets_go_of_what_is_behind_it_and_before_it(tmp_path: Path, gate: Gate) -> None:
    async with setup(tmp_path, gate, concurrency=2) as it:
        it.workers._pool.chunk_size = 100
        await it.send("call-17", "a", "wait", "b", "c")
        await until(lambda: "wait" in gate.calls)
        it.clock.advance(0.1)
        await until(lambda: it.attempts("output") == 3)
        gate.open.set()
        assert (await it.ended("call-17")).done == 4


async def test_a_call_that_is_out_of_time_has_failed_and_its_thread_is_replaced(tmp_path: Path, gate: Gate) -> None:
    async with setup(tmp_path, gate, concurrency=1, max_abandoned=2, retries=0, ledger_limits=PATIENT) as it:
        await it.send("stuck", "wait")
        await until(lambda: gate.calls)
        it.clock.advance(60.0)
        report = await it.ended("stuck")
        assert [failure.reason for failure in report.failures] == ["timed out after 60 s"]
        assert it.workers.abandoned == 1
        assert it.workers.health() is None
        await it.send("next", "a")
        assert (await it.ended("next")).state is State.COLLATED

        gate.open.set()
        await until(lambda: it.workers.abandoned == 0)
        assert (it.attempts("output"), it.attempts("failure")) == (1, 1)
        assert (await it.ledger.resource("stuck")).done == 0


async def test_nothing_is_begun_while_too_many_calls_do_not_end(tmp_path: Path, gate: Gate) -> None:
    async with setup(
        tmp_path, gate, concurrency=1, max_abandoned=1, retries=0, ledger_limits=PATIENT, sweep=SOON
    ) as it:
        await it.send("stuck", "wait")
        await until(lambda: gate.calls)
        it.clock.advance(60.0)
        await it.ended("stuck")
        assert it.workers.capacity() == 0
        assert it.workers.health() == (
            "1 processor calls have not returned after 60 s; no packet is processed until one of them returns"
        )
        await it.send("next", "a")
        assert gate.calls == ["wait"]
        gate.open.set()
        assert (await it.ended("next")).state is State.COLLATED
        assert it.workers.health() is None


async def test_there_are_never_more_threads_than_workers_and_abandoned_calls(tmp_path: Path, gate: Gate) -> None:
    async with setup(tmp_path, gate, concurrency=3, max_abandoned=2, retries=0, ledger_limits=PATIENT) as it:
        await it.send("stuck", "wait", "wait", "wait")
        await until(lambda: len(gate.calls) == 3)
        it.clock.advance(60.0)
        await it.ended("stuck")
        assert it.workers.abandoned == 3
        assert len(workers(it)) == 5
        gate.open.set()
        await until(lambda: len(workers(it)) == 3)
        assert it.workers.abandoned == 0


# Leases.


async def test_a_task_whose_lease_is_lost_is_not_begun(tmp_path: Path, gate: Gate) -> None:
    async with setup(tmp_path, gate, concurrency=1, lease=0.03) as it:
        await it.send("first", "wait")
        await until(lambda: gate.calls)
        await it.send("second", "b")
        await until(lambda: len(it.workers._buffer) == 1)
        await it.ledger.release([task.lease for task in it.workers._buffer.runs()])
        await until(lambda: len(it.workers._buffer) == 0)
        gate.open.set()
        await it.ended("first")
        assert gate.calls == ["wait"]


async def test_r12_the_outcome_of_a_cancelled_resource_is_dropped_and_counted(tmp_path: Path, gate: Gate) -> None:
    async with setup(tmp_path, gate) as it:
        await it.send("call-17", "wait")
        await until(lambda: gate.calls)
        await it.ledger.cancel("call-17")
        gate.open.set()
        await until(lambda: it.dropped("lost") + it.dropped("closed") == 1)
        assert (await it.ledger.resource("call-17")).state is State.CANCELLED
        assert it.outbox.taken == []


# The end.


async def test_p7_a_drain_records_what_came_before_a_call_that_does_not_end(tmp_path: Path, gate: Gate) -> None:
    async with setup(tmp_path, gate, concurrency=1) as it:
        it.workers._pool.chunk_size = 100
        await it.send("call-17", "a", "wait")
        await until(lambda: "wait" in gate.calls)
        await it.workers.drain(0.0)
        assert it.workers._reports.size == 0
        report = await it.ledger.resource("call-17")
        assert (report.done, report.unfinished) == (1, [(1, 1)])


async def test_p7_a_drain_records_what_ends_at_the_moment_at_which_it_gives_up(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with setup(tmp_path, gate, concurrency=1) as it:
        await it.send("call-17", "wait")
        await until(lambda: gate.calls)
        (task,) = it.workers._pool.unfinished()

        def give_up() -> list[Task]:
            it.workers._pool.result_queue.add([Output(task.lease, b"1")])
            return []

        monkeypatch.setattr(it.workers._pool, "give_up", give_up)
        await it.workers.drain(0.0)
        assert (it.workers._pool.result_queue.packets, it.workers._reports.size) == (0, 0)
        assert (await it.ledger.resource("call-17")).done == 1
