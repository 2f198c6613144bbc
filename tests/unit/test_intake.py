"""The intake: limits before the store is asked, and what happens to what the store hands out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import Raw

from collator.errors import StorageFull, Unavailable, Uncertain
from collator.intake import Intake, tally
from collator.messages import Accepted, Group, Lease, Run, tasks_of
from collator.metrics import Metrics
from collator.packet import ACCEPTED, DUPLICATE, Packet, Receipt, Status
from tests.http.listener import Sender, Workers


class Script:
    """A ledger that accepts what the test says, when it says so."""

    def __init__(self) -> None:
        self.capacities: list[int] = []
        self.operations: list[str] = []
        self.lost = 0
        """How many of the next answers are lost."""
        self.open = asyncio.Event()
        self.answer: Accepted | Exception = Accepted(1, (), (), 0, frozenset())

    async def accept(self, groups: Sequence[Group], *, capacity: int, operation: str = "") -> Accepted:
        self.capacities.append(capacity)
        self.operations.append(operation)
        await self.open.wait()
        if len(self.operations) <= self.lost:
            raise Uncertain(retry_after=0.0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Parts:
    def __init__(self) -> None:
        self.ledger, self.workers, self.sender, self.metrics = Script(), Workers(), Sender(), Metrics()
        self.intake = Intake(self.ledger, self.workers, self.sender, metrics=self.metrics)  # type: ignore[arg-type]

    def counted(self, status: Status) -> float:
        return float(self.metrics.packets.labels(status)._value.get())


@pytest.fixture
def parts() -> Parts:
    return Parts()


def packets(count: int) -> list[Packet]:
    return [Packet("r", index, Raw(b"0")) for index in range(count)]


async def test_calls_at_the_same_time_share_the_room_of_the_workforce(parts: Parts) -> None:
    parts.workers.places = 5
    async with asyncio.TaskGroup() as group:
        for count in (2, 2, 2, 2):
            group.create_task(parts.intake.accept(packets(count)))
        group.create_task(asyncio.to_thread(lambda: None)).add_done_callback(lambda _: parts.ledger.open.set())
    assert parts.ledger.capacities == [2, 2, 1, 0]
    await parts.intake.accept(packets(9))
    assert parts.ledger.capacities[-1] == 5


async def test_room_is_free_again_after_an_error(parts: Parts) -> None:
    parts.workers.places = 2
    parts.ledger.open.set()
    parts.ledger.answer = StorageFull()
    for _ in range(2):
        with pytest.raises(StorageFull):
            await parts.intake.accept(packets(2))
    assert parts.ledger.capacities == [2, 2]
    assert (parts.workers.tasks, parts.workers.notified) == ([], 0)


async def test_what_is_handed_out_is_handed_on(parts: Parts) -> None:
    run = Run("r", b"g", Lease(7, 7), [0], [b"0"], [1])
    parts.ledger.open.set()
    parts.ledger.answer = Accepted(2, (), [run], 1, frozenset({"default"}))
    assert await parts.intake.accept(packets(2)) == [ACCEPTED, ACCEPTED]
    assert (parts.workers.tasks, parts.workers.notified) == (tasks_of([run]), 1)
    assert (parts.sender.deliveries, parts.sender.endpoints) == ([], {"default"})


async def test_p1_packets_whose_answer_is_lost_are_offered_again_as_the_same_operation(parts: Parts) -> None:
    run = Run("r", b"g", Lease(7, 7), [0], [b"0"], [1])
    parts.ledger.open.set()
    parts.ledger.answer, parts.ledger.lost = Accepted(1, (), [run], 0, frozenset()), 2
    assert await parts.intake.accept(packets(1)) == [ACCEPTED]
    assert (len(parts.ledger.operations), len({*parts.ledger.operations})) == (3, 1)
    assert parts.workers.tasks == tasks_of([run])


async def test_p7_a_drained_intake_refuses_before_the_store_is_asked(parts: Parts) -> None:
    parts.intake.drain()
    with pytest.raises(Unavailable) as refusal:
        await parts.intake.accept(packets(1))
    assert refusal.value.retry_after > 0
    assert parts.ledger.capacities == []


async def test_p7_a_call_under_way_ends_as_it_would_have(parts: Parts) -> None:
    accepting = asyncio.create_task(parts.intake.accept(packets(1)))
    accepting.add_done_callback(lambda _: None)
    await asyncio.wait({asyncio.create_task(asyncio.to_thread(parts.intake.drain))})
    parts.ledger.open.set()
    assert await accepting == [ACCEPTED]


async def test_receipts_are_counted_by_status(parts: Parts) -> None:
    conflict = Receipt(Status.CONFLICT, "why")
    parts.ledger.open.set()
    for receipts in ([ACCEPTED], [conflict], [ACCEPTED] * 3, [ACCEPTED, DUPLICATE, conflict]):
        exceptions = [(place, one) for place, one in enumerate(receipts) if one is not ACCEPTED]
        parts.ledger.answer = Accepted(len(receipts), exceptions, (), 0, frozenset())
        await parts.intake.accept(packets(len(receipts)))
    assert [parts.counted(s) for s in (Status.ACCEPTED, Status.DUPLICATE, Status.CONFLICT)] == [5, 1, 2]


def test_a_tally_counts_each_status() -> None:
    assert tally([]) == {}
    assert tally([ACCEPTED] * 4) == {Status.ACCEPTED: 4}
    assert tally([ACCEPTED, Receipt(Status.REFUSED, "a"), Receipt(Status.REFUSED, "b")]) == {
        Status.ACCEPTED: 1,
        Status.REFUSED: 2,
    }
