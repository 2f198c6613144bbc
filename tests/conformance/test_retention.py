"""What is forgotten, and when: never what is due, and nothing before its time (R25)."""

from __future__ import annotations

import pytest

from collator.errors import Conflict, Unknown
from collator.messages import Counts
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import DeliveryState
from tests.conformance.steps import (
    again,
    claim,
    content,
    dead,
    delivered,
    drain,
    due,
    due_one,
    finish,
    listed,
    packet,
    packets,
    process,
    purge,
    replay,
    send,
)
from tests.conformance.store import Store

TERMS = LedgerLimits(retention=100.0, delivery_lease=30.0)
NOTHING = Counts()
ONE_GONE = Counts(remembered=1)


async def ids(ledger: Ledger) -> list[str]:
    """The resources that are there."""
    return [summary.resource_id for summary in await ledger.resources()]


async def test_r25_retention_runs_from_the_end_of_the_last_delivery(store: Store) -> None:
    ledger = await store.open(TERMS, route=lambda _: ["a", "b"])
    await finish(ledger)
    store.clock.advance(1_000)
    await drain(ledger, "a")
    store.clock.advance(1_000)
    assert await purge(ledger) == 0
    await drain(ledger, "b")
    store.clock.advance(99)
    assert await purge(ledger) == 0
    assert await ids(ledger) == ["r"]
    store.clock.advance(2)
    assert await purge(ledger) > 0
    assert await ids(ledger) == []
    assert await ledger.counts() == ONE_GONE


@pytest.mark.parametrize("state", ["due", "leased", "retried"])
async def test_r25_what_is_due_is_never_purged(store: Store, state: str) -> None:
    ledger = await store.open(LedgerLimits(retention=100.0, delivery_lease=1_000_000.0))
    await finish(ledger)
    taken = [] if state == "due" else await due(ledger)
    if state == "retried":
        await ledger.record_attempts([again(delivery, 50.0) for delivery in taken])
    store.clock.advance(100_000)
    assert await purge(ledger) == 0
    with pytest.raises(Conflict):
        await ledger.purge(limit=1_000, resource_id="r")
    assert (await ledger.counts()).due == 1
    store.clock.advance(1_000_000)
    assert len(await due(ledger)) == 1


async def test_r25_what_is_open_is_never_purged(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, packet("r", 0))
    store.clock.advance(100_000)
    assert await purge(ledger) == 0
    with pytest.raises(Conflict):
        await ledger.purge(limit=1_000, resource_id="r")
    assert len(await claim(ledger)) == 1


async def test_r25_what_was_never_to_be_delivered_is_kept_from_its_end(store: Store) -> None:
    ledger = await store.open(TERMS, route=lambda _: [])
    await send(ledger, packet("cancelled", 0))
    await ledger.cancel("cancelled")
    await finish(ledger, "pulled")
    store.clock.advance(99)
    assert await purge(ledger) == 0
    store.clock.advance(2)
    await purge(ledger)
    assert await ids(ledger) == []


