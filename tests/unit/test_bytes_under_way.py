"""P5: what is under way between the processor and the store is bounded by its bytes, whatever its number."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from collator.errors import Unavailable
from collator.ledgers.batching.calls import Verb
from collator.ledgers.batching.groups import MOST_BYTES
from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.ledgers.sqlite.log import FURTHER, LONG
from collator.ledgers.sqlite.store import DATABASE
from collator.messages import (
    AnyResult,
    Batch,
    Key,
    Lease,
    Output,
    Run,
    StepResult,
    Task,
    output_size,
    runs_of,
    tasks_of,
)
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Capacity
from collator.states import State
from collator.testing import ManualClock
from collator.workers.loops import AT_ONCE
from collator.workers.reports import PART
from collator.workers.result_bytes import BATCH_OUTPUTS, MOST_UNRECORDED, PORTION
from collator.workers.round_robin import BATCH_SIZE, RoundRobin
from tests.unit.test_pools import PATIENCE, Crew
from tests.unit.test_workers import SOON, setup
from tests.wait import until

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
SWOLLEN = "x" * (MIB - 2)
KINDS: dict[str, dict[str, Any]] = {
    "thread": {"spec": "tests.harness.processors:swelling"},
    "process": {"spec": "tests.harness.processors:swelling", "pool": "process"},
    "coroutine": {"spec": "tests.harness.processors:swelling_on_a_loop"},
    "batch": {"spec": "tests.harness.processors:swelling_together", "batch": 2},
}
CALLS = 60


@pytest.mark.parametrize("kind", KINDS)
async def test_no_call_is_begun_while_many_bytes_wait_for_the_store(kind: str) -> None:
    """The store takes a result only when no call is begun any more."""
    crew = Crew(concurrency=2, **KINDS[kind])
    crew.pool.chunk_size = 100
    unrecorded, peak = crew.pool.result_queue.unrecorded, 0
    crew.pool.start()
    leases = crew.put(*["swell"] * CALLS)

    def look() -> bool:
        nonlocal peak
        crew.look()
        peak = max(peak, len(unrecorded))
        if unrecorded.full():
            unrecorded.remove(MIB)
        return len(crew.results) == len(leases)

    await until(look, PATIENCE)
    crew.pool.stop()
    await until(crew.pool.ended, PATIENCE)
    assert MOST_UNRECORDED <= peak <= MOST_UNRECORDED + 2 * (PORTION + 2 * MIB)


async def test_a_wide_loop_begins_fewer_calls_once_it_knows_that_they_give_much() -> None:
    crew = Crew(concurrency=1000, **KINDS["coroutine"])
    unrecorded, peak = crew.pool.result_queue.unrecorded, 0
    crew.put(*["swell"] * 200)
    crew.pool.start()

    def look() -> bool:
        nonlocal peak
        peak = max(peak, len(unrecorded))
        unrecorded.remove(MIB if unrecorded.full() else 0)
        crew.look()
        return len(crew.results) == 200

    await until(look, PATIENCE)
    crew.pool.stop()
    await until(crew.pool.ended, PATIENCE)
    assert peak <= MOST_UNRECORDED + 2 * AT_ONCE * MIB  # what is begun before the first few of them have ended


async def test_results_are_kept_and_no_more_are_made_while_the_store_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, closed = itertools.count(), True
    backlog = [Packet("r", index, Raw(b"1"), index == CALLS - 1) for index in range(CALLS)]

    def swell(_payload: object) -> str:
        next(calls)
        return SWOLLEN

    ledger_limits = LedgerLimits(max_body=2 * CALLS * MIB)
    async with setup(tmp_path, swell, backlog=backlog, ledger_limits=ledger_limits, sweep=SOON) as it:
        record = it.ledger.record

        async def take(reports: Sequence[AnyResult], *, capacity: Capacity, operation: str) -> StepResult:
            assert output_size(reports) <= 2 * PART
            if closed:
                raise Unavailable("not now", retry_after=SOON)
            return await record(reports, capacity=capacity, operation=operation)

        monkeypatch.setattr(it.ledger, "record", take)
        unrecorded = it.workers._pool.result_queue.unrecorded
        await until(unrecorded.full)
        await until(lambda: it.workers._pool.in_hand() == 0)
        begun = next(calls)
        assert begun <= MOST_UNRECORDED / MIB + 2 * 2
        closed = False
        await until(lambda: it.outbox.endpoints, PATIENCE)
        assert (await it.ledger.resource("r")).done == CALLS
        assert next(calls) == CALLS + 1  # none was made anew
        assert len(unrecorded) == 0


def test_a_batch_is_bounded_by_the_bytes_of_its_payloads() -> None:
    round_robin = RoundRobin(batch=100)
    round_robin.put(
        runs_of(
            Task(Key(name, b"g" * 16, 0), b"x" * 3 * MIB, 1, Lease(0, number)) for number, name in enumerate("abcdefg")
        )
    )
    sizes = [len(round_robin.take(100, size=BATCH_SIZE)) for _ in range(4)]
    assert sizes == [2, 2, 2, 1]
    round_robin.put(runs_of([Task(Key("a", b"g" * 16, 0), b"x" * 3 * BATCH_SIZE, 1, Lease(0, 9))]))
    assert len(round_robin.take(100, size=BATCH_SIZE)) == 1


async def test_a_batch_becomes_smaller_where_its_outputs_are_large() -> None:
    crew = Crew("tests.harness.processors:swelling_together", concurrency=1, batch=50)
    sizes: list[int] = []
    take = crew.pool.buffer.round_robin.take

    def noted(count: int, *, size: int | None = None) -> list[Run]:
        sizes.append(count)
        return take(count, size=size)

    crew.pool.buffer.round_robin.take = noted  # type: ignore[method-assign]
    crew.put(*["swell"] * 400)
    crew.pool.start()
    unrecorded = crew.pool.result_queue.unrecorded

    def look() -> bool:
        crew.look()
        unrecorded.remove(len(unrecorded))
        return len(crew.results) == 400

    await until(look, PATIENCE)
    crew.pool.stop()
    await until(crew.pool.ended, PATIENCE)
    assert (sizes[0], sizes[-1]) == (50, BATCH_OUTPUTS // MIB)


# Commits.


async def open_at(tmp_path: Path, **ledger_limits: Any) -> SqliteLedger:  # noqa: ANN401
    return await open_ledger(
        tmp_path, ledger_limits=LedgerLimits(**ledger_limits), clock=ManualClock(), route=lambda _resource_id: []
    )


async def handed_out(ledger: SqliteLedger, count: int) -> Sequence[Task]:
    given = [Packet(f"r{one}", 0, Raw(b"1"), last=True) for one in range(count)]
    return tasks_of((await ledger.accept(Batch(given).groups, capacity=count)).runs)


async def test_what_comes_at_once_is_committed_in_portions_by_bytes(tmp_path: Path) -> None:
    ledger = await open_at(tmp_path)
    tasks = await handed_out(ledger, 20)
    packets = [Packet(f"large{one}", 0, Raw(b'"%s"' % SWOLLEN.encode())) for one in range(20)]
    commits: list[int] = []
    hold = threading.Event()
    ledger._writer.post(Verb(lambda _store, _calls: [hold.wait(5)], alone=True), None)
    calls = [
        *(ledger.record([Output(task.lease, b'"%s"' % SWOLLEN.encode())], capacity={}) for task in tasks),
        *(ledger.accept(Batch([packet]).groups, capacity=0) for packet in packets),
    ]
    running = [asyncio.ensure_future(call) for call in calls]
    await asyncio.wait(running, timeout=0)
    ledger.watch(lambda _seconds, items: commits.append(items))
    hold.set()
    await asyncio.gather(*running)
    await ledger.aclose()
    assert sum(commits) in {40, 41}
    assert max(commits) * MIB <= MOST_BYTES + MIB  # one item more, of the call that held the writer


async def test_a_call_that_is_larger_than_a_commit_should_be_is_taken_alone(tmp_path: Path) -> None:
    ledger = await open_at(tmp_path)
    large = [Packet("large", one, Raw(b'"%s"' % SWOLLEN.encode()), last=one == 9) for one in range(10)]
    assert 10 * MIB > MOST_BYTES
    accepted, _ = await asyncio.gather(
        ledger.accept(Batch(large).groups, capacity=10),
        ledger.accept(Batch([Packet("s", 0, Raw(b"1"))]).groups, capacity=0),
    )
    await ledger.record([Output(task.lease, task.payload) for task in tasks_of(accepted.runs)], capacity={})
    assert (await ledger.resource("large")).state is State.COLLATED
    await ledger.aclose()


async def test_the_log_stays_short_while_much_is_recorded_and_somebody_always_looks(tmp_path: Path) -> None:
    ledger = await open_at(tmp_path)
    tasks = await handed_out(ledger, 96)
    lengths: list[int] = []

    async def look() -> None:
        while len(lengths) < 24:
            await ledger.outputs("r0")

    async def work() -> None:
        for some in zip(*[iter(tasks)] * 4, strict=True):
            await ledger.record([Output(task.lease, b'"%s"' % SWOLLEN.encode()) for task in some], capacity={})
            lengths.append((tmp_path / f"{DATABASE}-wal").stat().st_size)

    await asyncio.gather(work(), look(), look(), look())
    await ledger.aclose()
    assert max(lengths) <= LONG + FURTHER + 2 * MOST_BYTES < 96 * MIB


async def test_large_payloads_that_wait_are_claimed_until_every_call_has_one(tmp_path: Path) -> None:
    """A claim reads a part of them; the next follows at once, without a hint."""
    host_check, calls = threading.Event(), itertools.count()

    def wait(_payload: object) -> None:
        next(calls)
        assert host_check.wait(PATIENCE)

    backlog = [Packet("r", one, Raw(b'"%s"' % SWOLLEN.encode()), one == 23) for one in range(24)]
    async with setup(tmp_path, wait, backlog=backlog, concurrency=24) as it:
        await until(lambda: repr(calls) == "count(24)", PATIENCE)
        host_check.set()
        assert (await it.ended("r")).done == 24
