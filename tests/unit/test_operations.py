"""Calls that are made again, where their answer was lost, and the answers that a ledger keeps for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import Raw

from collator.errors import Conflict, Uncertain
from collator.ledgers.batching import answers
from collator.ledgers.batching.answers import Answers
from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.messages import Batch, Output, tasks_of
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.seams.operations import TRIES, Operations
from collator.testing import ManualClock


class Losing:
    """A verb whose first answers are lost."""

    def __init__(self, lost: int, *, retry_after: float = 0.0) -> None:
        self.lost, self.retry_after = lost, retry_after
        self.operations: list[str] = []

    async def __call__(self, value: int, *, operation: str = "") -> int:
        self.operations.append(operation)
        if len(self.operations) <= self.lost:
            raise Uncertain(retry_after=self.retry_after)
        return value


async def test_a_call_whose_answer_is_lost_is_made_again_as_the_same_operation() -> None:
    verb = Losing(TRIES - 1)
    assert await Operations().certain(verb, 7) == 7
    assert (len(verb.operations), len({*verb.operations})) == (TRIES, 1)


async def test_who_gets_no_answer_at_all_is_told_so() -> None:
    verb = Losing(100)
    with pytest.raises(Uncertain):
        await Operations().certain(verb, 7)
    assert len(verb.operations) == TRIES


async def test_who_calls_again_waits_as_long_as_the_error_says(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await Operations().certain(Losing(2, retry_after=7.5), 7)
    assert waited == [7.5, 7.5]


async def test_no_two_operations_have_one_id() -> None:
    ids = [operations.new() for operations in (Operations(), Operations()) for _ in range(100)]
    assert len({*ids}) == 200


def test_p5_answers_are_kept_within_bounds() -> None:
    kept = Answers()
    for number in range(answers.OPERATIONS + 5):
        kept.keep(str(number), number, 1)
    assert [str(number) in kept for number in (4, 5)] == [False, True]
    kept.keep("large", "large", answers.BYTES)
    assert ["large" in kept, str(answers.OPERATIONS + 4) in kept] == [True, False]
    kept.keep("larger", "larger", 2 * answers.BYTES)
    assert ["large" in kept, "larger" in kept] == [False, True]
    for name in ("small", "smaller"):
        kept.keep(name, name, 1)
    assert [name in kept for name in ("larger", "small", "smaller")] == [False, True, True]


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    limits = LedgerLimits()
    opened = await open_ledger(tmp_path, ledger_limits=limits, clock=ManualClock(), route=lambda _: ["default"])
    yield opened
    await opened.aclose()


async def test_calls_of_one_operation_that_come_together_are_one(ledger: SqliteLedger) -> None:
    await ledger.accept(Batch([Packet("r", index, Raw(b"1")) for index in range(4)]).groups, capacity=0)
    answers_ = await asyncio.gather(*[ledger.claim(capacity=3, operation="o") for _ in range(5)])
    assert [len(tasks_of(runs)) for runs in answers_] == [3] * 5
    assert len({task.lease for runs in answers_ for task in tasks_of(runs)}) == 3
    assert len(tasks_of(await ledger.claim(capacity=3, operation="p"))) == 1


async def test_an_error_is_no_answer_that_is_kept(ledger: SqliteLedger) -> None:
    await ledger.accept(Batch([Packet("r", 5, Raw(b"1"))]).groups, capacity=0)
    with pytest.raises(Conflict):
        await ledger.complete("r", total=3, operation="o")
    assert (await ledger.complete("r", total=6, operation="o")).closed == 0


async def test_p5_of_answers_that_hold_much_few_are_kept(ledger: SqliteLedger) -> None:
    large = Raw(b'"%b"' % (b"x" * (answers.BYTES // 4)))
    for number in range(6):
        await ledger.accept([[Packet("r", number, large)]], capacity=1, operation=str(number))
    assert [number for number in range(6) if str(number) in ledger._writer._answers] == [3, 4, 5]


async def test_p5_of_claims_and_ends_that_hold_much_few_are_kept(ledger: SqliteLedger) -> None:
    payload, body = (b'"%b"' % (b"x" * size) for size in (answers.BYTES // 4, answers.BYTES // 20))
    await ledger.accept([[Packet(f"r{number}", 0, Raw(payload), last=True)] for number in range(22)], capacity=0)
    for number in range(22):
        (task,) = tasks_of(await ledger.claim(capacity=1, operation=f"claim {number}"))
        await ledger.record([Output(task.lease, body)], capacity={"default": 1}, operation=f"record {number}")
    kept = ledger._writer._answers
    assert [number for number in range(22) if f"claim {number}" in kept] == [19, 20, 21]
    assert [number for number in range(22) if f"record {number}" in kept] == [18, 19, 20, 21]


async def test_p5_of_claims_of_many_small_packets_few_are_kept(ledger: SqliteLedger) -> None:
    many = answers.BYTES // answers.ITEM // 2
    for first in range(0, 3 * many, 1024):
        packets = [Packet("r", index, Raw(b"1")) for index in range(first, first + 1024)]
        await ledger.accept([packets], capacity=0)
    for number in range(3):
        assert len(tasks_of(await ledger.claim(capacity=many, operation=f"claim {number}"))) == many
    assert [number for number in range(3) if f"claim {number}" in ledger._writer._answers] == [2]
