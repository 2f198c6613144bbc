"""What a stop of all nodes leaves behind: all that was acknowledged, and work to go on with (P1, P4).

What the death of a holder means for the packets that it had in work stands in `test_suspects` and `test_deaths`; what a
stop of one node among several means, in `test_nodes`.
"""

from __future__ import annotations

from collator.messages import Batch, Output, Recorded
from collator.rules.resource import LedgerLimits
from tests.conformance.steps import (
    claim,
    claim_one,
    due,
    due_one,
    finish,
    packet,
    packets,
    process,
    record,
    send,
    webhook,
)
from tests.conformance.store import Store


async def test_after_a_clean_stop_what_was_handed_out_is_due_at_once(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch(packets(2, "a")).groups, capacity=2)
    await send(ledger, *packets(2, "b"))
    await claim(ledger, 1)
    ledger = await store.reopen()
    assert len(await claim(ledger)) == 4


async def test_a_clean_stop_counts_no_death(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=2))
    await ledger.accept(Batch(packets(3)).groups, capacity=3)
    for _ in range(5):
        ledger = await store.reopen()
        assert len(await claim(ledger)) == 3
    ledger = await store.reopen()
    await process(ledger)
    assert (await webhook(ledger))["data"]["outputs"] == [0, 1, 2]


async def test_after_a_clean_stop_an_old_lease_is_lost(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0))
    old = await claim_one(ledger)
    ledger = await store.reopen()
    new = await claim_one(ledger)
    assert await record(ledger, Output(old.lease, b'"old"')) == [Recorded.LOST]
    assert await record(ledger, Output(new.lease, b'"new"')) == [Recorded.RECORDED]


async def test_after_an_unclean_stop_an_old_lease_is_lost(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0))
    old = await claim_one(ledger)
    ledger = await store.crash()
    new = await claim_one(ledger)
    assert await record(ledger, Output(old.lease, b'"old"')) == [Recorded.LOST]
    assert await record(ledger, Output(new.lease, b'"new"')) == [Recorded.RECORDED]


async def test_p4_a_delivery_in_flight_at_a_stop_is_sent_again_under_its_id(store: Store) -> None:
    ledger = await store.open()
    await finish(ledger)
    first = await due_one(ledger)
    body = await ledger.body(first)
    for restart in (store.reopen, store.crash):
        ledger = await restart()
        store.clock.advance(31)
        delivery = await due_one(ledger)
        assert (delivery.webhook_id, await ledger.body(delivery)) == (first.webhook_id, body)
    assert not await due(ledger)


async def test_everything_else_is_there_after_an_unclean_stop(store: Store) -> None:
    ledger = await store.open()
    await finish(ledger, "collated")
    await send(ledger, packet("cancelled", 0), packet("forced", 0), packet("open", 2, metadata=b'{"a":1}'))
    await ledger.cancel("cancelled")
    await ledger.complete("forced", force=True)
    await ledger.complete("open", total=9)
    names = ["collated", "cancelled", "forced", "open"]
    before = [await ledger.resource(name) for name in names], await ledger.counts()
    ledger = await store.crash()
    assert ([await ledger.resource(name) for name in names], await ledger.counts()) == before


async def test_suspects_are_found_without_any_hint(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch(packets(2, last=False)).groups, capacity=2)
    ledger = await store.crash()
    assert await ledger.work_due()
