"""Calls at the same time: the commit order decides, and whichever it is, the promises hold (R7, R12)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import pytest

from collator.errors import Ended, Unknown
from collator.messages import Batch, Failure, Recorded, StepResult, tasks_of
from collator.packet import Packet, Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import State
from tests.conformance.steps import (
    PLENTY,
    claim,
    content,
    due,
    echo,
    finish,
    packet,
    packets,
    places,
    process,
    record,
    send,
    webhook,
)
from tests.conformance.store import Store


async def test_r7_of_equal_packets_at_the_same_time_one_is_accepted(ledger: Ledger) -> None:
    answers = await asyncio.gather(*(send(ledger, *packets(20)) for _ in range(8)))
    for statuses in zip(*answers, strict=True):
        assert Counter(statuses) == {Status.ACCEPTED: 1, Status.DUPLICATE: 7}
    assert len(await claim(ledger)) == 20


async def test_r7_of_contradicting_packets_at_the_same_time_one_is_accepted(ledger: Ledger) -> None:
    answers = await asyncio.gather(*(send(ledger, packet("r", 0, b"%d" % value)) for value in range(8)))
    assert Counter(status for (status,) in answers) == {Status.ACCEPTED: 1, Status.CONFLICT: 7}
    (task,) = await claim(ledger)
    assert answers[int(task.payload)] == [Status.ACCEPTED]


async def test_r7_of_contradicting_totals_at_the_same_time_one_holds(ledger: Ledger) -> None:
    await asyncio.gather(*(send(ledger, packet("r", index, last=True)) for index in range(8)))
    report = await ledger.resource("r")
    assert report.total is not None
    assert (report.received, [*report.missing]) == (1, [(0, report.total - 2)] if report.total > 1 else [])


async def test_a_packet_is_handed_out_once_to_claims_at_the_same_time(ledger: Ledger) -> None:
    await send(ledger, *packets(200))
    answers = await asyncio.gather(*(claim(ledger, capacity=30) for _ in range(10)))
    keys = [task.key.index for tasks in answers for task in tasks]
    assert sorted(keys) == [*range(200)]


async def test_a_packet_is_handed_out_once_to_accept_and_claim_at_the_same_time(ledger: Ledger) -> None:
    accepts, claims = await asyncio.gather(
        asyncio.gather(*(ledger.accept(Batch(packets(10, f"r{number}")).groups, capacity=7) for number in range(10))),
        asyncio.gather(*(claim(ledger, capacity=10) for _ in range(10))),
    )
    handed = [task.key for accepted in accepts for task in tasks_of(accepted.runs)]
    handed += [task.key for tasks in [*claims, await claim(ledger)] for task in tasks]
    assert len(handed) == len(set(handed)) == 100


async def test_who_offers_packets_at_the_same_time_is_handed_out_none_of_another(ledger: Ledger) -> None:
    names = [f"r{number}" for number in range(10)]
    await send(ledger, *(packet(name, 0) for name in names))
    await process(ledger)
    answers = await asyncio.gather(
        *(ledger.accept(Batch([packet(name, 0), packet(name, 1)]).groups, capacity=5) for name in names)
    )
    for name, accepted in zip(names, answers, strict=True):
        assert [receipt.status for receipt in accepted.receipts] == [Status.DUPLICATE, Status.ACCEPTED]
        handed_out = places(tasks_of(accepted.runs))
        assert handed_out in ([], [(name, 1)])
        assert len(handed_out) + accepted.waiting == 1


async def test_r12_of_outcomes_at_the_same_time_each_end_is_told_once(ledger: Ledger) -> None:
    names = [f"r{number}" for number in range(10)]
    await send(ledger, *(packet(name, 0, last=True) for name in names))
    tasks = await claim(ledger)
    steps = await asyncio.gather(*(ledger.record(echo([task]), capacity={"default": PLENTY}) for task in tasks))
    assert sorted(delivery.resource_id for step in steps for delivery in step.deliveries) == names
    assert sum(step.closed for step in steps) == 10


async def test_p6_of_failures_at_the_same_time_each_caller_is_told_his_own(ledger: Ledger) -> None:
    await send(ledger, *(packet(f"r{number}", 0, last=True) for number in range(10)))
    tasks = await claim(ledger)
    steps = await asyncio.gather(*(ledger.record([Failure(task.lease, "no")], capacity={}) for task in tasks))
    assert [step.failed for step in steps] == [task.key for task in tasks]


async def test_p2_of_outcomes_under_one_lease_at_the_same_time_one_counts(ledger: Ledger) -> None:
    await send(ledger, *packets(5, last=False))
    tasks = await claim(ledger)
    answers = await asyncio.gather(*(record(ledger, *echo(tasks)) for _ in range(6)))
    for statuses in zip(*answers, strict=True):
        assert Counter(statuses) == {Recorded.RECORDED: 1, Recorded.LOST: 5}
    assert (await ledger.resource("r")).done == 5


async def test_r12_a_resource_whose_last_outcomes_come_at_the_same_time_closes_once(ledger: Ledger) -> None:
    for number in range(20):
        await send(ledger, *packets(4, f"r{number}"))
        tasks = await claim(ledger)
        outcomes = await asyncio.gather(*(ledger.record(echo([task]), capacity={"default": 1}) for task in tasks))
        assert sum(outcome.closed for outcome in outcomes) == 1
        ((delivery,),) = [outcome.deliveries for outcome in outcomes if outcome.deliveries]
        assert (await content(ledger, delivery))["data"]["outputs"] == [0, 1, 2, 3]
    assert not await due(ledger)


async def test_r12_record_and_force_at_the_same_time_close_once(ledger: Ledger) -> None:
    for number in range(20):
        name = f"r{number}"
        await send(ledger, *packets(2, name))
        tasks = await claim(ledger)
        recorded, forced = await asyncio.gather(
            ledger.record(echo(tasks), capacity={}), ledger.complete(name, force=True), return_exceptions=False
        )
        assert recorded.closed + forced.closed == 1
        assert len((await ledger.resource(name)).deliveries) == 1
        told = set(recorded.statuses)
        assert told == ({Recorded.RECORDED} if recorded.closed else {Recorded.CLOSED})


async def test_r12_record_and_cancel_at_the_same_time_end_once(ledger: Ledger) -> None:
    for number in range(20):
        name = f"r{number}"
        await send(ledger, *packets(2, name))
        tasks = await claim(ledger)
        recorded, cancelled = await asyncio.gather(
            ledger.record(echo(tasks), capacity={}), ledger.cancel(name), return_exceptions=True
        )
        assert isinstance(recorded, StepResult)
        report = await ledger.resource(name)
        if cancelled is True:
            assert (report.state, recorded.closed, [*report.deliveries]) == (State.CANCELLED, 0, [])
        else:
            assert isinstance(cancelled, Ended)
            assert (report.state, recorded.closed, len(report.deliveries)) == (State.COLLATED, 1, 1)


async def test_r12_a_packet_and_the_idle_timeout_at_the_same_time(store: Store) -> None:
    ledger = await store.open(LedgerLimits(idle_timeout=100.0))
    for number in range(10):
        name = f"r{number}"
        await ledger.expire(accepting=True, limit=PLENTY, capacity={})
        await send(ledger, packet(name, 0))
        await process(ledger)
        store.clock.advance(101)
        (status,), expired = await asyncio.gather(
            send(ledger, packet(name, 1)), ledger.expire(accepting=True, limit=PLENTY, capacity={})
        )
        state = (await ledger.resource(name)).state
        assert (status, state, expired.closed) in [
            (Status.ACCEPTED, State.OPEN, 0),
            (Status.CLOSED, State.INCOMPLETE, 1),
        ]
        await ledger.complete(name, force=True)


async def test_p4_a_delivery_is_handed_out_once_to_claims_at_the_same_time(ledger: Ledger) -> None:
    for number in range(20):
        await finish(ledger, f"r{number}")
    answers = await asyncio.gather(*(due(ledger, capacity=6) for _ in range(6)))
    handed = [delivery.resource_id for deliveries in answers for delivery in deliveries]
    assert len(handed) == len(set(handed)) == 20


@pytest.mark.parametrize("senders", [2, 16])
async def test_p3_many_senders_at_the_same_time_make_one_whole_body(ledger: Ledger, senders: int) -> None:
    async def work(share: Sequence[Packet]) -> None:
        for one in share:
            await send(ledger, one)
            await process(ledger, capacity=3)

    await asyncio.gather(*(work(packets(160)[start::senders]) for start in range(senders)))
    while (await process(ledger)).statuses:
        pass
    assert (await webhook(ledger))["data"]["outputs"] == [*range(160)]


async def test_a_look_at_the_same_time_as_a_step_sees_all_of_it_or_nothing(ledger: Ledger) -> None:
    async def write() -> None:
        for number in range(40):
            await finish(ledger, f"r{number}", [b"0", b"1", b"2"])

    async def look() -> None:
        for number in range(400):
            name = f"r{number % 40}"
            with suppress(Unknown):
                report = await ledger.resource(name)
                found = (report.state, report.closed_at is None, report.done, len(report.deliveries))
                assert found in {(State.OPEN, True, 0, 0), (State.COLLATED, False, 3, 1)}
                assert [*report.unfinished] == ([] if report.done else [(0, 2)])

    await asyncio.gather(write(), look())
