"""Upkeep gives way: what it does in one step is short, however much there is, and others have their turn between."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import count, product, repeat
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from collator.janitor import PURGED
from collator.ledgers.batching.calls import Call, Verb
from collator.ledgers.sqlite import SqliteLedger, open_ledger, slices, writer
from collator.ledgers.sqlite.slices import SECONDS, Slice, in_units
from collator.ledgers.sqlite.steps import PURGE, execute
from collator.ledgers.sqlite.store import Store
from collator.messages import Attempt, Batch, DeliveryFilter, Failure, Lease, Output, Retry, tasks_of
from collator.packet import Packet
from collator.rules.footprint import of_packet
from collator.rules.resource import LedgerLimits
from collator.states import DeliveryState, OnFailure
from collator.testing import ManualClock
from tests.harness.store import changes

MANY = 3000
LONGEST = 0.03
"""Seconds of a processor that a step may take: a slice, and what is written at its end."""
TERMS = LedgerLimits(idle_timeout=100.0, retention=100.0, remember=1000.0, on_failure=OnFailure.HOLD)

Steps = list[float]
"""Seconds of a processor that each step took."""


def test_a_slice_takes_the_first_unit_in_any_case() -> None:
    clock = iter([0.0, 9.0, 9.0])
    assert [*Slice(1.0, now=lambda: next(clock)).take("abc")] == ["a"]


def test_a_slice_takes_units_while_it_lasts() -> None:
    clock = iter([0.0, 0.4, 0.9, 1.1])
    assert [*Slice(1.0, now=lambda: next(clock)).take("abcdef")] == ["a", "b", "c"]


def test_a_slice_that_owes_rows_lasts_until_they_are_done_and_not_for_ever() -> None:
    now = [0.0]
    owing = Slice(SECONDS, now=lambda: now[0], owed=9)
    now[0] = SECONDS
    assert [owing.lasts(done) for done in (0, 8, 9)] == [True, True, False]
    now[0] = slices.LONGEST
    assert not owing.lasts(8)


def test_units_are_what_there_is() -> None:
    assert [len(unit) for unit in in_units(range(600))] == [256, 256, 88]
    assert [*in_units([])] == []


async def test_what_gives_way_is_committed_alone_between_groups_of_the_others(tmp_path: Path) -> None:
    ledger = await open_ledger(tmp_path, ledger_limits=TERMS, clock=ManualClock(), route=lambda _: [])
    order: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def verb(name: str, *, gives_way: bool = False) -> Verb[Store, None]:
        def step(_store: Store, calls: Sequence[Any]) -> list[None]:
            order.append(f"{name} {len(calls)}")
            begun.set()
            go_on.wait(10)
            return [None] * len(calls)

        return Verb(step, gives_way=gives_way, alone=gives_way)

    first, upkeep, other = verb("first"), verb("upkeep", gives_way=True), verb("other")
    ledger._writer.post(first, ())
    await asyncio.to_thread(begun.wait, 10)
    for queued in [*[upkeep] * 3, *[other] * 5]:
        ledger._writer.post(queued, ())
    go_on.set()
    await ledger.aclose()  # once all of them are done
    assert order == ["first 1", "upkeep 1", "other 5", "upkeep 1", "upkeep 1"]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """What each step takes, from now on."""
    taken: Steps = []

    def timed(store: Store, calls: Sequence[Call]) -> None:
        began = time.thread_time()
        execute(store, calls)
        taken.append(time.thread_time() - began)

    monkeypatch.setattr(writer, "execute", timed)
    return taken


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def ledger(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteLedger]:
    opened = await open_ledger(
        tmp_path, ledger_limits=TERMS, clock=clock, route=lambda _: ["default"], synchronous="off"
    )  # a commit is no part of what is measured
    yield opened
    await opened.aclose()


async def resources(ledger: SqliteLedger, *, number: int = MANY, last: bool = False) -> None:
    """So many resources of one packet each, with its output."""
    for first in range(0, number, 500):
        given = [Packet(f"r{one}", 0, Raw(b"1"), last=last) for one in range(first, min(first + 500, number))]
        tasks = tasks_of((await ledger.accept(Batch(given).groups, capacity=500)).runs)
        await ledger.record([Output(task.lease, b"1") for task in tasks], capacity={})


async def large(
    ledger: SqliteLedger, outcome: Callable[[Lease], Output | Failure | Retry], *, capacity: int = 500
) -> None:
    """One resource of many packets, with gaps between them."""
    for first in range(0, MANY, 500):
        given = [Packet("large", 2 * index, Raw(b"1")) for index in range(first, first + 500)]
        tasks = tasks_of((await ledger.accept(Batch(given).groups, capacity=capacity)).runs)
        await ledger.record([outcome(task.lease) for task in tasks], capacity={})


async def settle(ledger: SqliteLedger, state: DeliveryState) -> None:
    for is_large in (False, True):
        while taken := await ledger.claim_deliveries("default", capacity=500, large=is_large):
            await ledger.record_attempts([Attempt(one, state, "so it ended") for one in taken])


async def expire(ledger: SqliteLedger, clock: ManualClock, steps: Steps) -> None:
    await resources(ledger)
    await ledger.expire(accepting=True, limit=1, capacity={})
    clock.advance(101)
    steps.clear()
    while (await ledger.expire(accepting=True, limit=1000, capacity={"default": 100})).more:
        pass
    assert (await ledger.counts()).incomplete == MANY


async def purge(ledger: SqliteLedger, clock: ManualClock, steps: Steps) -> None:
    await resources(ledger, last=True)
    await settle(ledger, DeliveryState.DELIVERED)
    clock.advance(101)
    steps.clear()
    while await ledger.purge(limit=1000) >= 1000:
        pass
    assert (await ledger.counts()).collated == 0


async def forget(ledger: SqliteLedger, clock: ManualClock, steps: Steps) -> None:
    await purge(ledger, clock, steps)
    clock.advance(1001)
    steps.clear()
    while await ledger.purge(limit=1000) >= 1000:
        pass
    assert (await ledger.counts()).remembered == 0


async def replay(ledger: SqliteLedger, _clock: ManualClock, steps: Steps) -> None:
    await resources(ledger, last=True)
    await settle(ledger, DeliveryState.DEAD)
    steps.clear()
    replayed = await ledger.replay(DeliveryFilter(state=DeliveryState.DEAD), limit=MANY)
    assert (replayed.replayed, [*replayed.endpoints], (await ledger.counts()).due) == (MANY, ["default"], MANY)


async def delete(ledger: SqliteLedger, _clock: ManualClock, steps: Steps) -> None:
    await large(ledger, lambda lease: Output(lease, b"1"))
    await ledger.complete("large", force=True)
    await settle(ledger, DeliveryState.DELIVERED)
    steps.clear()
    removed = await ledger.purge(limit=1000, resource_id="large")
    while more := await ledger.purge(limit=1000):
        removed += more
    assert removed > MANY
    assert await ledger.resources() == []


async def retry(ledger: SqliteLedger, _clock: ManualClock, steps: Steps) -> None:
    await large(ledger, lambda lease: Failure(lease, "no"))
    steps.clear()
    assert await ledger.retry("large") == MANY
    report, counts = await ledger.resource("large"), await ledger.counts()
    assert (report.failed, counts.waiting, counts.backlog - counts.open_bytes) == (0, MANY, MANY * of_packet(1))


async def due_retries(ledger: SqliteLedger, clock: ManualClock, steps: Steps) -> None:
    await large(ledger, lambda lease: Retry(lease, "not now", 10.0))
    clock.advance(11)
    steps.clear()
    found = 0
    while found < MANY:
        found += len(tasks_of(await ledger.claim(capacity=100)))


@pytest.mark.parametrize("verb", [expire, purge, forget, replay, delete, retry, due_retries])
async def test_no_step_of_upkeep_takes_long(
    ledger: SqliteLedger,
    clock: ManualClock,
    steps: Steps,
    verb: Callable[[SqliteLedger, ManualClock, Steps], Awaitable[None]],
) -> None:
    await verb(ledger, clock, steps)
    assert max(steps) < LONGEST, sorted(steps)[-5:]
    assert sum(steps) < (len(steps) + 1) * 4 * SECONDS


@pytest.mark.parametrize(("timer", "closed"), [(repeat(0.0), [20, 0]), (count(), [1] * 20 + [0])])
async def test_how_much_a_step_does_goes_by_the_timer_that_the_ledger_is_given(
    tmp_path: Path, clock: ManualClock, timer: Iterator[float], closed: Sequence[int]
) -> None:
    opened = await open_ledger(
        tmp_path, ledger_limits=TERMS, clock=clock, route=lambda _: [], timer=lambda: next(timer)
    )
    await resources(opened, number=20)
    await opened.expire(accepting=True, limit=1, capacity={})
    clock.advance(101)
    assert [(await opened.expire(accepting=True, limit=50, capacity={})).closed for _ in closed] == closed
    await opened.aclose()


@pytest.mark.parametrize(("number", "packets"), [(500, 1), (100, 20), (1, 1500)])
async def test_what_is_due_is_deleted_as_fast_as_it_comes(tmp_path: Path, number: int, packets: int) -> None:
    """One step between two commits of others, as under an unbroken load; a slice has the time for two units."""
    clock, timer = ManualClock(), count(0.0, 0.002)
    opened = await open_ledger(
        tmp_path, ledger_limits=TERMS, clock=clock, route=lambda _: [], timer=lambda: next(timer), synchronous="off"
    )
    for one in range(8):
        names = [f"{one}-{resource}" for resource in range(number)]
        places = product(range(packets), names)
        given = [Packet(name, index, Raw(b"1"), last=index == packets - 1) for index, name in places]
        tasks = tasks_of((await opened.accept(Batch(given).groups, capacity=len(given))).runs)
        await opened.record([Output(task.lease, b"1") for task in tasks], capacity={})
        clock.advance(101)
        await opened._repair(PURGE, (PURGED, None))
        assert (await opened.counts()).collated <= number
    await opened.aclose()


async def test_what_is_large_is_purged_by_its_bytes(ledger: SqliteLedger) -> None:
    """Its pages are freed one by one, so that a unit of 256 rows of 1 MiB would be 65,536 pages."""
    whole = b'"' + b"x" * 1_000_000 + b'"'
    for index in range(6):
        (task,) = tasks_of((await ledger.accept(Batch([Packet("r", index, Raw(whole))]).groups, capacity=1)).runs)
        await ledger.record([Output(task.lease, whole)], capacity={})
    await ledger.cancel("r")
    statement = ledger._store.statements["purge_packets"]
    with ledger._store.connection as connection:
        connection.execute(statement, [0, 1 << 40, 256, 1024 * 1024])
        assert connection.changes() == 1


async def test_small_resources_are_purged_in_sets_of_few_bytes(
    ledger: SqliteLedger, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = b'"' + b"x" * 700_000 + b'"'
    small = [(f"a{number}", b"1") for number in range(72)]
    for resource_id, payload in [*small, ("b", whole), ("c", whole), ("d", b"1")]:
        await ledger.accept(Batch([Packet(resource_id, 0, Raw(payload))]).groups, capacity=0)
        await ledger.cancel(resource_id)
        clock.advance(1)
    clock.advance(101)
    sets = changes(monkeypatch, ledger._store, "delete_resources")
    while await ledger.purge(limit=1000) >= 1000:
        pass
    assert sets == [64, 9, 2]  # as many as a set has, as the bytes of a unit allow, the rest
    assert (await ledger.counts()).cancelled == 0


async def test_a_retry_is_over_where_the_resource_ends_meanwhile(ledger: SqliteLedger) -> None:
    await large(ledger, lambda lease: Failure(lease, "no"))
    await asyncio.gather(ledger.retry("large"), ledger.cancel("large"), return_exceptions=True)
    counts = await ledger.counts()
    assert (counts.waiting, counts.backlog, counts.cancelled) == (0, 0, 1)