async def test_r25_a_late_2xx_starts_retention_too(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    lost = await due_one(ledger)
    store.clock.advance(31)
    await due_one(ledger)
    await ledger.record_attempts([delivered(lost)])
    store.clock.advance(101)
    await purge(ledger)
    assert await ids(ledger) == []


async def test_r25_a_replay_stops_retention_and_its_end_starts_it_anew(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    await drain(ledger)
    store.clock.advance(60)
    await replay(ledger, resource_id="r")
    store.clock.advance(60)
    assert await purge(ledger) == 0
    await drain(ledger)
    store.clock.advance(60)
    assert await purge(ledger) == 0
    store.clock.advance(41)
    await purge(ledger)
    assert await ids(ledger) == []


async def test_r25_dead_deliveries_are_kept_for_ever_by_default(store: Store) -> None:
    ledger = await store.open(TERMS, route=lambda _: ["a", "b"])
    await finish(ledger)
    await drain(ledger, "a")
    await ledger.record_attempts([dead(await due_one(ledger, "b"))])
    store.clock.advance(100_000_000)
    assert await purge(ledger) == 0
    await replay(ledger, resource_id="r", state=DeliveryState.DEAD)
    assert (await content(ledger, await due_one(ledger, "b")))["data"]["outputs"] == [0]


async def test_r25_dead_deliveries_are_kept_for_their_own_time(store: Store) -> None:
    ledger = await store.open(LedgerLimits(retention=100.0, dead_retention=500.0))
    await finish(ledger)
    await ledger.record_attempts([dead(await due_one(ledger))])
    store.clock.advance(499)
    assert await purge(ledger) == 0
    store.clock.advance(2)
    await purge(ledger)
    assert await ids(ledger) == []
    assert await ledger.counts() == ONE_GONE


@pytest.mark.parametrize("before", [None, 100_000.0])
async def test_r25_a_retention_of_the_dead_that_was_changed_holds_for_those_that_are(
    store: Store, before: float | None
) -> None:
    ledger = await store.open(LedgerLimits(dead_retention=before), route=lambda _: ["a", "b"])
    await finish(ledger, "dead")
    await finish(ledger, "due")
    for delivery in [*await due(ledger, "a"), *await due(ledger, "b")]:
        ended = (delivery.resource_id, delivery.endpoint) != ("due", "b")
        await ledger.record_attempts([dead(delivery) if ended else again(delivery)])
    await store.stop_all()
    ledger = await store.open(LedgerLimits(dead_retention=500.0))
    store.clock.advance(499)
    assert await purge(ledger) == 0
    store.clock.advance(2)
    await purge(ledger)
    assert await ids(ledger) == ["due"]


async def test_r25_a_person_may_forget_a_dead_one_at_once(ledger: Ledger) -> None:
    await finish(ledger, "dead")
    await ledger.record_attempts([dead(await due_one(ledger))])
    await finish(ledger, "delivered")
    await drain(ledger)
    assert await ledger.purge(limit=1_000, resource_id="dead") > 0
    assert await ids(ledger) == ["delivered"]
    with pytest.raises(Unknown):
        await ledger.resource("dead")


async def test_r25_what_a_person_forgets_does_not_wait_behind_all_that_is_due_to_be_forgotten(store: Store) -> None:
    ledger = await store.open(TERMS)
    for number in range(20):
        await finish(ledger, f"old{number}")
    await drain(ledger)
    store.clock.advance(101)
    await finish(ledger, "wanted")
    await drain(ledger)
    assert await ledger.purge(limit=10, resource_id="wanted") > 0
    assert len(await ids(ledger)) > 10
    with pytest.raises(Unknown):
        await ledger.resource("wanted")


async def test_purge_goes_in_slices_and_comes_to_an_end(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, *packets(300, "big"))
    await finish(ledger, "small")
    await process(ledger)
    await drain(ledger)
    store.clock.advance(101)
    rows = [await ledger.purge(limit=20) for _ in range(100)]
    assert max(rows) <= 60
    assert sum(rows) >= 302
    assert rows[-1] == 0
    assert await ledger.counts() == Counts(remembered=2)


async def test_purge_in_slices_never_touches_a_new_generation(store: Store) -> None:
    ledger = await store.open(LedgerLimits(retention=100.0, delivery_lease=30.0, remember=None))
    await send(ledger, *packets(300))
    await process(ledger)
    await drain(ledger)
    store.clock.advance(101)
    statuses = set()
    for index in range(400):
        gone = await ledger.purge(limit=10)
        statuses |= set(await send(ledger, packet("r", 500 + index)))
        if not gone:
            break
    assert statuses <= {Status.CLOSED, Status.ACCEPTED}
    assert Status.ACCEPTED in statuses
    received = (await ledger.resource("r")).received
    assert await purge(ledger) == 0
    assert (await ledger.resource("r")).received == received
    assert len(await claim(ledger)) == received


async def test_purge_in_slices_goes_on_after_an_unclean_stop(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, *packets(100))
    await process(ledger)
    await drain(ledger)
    store.clock.advance(101)
    await ledger.purge(limit=10)
    ledger = await store.crash()
    await purge(ledger, limit=10)
    assert await ids(ledger) == []
    assert await ledger.counts() == ONE_GONE


async def test_r25_what_is_forgotten_in_part_is_shown_to_nobody(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, *packets(100))
    await process(ledger)
    await drain(ledger)
    store.clock.advance(101)
    assert await ledger.purge(limit=10)
    assert await ids(ledger) == []
    assert await replay(ledger) == frozenset()
    with pytest.raises(Unknown):
        await ledger.resource("r")


async def test_a_late_2xx_keeps_nothing_of_what_is_being_forgotten(store: Store) -> None:
    ledger = await store.open(TERMS, route=lambda _: ["a", "b"])
    await send(ledger, *packets(100))
    await process(ledger)
    await ledger.record_attempts([dead(await due_one(ledger, "a"))])
    under_way = await due_one(ledger, "b")
    (report,) = await listed(ledger, state=DeliveryState.DUE)
    await ledger.give_up(report.id)
    assert await ledger.purge(limit=10, resource_id="r") == 10
    await ledger.record_attempts([delivered(under_way)])
    await purge(ledger, limit=10)
    assert await ledger.counts() == NOTHING
    assert await send(ledger, packet("r", 0)) == [Status.ACCEPTED]


async def test_purge_leaves_everything_else_as_it_was(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "old")
    await drain(ledger)
    store.clock.advance(50)
    await finish(ledger, "young")
    await drain(ledger)
    await finish(ledger, "due", [b'"kept"'])
    await send(ledger, packet("open", 0))
    store.clock.advance(51)
    await purge(ledger)
    assert await ids(ledger) == ["due", "open", "young"]
    assert await send(ledger, packet("young", 0), packet("open", 0)) == [Status.DUPLICATE] * 2
    assert (await content(ledger, await due_one(ledger)))["data"]["outputs"] == ["kept"]


@pytest.mark.parametrize("stop", ["reopen", "crash"])
async def test_r25_retention_outlives_the_process(store: Store, stop: str) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    await drain(ledger)
    store.clock.advance(60)
    ledger = await (store.crash if stop == "crash" else store.reopen)()
    assert await purge(ledger) == 0
    store.clock.advance(101)
    await purge(ledger)
    assert await ids(ledger) == []
