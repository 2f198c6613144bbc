"""Suspects: the packets that a holder had in work when it died (P7). Any of them may be what killed it.

So the node that is handed them next runs them before all others, and alone, for a time. What a death counts for stands
in `test_deaths`.
"""

from __future__ import annotations

import pytest

from collator.messages import Batch, Failure, Recorded, Retry, Task, tasks_of
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import State
from tests.conformance.harness import LedgerClock
from tests.conformance.steps import (
    claim,
    claim_one,
    echo,
    packet,
    packets,
    places,
    process,
    record,
    send,
)
from tests.conformance.store import Store

pytestmark = pytest.mark.one_holder


async def test_suspects_run_one_at_a_time_before_all_others(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch(packets(2, "suspect", last=False)).groups, capacity=2)
    await send(ledger, *packets(2, "other", last=False))
    ledger = await store.crash()
    for _ in range(2):
        task = await claim_one(ledger)
        assert task.key.resource_id == "suspect"
        assert not await claim(ledger)
        await record(ledger, *echo([task]))
    assert places(await claim(ledger)) == [("other", 0), ("other", 1)]


async def test_what_was_claimed_is_suspect_too(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(4, last=False))
    claimed = places(await claim(ledger, 2))
    ledger = await store.crash()
    suspects = []
    for _ in claimed:
        task = await claim_one(ledger)
        suspects += places([task])
        await record(ledger, *echo([task]))
    assert sorted(suspects) == sorted(claimed)
    assert len(await claim(ledger)) == 2


async def test_new_packets_wait_for_the_suspects(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch(packets(2, "suspect", last=False)).groups, capacity=2)
    ledger = await store.crash()
    accepted = await ledger.accept(Batch([packet("new", 0)]).groups, capacity=5)
    assert not tasks_of(accepted.runs)
    await record(ledger, *echo([await claim_one(ledger)]))
    assert not tasks_of((await ledger.accept(Batch([packet("new", 1)]).groups, capacity=5)).runs)
    await record(ledger, *echo([await claim_one(ledger)]))
    assert places(await claim(ledger)) == [("new", 0), ("new", 1)]


async def test_a_packet_that_comes_while_a_suspect_runs_is_not_handed_out_beside_it(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch([packet("suspect", 0)]).groups, capacity=1)
    ledger = await store.crash()
    suspect = await claim_one(ledger)
    accepted = await ledger.accept(Batch([packet("new", 0)]).groups, capacity=5)
    assert (len(accepted.runs), accepted.waiting) == (0, 1)
    await record(ledger, *echo([suspect]))
    assert places(await claim(ledger)) == [("new", 0)]


async def test_a_suspect_that_is_retried_or_fails_makes_way_for_the_next(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch(packets(2, last=False)).groups, capacity=2)
    ledger = await store.crash()
    await record(ledger, Retry((await claim_one(ledger)).lease, "busy", 60.0))
    await record(ledger, Failure((await claim_one(ledger)).lease, "bad"))
    await send(ledger, packet("other", 0))
    assert places(await claim(ledger)) == [("other", 0)]


async def test_a_suspect_whose_resource_ends_makes_way_for_the_next(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch([packet("a", 0), packet("b", 0)]).groups, capacity=2)
    ledger = await store.crash()
    await send(ledger, packet("other", 0))
    first = await claim_one(ledger)
    await ledger.cancel(first.key.resource_id)
    assert await record(ledger, *echo([first])) == [Recorded.CLOSED]
    second = await claim_one(ledger)
    assert {first.key.resource_id, second.key.resource_id} == {"a", "b"}
    await record(ledger, *echo([second]))
    assert places(await claim(ledger)) == [("other", 0)]


async def test_a_suspect_whose_resource_ends_before_its_turn_is_passed_over(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch([packet("a", 0), packet("b", 0), packet("c", 0)]).groups, capacity=3)
    ledger = await store.crash()
    await send(ledger, packet("other", 0))
    await ledger.cancel("a")
    await ledger.complete("b", force=True)
    task = await claim_one(ledger)
    assert task.key.resource_id == "c"
    await record(ledger, *echo([task]))
    assert places(await claim(ledger)) == [("other", 0)]


async def test_nobody_waits_for_suspects_whose_resources_have_ended(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch([packet("a", 0), packet("b", 0)]).groups, capacity=2)
    ledger = await store.crash()
    await ledger.cancel("a")
    await ledger.complete("b", force=True)
    assert not await ledger.work_due()
    accepted = await ledger.accept(Batch([packet("new", 0)]).groups, capacity=5)
    assert places(tasks_of(accepted.runs)) == [("new", 0)]


async def test_a_suspect_whose_lease_ends_stays_alone(store: Store) -> None:
    ledger = await store.open(LedgerLimits(task_lease=30.0))
    await ledger.accept(Batch([packet("suspect", 0)]).groups, capacity=1)
    ledger = await store.crash()
    await send(ledger, packet("other", 0))
    for attempt in (1, 2, 3):
        task = await claim_one(ledger)
        assert (task.key.resource_id, task.attempt) == ("suspect", attempt)
        store.clock.advance(31)
    await process(ledger)
    assert places(await claim(ledger)) == [("other", 0)]


