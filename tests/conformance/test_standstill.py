"""Time in which nobody could act: the process was stopped, or the store took nothing. No limit runs across it."""

from __future__ import annotations

from collator.messages import Batch, Output, Recorded, tasks_of
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from tests.conformance.steps import (
    PLENTY,
    claim,
    claim_one,
    delivered,
    due,
    due_one,
    finish,
    packet,
    process,
    record,
    send,
)
from tests.conformance.store import Store

TERMS = LedgerLimits(idle_timeout=100.0, task_lease=30.0, delivery_lease=30.0)
LONG = 36.0


async def expire(ledger: Ledger) -> int:
    """Close what has timed out: how many resources."""
    return (await ledger.expire(accepting=True, limit=PLENTY, capacity={})).closed


async def test_p2_a_lease_does_not_end_while_nobody_could_act(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, packet("r", 0, last=True))
    held = await claim_one(ledger)
    store.stand_still(LONG)
    assert not await claim(ledger)
    assert await record(ledger, Output(held.lease, b'"paid for"')) == [Recorded.RECORDED]


async def test_p2_a_lease_from_accept_and_one_that_was_renewed_do_not_either(store: Store) -> None:
    ledger = await store.open(TERMS)
    (first,) = tasks_of((await ledger.accept(Batch([packet("r", 0)]).groups, capacity=1)).runs)
    (second,) = tasks_of((await ledger.accept(Batch([packet("r", 1)]).groups, capacity=1)).runs)
    await ledger.renew([second.lease])
    store.stand_still(LONG)
    assert not await claim(ledger)
    outputs = (Output(first.lease, b"1"), Output(second.lease, b"2"))
    assert await record(ledger, *outputs) == [Recorded.RECORDED] * 2


async def test_p2_a_lease_ends_in_the_time_before_and_after_together(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, packet("r", 0))
    await claim_one(ledger)
    store.clock.advance(20)
    store.stand_still(LONG)
    store.clock.advance(9)
    assert not await claim(ledger)
    store.clock.advance(2)
    assert len(await claim(ledger)) == 1


async def test_r24_a_lease_on_a_delivery_does_not_end_while_nobody_could_act(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    held = await due_one(ledger)
    store.stand_still(LONG)
    assert not await due(ledger)
    store.clock.advance(29)
    assert not await due(ledger)
    store.clock.advance(2)
    again = await due_one(ledger)
    assert again.lease != held.lease
    assert await ledger.record_attempts([delivered(again)]) == [True]


async def test_r24_nor_one_that_came_with_the_output(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, packet("r", 0, last=True))
    (held,) = (await ledger.record([Output((await claim_one(ledger)).lease, b"1")], capacity={"default": 1})).deliveries
    store.stand_still(LONG)
    assert not await due(ledger)
    assert await ledger.record_attempts([delivered(held)]) == [True]


async def test_r13_a_standstill_is_no_silence(store: Store) -> None:
    ledger = await store.open(TERMS)
    await expire(ledger)
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(50)
    assert await expire(ledger) == 0
    store.stand_still(10_000.0)
    assert await expire(ledger) == 0
    store.clock.advance(49)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1


async def test_r13_a_packet_that_comes_before_the_next_look_counts_from_its_own_time(store: Store) -> None:
    ledger = await store.open(TERMS)
    await expire(ledger)
    store.stand_still(10_000.0)
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(99)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1


async def test_r14_a_deadline_is_absolute(store: Store) -> None:
    ledger = await store.open(LedgerLimits(idle_timeout=None, deadline=200.0))
    await send(ledger, packet("r", 0))
    store.stand_still(201.0)
    assert await expire(ledger) == 1
