"""Work does not grow faster than its data, nor with what is open beside it.

Each verb on so much, twice and four times as much, and beside few and many open resources.
Counted are the instructions of SQLite, and the bytes that go into its statements and come out of them: neither depends
on the machine or on what else it does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import apsw
import pytest
from msgspec import Raw

from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.ledgers.sqlite.reader import Reader
from collator.ledgers.sqlite.slices import Slice
from collator.ledgers.sqlite.store import Store
from collator.messages import (
    Attempt,
    Batch,
    DeliveryFilter,
    Failure,
    Lease,
    Output,
    ResourceFilter,
    Result,
    Retry,
    Task,
    tasks_of,
)
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.states import DeliveryState, OnFailure
from collator.testing import ManualClock

SIZES = (100, 200, 400)
MOST = 2.4
"""What twice the data may cost."""
BESIDE = (50, 500)
"""Open resources beside those that a verb is about."""
NO_MORE = 1.2
"""What it may cost beside ten times as many: the B-trees are deeper."""
FEW = 25
"""What one call takes: the number of calls grows with the data."""
TERMS = LedgerLimits(idle_timeout=100.0, retention=100.0, remember=1000.0, on_failure=OnFailure.HOLD)


class Work:
    """What the statements of a ledger cost, since the last `begin`."""

    def __init__(self, ledger: SqliteLedger, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger, self.clock, self.cost = ledger, clock, 0
        for connection in (ledger._store.connection, ledger._reader._connection):
            connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._profiled)
        for part, name in ((Store, "run"), (Store, "value"), (Reader, "_text")):
            monkeypatch.setattr(part, name, self._weighed(getattr(part, name)))
        # The time of a slice depends on the machine, and each further step has a cost of its own.
        monkeypatch.setattr(Slice, "lasts", lambda *_: True)

    def begin(self) -> None:
        """What came before is no part of it."""
        self.cost = 0

    def _profiled(self, event: Mapping[str, Any]) -> None:
        self.cost += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    def _weighed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def weighed(*arguments: object) -> object:
            result = method(*arguments)
            self.cost += sum(len(text) for text in [*arguments, result] if isinstance(text, str))
            return result

        return weighed


def indexes(count: int, order: str) -> Sequence[int]:
    """*count* indexes."""
    match order:
        case "reverse":
            return range(count - 1, -1, -1)
        case "odd after even":
            return [*range(0, count, 2), *range(1, count, 2)]
        case "gaps":
            return range(0, 2 * count, 2)
        case _:
            return range(count)


async def offer(
    work: Work, count: int, order: str = "", *, payload: bytes = b"1", name: str = "r", capacity: int = 0
) -> list[Task]:
    """Give a resource its packets, a few at a time."""
    given = [Packet(name, index, Raw(payload)) for index in indexes(count, order)]
    tasks: list[Task] = []
    for first in range(0, count, FEW):
        tasks += tasks_of((await work.ledger.accept(Batch(given[first : first + FEW]).groups, capacity=capacity)).runs)
    return tasks


async def record(work: Work, tasks: Sequence[Task], result: Callable[[Lease], Result]) -> None:
    for first in range(0, len(tasks), FEW):
        await work.ledger.record([result(task.lease) for task in tasks[first : first + FEW]], capacity={})


def output(lease: Lease) -> Result:
    return Output(lease, b"1")


def failure(lease: Lease) -> Result:
    return Failure(lease, "no")


def retry_later(lease: Lease) -> Result:
    return Retry(lease, "later", 10.0)


async def done(work: Work, count: int, order: str = "gaps", result: Callable[[Lease], Result] = output) -> None:
    await record(work, await offer(work, count, order, capacity=FEW), result)


async def resources(work: Work, count: int, *, last: bool = True, name: str = "r") -> None:
    """So many resources of one packet each."""
    for first in range(0, count, FEW):
        given = [Packet(f"{name}{number:06}", 0, Raw(b"1"), last=last) for number in range(first, first + FEW)]
        await record(work, tasks_of((await work.ledger.accept(Batch(given).groups, capacity=FEW)).runs), output)


async def settle(work: Work, state: DeliveryState, *, delay: float = 0.0) -> None:
    for large in (False, True):
        while taken := await work.ledger.claim_deliveries("default", capacity=FEW, large=large):
            await work.ledger.record_attempts([Attempt(one, state, "so it ended", delay) for one in taken])


async def accept(work: Work, count: int) -> None:
    work.begin()
    await offer(work, count)


async def accept_in_reverse(work: Work, count: int) -> None:
    work.begin()
    await offer(work, count, "reverse")


async def accept_odd_after_even(work: Work, count: int) -> None:
    work.begin()
    await offer(work, count, "odd after even")


async def duplicates(work: Work, count: int) -> None:
    await offer(work, count, "gaps")
    work.begin()
    await offer(work, count, "gaps")


async def conflicts(work: Work, count: int) -> None:
    await offer(work, count, "gaps")
    work.begin()
    await offer(work, count, "gaps", payload=b"2")


async def late_packets(work: Work, count: int) -> None:
    await offer(work, count, "gaps")
    await work.ledger.cancel("r")
    work.begin()
    await offer(work, 2 * count)


async def late_results(work: Work, count: int) -> None:
    tasks = await offer(work, count, "gaps", capacity=FEW)
    await work.ledger.cancel("r")
    work.begin()
    await record(work, tasks, output)


async def opening(work: Work, count: int) -> None:
    work.begin()
    await resources(work, count, last=False)


async def claim(work: Work, count: int) -> None:
    await offer(work, count)
    work.begin()
    while tasks_of(await work.ledger.claim(capacity=FEW)):
        pass


async def record_outputs(work: Work, count: int, result: Callable[[Lease], Result] = output, *, step: int = 1) -> None:
    tasks = await offer(work, count, capacity=FEW)
    work.begin()
    await record(work, tasks[::step], result)


async def record_in_reverse(work: Work, count: int) -> None:
    await record_outputs(work, count, step=-1)


async def record_failures(work: Work, count: int) -> None:
    await record_outputs(work, count, failure)


async def renew_and_release(work: Work, count: int) -> None:
    tasks = await offer(work, count, capacity=FEW)
    work.begin()
    for first in range(0, count, FEW):
        leases = [task.lease for task in tasks[first : first + FEW]]
        await work.ledger.renew(leases)
        await work.ledger.release(leases)


async def lost_leases(work: Work, count: int) -> None:
    await offer(work, count, capacity=FEW)
    work.clock.advance(31)
    work.begin()
    await work.ledger.work_due()


async def due_retries(work: Work, count: int) -> None:
    await done(work, count, result=retry_later)
    work.clock.advance(11)
    work.begin()
    for _ in range(0, count, FEW):
        tasks_of(await work.ledger.claim(capacity=FEW))


async def complete_with_gaps(work: Work, count: int) -> None:
    await done(work, count)
    work.begin()
    await work.ledger.complete("r", force=True)


async def complete_with_failures(work: Work, count: int) -> None:
    await done(work, count, result=failure)
    work.begin()
    await work.ledger.complete("r", force=True)


async def cancel(work: Work, count: int) -> None:
    await offer(work, count, "gaps")
    work.begin()
    await work.ledger.cancel("r")


async def retry(work: Work, count: int) -> None:
    await done(work, count, result=failure)
    work.begin()
    await work.ledger.retry("r")


async def expire(work: Work, count: int) -> None:
    await resources(work, count, last=False)
    await work.ledger.expire(accepting=True, limit=1, capacity={})
    work.clock.advance(101)
    work.begin()
    while (await work.ledger.expire(accepting=True, limit=FEW, capacity={})).more:
        pass


async def delete_with_gaps(work: Work, count: int) -> None:
    await done(work, count)
    await work.ledger.complete("r", force=True)
    await settle(work, DeliveryState.DELIVERED)
    work.begin()
    await _delete(work)


async def delete_cancelled(work: Work, count: int) -> None:
    await offer(work, count, "gaps")
    await work.ledger.cancel("r")
    work.begin()
    await _delete(work)


async def _delete(work: Work) -> None:
    """As a person does, who asks again until it is gone."""
    while (counts := await work.ledger.counts()).incomplete + counts.cancelled:
        await work.ledger.purge(limit=FEW, resource_id="r")


async def purge(work: Work, count: int) -> None:
    await resources(work, count)
    await settle(work, DeliveryState.DELIVERED)
    work.clock.advance(101)
    work.begin()
    while await work.ledger.purge(limit=FEW) >= FEW:
        pass


async def forget(work: Work, count: int) -> None:
    await purge(work, count)
    work.clock.advance(1001)
    work.begin()
    while await work.ledger.purge(limit=FEW) >= FEW:
        pass


async def claim_and_settle(work: Work, count: int) -> None:
    await resources(work, count)
    work.begin()
    await settle(work, DeliveryState.DELIVERED)


async def failed_attempts(work: Work, count: int) -> None:
    """More of them than a delivery keeps, all settled at once."""
    await resources(work, count)
    for _ in range(26):
        taken = await work.ledger.claim_deliveries("default", capacity=count)
        work.begin()
        await work.ledger.record_attempts([Attempt(one, DeliveryState.DUE, "so it ended", 10.0) for one in taken])
        work.clock.advance(11)


async def replay(work: Work, count: int) -> None:
    await resources(work, count)
    await settle(work, DeliveryState.DEAD)
    work.begin()
    after: str | None = ""
    while after is not None:
        after = (await work.ledger.replay(DeliveryFilter(state=DeliveryState.DEAD), after=after, limit=FEW)).after


async def show(work: Work, count: int) -> None:
    await done(work, count)
    work.begin()
    await work.ledger.resource("r")


async def outputs(work: Work, count: int) -> None:
    await done(work, count)
    work.begin()
    after = -1
    while found := (await work.ledger.outputs("r", after=after, limit=FEW)).outcomes:
        after = found[-1].index


async def outcomes(work: Work, count: int) -> None:
    await record(work, (await offer(work, count, capacity=FEW))[::-1], output)
    work.begin()
    after = 0
    while found := (await work.ledger.outcomes("r", after_seq=after, limit=FEW)).outcomes:
        after = found[-1].seq


async def list_resources(work: Work, count: int) -> None:
    await resources(work, count)
    work.begin()
    after = ""
    while found := await work.ledger.resources(after=after, limit=FEW):
        after = found[-1].resource_id


async def list_deliveries(work: Work, count: int) -> None:
    await resources(work, count)
    work.begin()
    after: str | None = ""
    while after is not None:
        after = (await work.ledger.deliveries(DeliveryFilter(), after=after, limit=FEW)).after


async def list_unfinished(work: Work, count: int) -> None:
    for number in range(count):
        await offer(work, 1, name=f"r{number:06}")
        await work.ledger.complete(f"r{number:06}", force=True)
    work.begin()
    after: str | None = ""
    while after is not None:
        after = (await work.ledger.unfinished(ResourceFilter(), after=after, limit=FEW)).after


VERBS: Mapping[str, Callable[[Work, int], Awaitable[None]]] = MappingProxyType({
    verb.__name__: verb
    for verb in (
        accept, accept_in_reverse, accept_odd_after_even, duplicates, conflicts, late_packets, late_results, opening,
        claim, record_outputs, record_in_reverse, record_failures, renew_and_release, lost_leases, due_retries,
        complete_with_gaps, complete_with_failures, cancel, retry, expire, delete_with_gaps, delete_cancelled, purge,
        forget, claim_and_settle, failed_attempts, replay, show, outputs, outcomes, list_resources, list_deliveries,
        list_unfinished,
    )
})  # fmt: skip


ABOUT_ALL = {"expire", "list_resources"}
"""Verbs that concern all that is open."""


async def cost(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: int, *, beside: int = 0) -> int:
    """What the verb *name* costs on *count*, while *beside* further resources are open."""
    with monkeypatch.context() as patch:
        clock = ManualClock()
        ledger = await open_ledger(
            directory, ledger_limits=TERMS, clock=clock, route=lambda _: ["default"], synchronous="off"
        )
        work = Work(ledger, clock, patch)
        await resources(work, beside, last=False, name="other")
        await VERBS[name](work, count)
        await ledger.aclose()
        return work.cost


@pytest.mark.parametrize("name", [*VERBS])
async def test_twice_the_data_costs_twice_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    costs = [await cost(tmp_path / str(count), monkeypatch, name, count) for count in SIZES]
    assert costs[1] < MOST * costs[0], costs
    assert costs[2] < MOST * costs[1], costs


@pytest.mark.parametrize("name", sorted({*VERBS} - ABOUT_ALL))
async def test_what_is_open_beside_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    few, many = [await cost(tmp_path / str(beside), monkeypatch, name, FEW, beside=beside) for beside in BESIDE]
    assert many < NO_MORE * few