async def test_a_suspect_that_is_given_back_stays_alone(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch([packet("suspect", 0)]).groups, capacity=1)
    ledger = await store.crash()
    await send(ledger, packet("other", 0))
    task = await claim_one(ledger)
    await ledger.release([task.lease])
    assert (await claim_one(ledger)).key.resource_id == "suspect"


async def test_a_suspect_that_takes_long_holds_up_nobody_for_long(store: Store) -> None:
    ledger = await store.open(LedgerLimits(alone=2.0, task_lease=1000.0))
    await ledger.accept(Batch(packets(3, "suspect", last=False)).groups, capacity=3)
    await send(ledger, packet("other", 0))
    ledger = await store.crash()
    begun = []
    for _ in range(3):
        begun.append(await claim_one(ledger))
        store.clock.advance(1.9)
        assert not await claim(ledger)
        assert not tasks_of((await ledger.accept(Batch([packet("new", len(begun))]).groups, capacity=5)).runs)
        store.clock.advance(0.2)
    assert places(await claim(ledger, 1)) == [("other", 0)]
    assert await record(ledger, *echo(begun)) == [Recorded.RECORDED] * 3


async def test_after_each_further_death_a_suspect_is_alone_for_four_times_as_long(store: Store) -> None:
    ledger = await store.open(LedgerLimits(alone=2.0, task_lease=1000.0, max_deaths=100))
    await ledger.accept(Batch(packets(2, "suspect", last=False)).groups, capacity=2)
    for seconds in (2.0, 8.0, 32.0):
        ledger = await store.crash()
        await claim_one(ledger)
        store.clock.advance(seconds - 0.1)
        assert not await claim(ledger)
        store.clock.advance(0.2)
        assert await claim_one(ledger)


async def test_a_packet_that_kills_is_found_among_long_ones_and_takes_none_with_it(store: Store) -> None:
    """It kills as soon as it runs, the others take a minute each."""
    ledger = await store.open(LedgerLimits(alone=2.0, task_lease=1000.0))
    await ledger.accept(Batch([packet(name, 0, last=True) for name in "abcdefgh"]).groups, capacity=8)
    deaths = 0
    while (await ledger.resource("d")).state is State.OPEN:
        deaths += 1
        ledger = await store.crash()
        await _work_until_it_dies(ledger, store.clock)
    assert deaths <= 1 + 3 + 3  # among all, among those that take longer than 2, 8 and 32 seconds, and alone
    assert [(await ledger.resource(name)).state for name in "abcefgh"] == [State.COLLATED] * 7


async def _work_until_it_dies(ledger: Ledger, clock: LedgerClock) -> None:
    """Work until "d" has begun, or nothing is left."""
    under_way: list[tuple[float, Task]] = []
    for _ in range(300):
        begun = await claim(ledger)
        under_way += [(clock.wall() + 60.0, task) for task in begun]
        if "d" in {task.key.resource_id for task in begun}:
            return
        if ended := [task for end, task in under_way if end <= clock.wall()]:
            await record(ledger, *echo(ended))
            under_way = [(end, task) for end, task in under_way if end > clock.wall()]
        clock.advance(2.0)  # nobody is alone for less, nor for a part of it


async def test_where_calls_are_made_elsewhere_suspects_run_side_by_side_first_and_others_beside_them(
    store: Store,
) -> None:
    ledger = await store.open(LedgerLimits(side_by_side=2))
    await ledger.accept(Batch([packet(name, 0) for name in ("a", "b", "c")]).groups, capacity=3)
    await send(ledger, *packets(2, "x", last=False))
    ledger = await store.crash()
    assert places(await claim(ledger, 2)) == [("a", 0), ("b", 0)]
    assert places(await claim(ledger, 5)) == [("c", 0)]
    assert not tasks_of(
        (await ledger.accept(Batch([packet("new", 0)]).groups, capacity=5)).runs
    )  # others have waited for longer
    assert places(await claim(ledger, 1)) == [("x", 0)]
    ledger = await store.crash()
    assert len(await claim(ledger)) == 4
    ledger = await store.crash()  # the third
    assert places(await claim(ledger)) == [("a", 0)]
    assert not await claim(ledger)


async def test_a_suspect_that_is_given_back_side_by_side_stays_first(store: Store) -> None:
    ledger = await store.open(LedgerLimits(side_by_side=1))
    await ledger.accept(Batch([packet(name, 0) for name in ("a", "b")]).groups, capacity=2)
    await send(ledger, packet("x", 0))
    ledger = await store.crash()
    await ledger.release([task.lease for task in await claim(ledger, 2)])
    assert places(await claim(ledger, 1)) == [("a", 0)]
    assert places(await claim(ledger, 5)) == [("b", 0)]
    assert places(await claim(ledger, 5)) == [("x", 0)]


async def test_a_suspect_is_not_handed_out_to_who_has_no_room_for_it(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch([packet("r", 0)]).groups, capacity=1)
    ledger = await store.crash()
    assert not await claim(ledger, capacity=0)
    assert places(await claim(ledger, capacity=1)) == [("r", 0)]
