"""What a stop leaves behind: after a clean one nothing but work to go on with; after an unclean one, suspects (P1, P7).

A packet that was in work when the process died may be what killed it. So it runs alone and first, and after
`LedgerLimits.max_deaths` deaths it has failed.
"""

from __future__ import annotations

from collator.messages import Failure, Output, Recorded, Retry, Task, tasks_of
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import State
from tests.conformance.harness import LedgerClock
from tests.conformance.steps import (
    claim,
    claim_one,
    due,
    due_one,
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


async def test_after_a_clean_stop_what_was_handed_out_is_due_at_once(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(packets(2, "a"), capacity=2)
    await send(ledger, *packets(2, "b"))
    await claim(ledger, 1)
    ledger = await store.reopen()
    assert len(await claim(ledger)) == 4


async def test_a_clean_stop_counts_no_death(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=2))
    await ledger.accept(packets(3), capacity=3)
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


async def test_after_an_unclean_stop_suspects_run_one_at_a_time_before_all_others(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(packets(2, "suspect", last=False), capacity=2)
    await send(ledger, *packets(2, "other", last=False))
    ledger = await store.crash()
    for _ in range(2):
        task = await claim_one(ledger)
        assert task.key.resource_id == "suspect"
        assert not await claim(ledger)
        await record(ledger, *echo([task]))
    assert places(await claim(ledger)) == [("other", 0), ("other", 1)]


async def test_after_an_unclean_stop_what_was_claimed_is_suspect_too(store: Store) -> None:
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


async def test_after_an_unclean_stop_new_packets_wait_for_the_suspects(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(packets(2, "suspect", last=False), capacity=2)
    ledger = await store.crash()
    accepted = await ledger.accept([packet("new", 0)], capacity=5)
    assert not tasks_of(accepted.runs)
    await record(ledger, *echo([await claim_one(ledger)]))
    assert not tasks_of((await ledger.accept([packet("new", 1)], capacity=5)).runs)
    await record(ledger, *echo([await claim_one(ledger)]))
    assert places(await claim(ledger)) == [("new", 0), ("new", 1)]


async def test_a_suspect_that_is_retried_or_fails_makes_way_for_the_next(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(packets(2, last=False), capacity=2)
    ledger = await store.crash()
    await record(ledger, Retry((await claim_one(ledger)).lease, "busy", 60.0))
    await record(ledger, Failure((await claim_one(ledger)).lease, "bad"))
    await send(ledger, packet("other", 0))
    assert places(await claim(ledger)) == [("other", 0)]


async def test_a_suspect_whose_resource_ends_makes_way_for_the_next(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept([packet("a", 0), packet("b", 0)], capacity=2)
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
    await ledger.accept([packet("a", 0), packet("b", 0), packet("c", 0)], capacity=3)
    ledger = await store.crash()
    await send(ledger, packet("other", 0))
    await ledger.cancel("a")
    await ledger.complete("b", force=True)
    task = await claim_one(ledger)
    assert task.key.resource_id == "c"
    await record(ledger, *echo([task]))
    assert places(await claim(ledger)) == [("other", 0)]


async def test_a_suspect_whose_lease_ends_stays_alone(store: Store) -> None:
    ledger = await store.open(LedgerLimits(task_lease=30.0))
    await ledger.accept([packet("suspect", 0)], capacity=1)
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
    await ledger.accept([packet("suspect", 0)], capacity=1)
    ledger = await store.crash()
    await send(ledger, packet("other", 0))
    task = await claim_one(ledger)
    await ledger.release([task.lease])
    assert (await claim_one(ledger)).key.resource_id == "suspect"


async def test_three_deaths_make_a_packet_fail_and_say_so(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0, last=True))
    for _ in range(3):
        await claim_one(ledger)
        ledger = await store.crash()
    assert not await claim(ledger)
    data = (await webhook(ledger))["data"]
    assert [failure["index"] for failure in data["failed"]] == [0]
    assert "died" in data["failed"][0]["reason"]
    assert (await ledger.resource("r")).state is State.INCOMPLETE
    assert (await ledger.counts()).waiting == 0


async def test_two_deaths_do_not(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0, last=True))
    for _ in range(2):
        await claim_one(ledger)
        ledger = await store.crash()
    await process(ledger)
    assert (await ledger.resource("r")).state is State.COLLATED


async def test_the_number_of_deaths_is_a_term(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=1))
    await ledger.accept(packets(1), capacity=1)
    ledger = await store.crash()
    assert not await claim(ledger)
    assert (await ledger.resource("r")).state is State.INCOMPLETE


async def test_packets_that_were_in_work_together_count_no_death(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=1))
    await ledger.accept(packets(2), capacity=2)
    ledger = await store.crash()
    await process(ledger)
    await process(ledger)
    assert (await ledger.resource("r")).state is State.COLLATED


async def test_a_death_is_blamed_only_on_a_packet_that_was_in_work_alone(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=1))
    await ledger.accept(packets(3), capacity=3)
    ledger = await store.crash()
    await record(ledger, *echo([await claim_one(ledger)]))
    culprit = await claim_one(ledger)
    ledger = await store.crash()
    await process(ledger)
    data = (await webhook(ledger))["data"]
    assert [failure["index"] for failure in data["failed"]] == [culprit.key.index]
    assert len(data["partial"]) == 2


async def test_packets_that_were_not_in_work_count_no_death(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(3))
    for _ in range(4):
        ledger = await store.crash()
    assert len(await claim(ledger)) == 3


async def test_packets_that_had_their_outcome_count_no_death(store: Store) -> None:
    ledger = await store.open()
    for index in range(4):
        await send(ledger, packet("r", index, last=index == 3))
        await process(ledger)
        ledger = await store.crash()
    assert (await webhook(ledger))["data"]["outputs"] == [0, 1, 2, 3]


async def test_packets_that_were_given_back_are_not_suspect(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=1))
    await send(ledger, *packets(2))
    await ledger.release([task.lease for task in await claim(ledger)])
    ledger = await store.crash()
    assert len(await claim(ledger)) == 2


async def test_only_the_culprit_fails(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(packets(5), capacity=5)
    ledger = await store.crash()
    for _ in range(20):
        tasks = await claim(ledger)
        if not tasks:
            break
        if 3 in {task.key.index for task in tasks}:
            ledger = await store.crash()
        else:
            await record(ledger, *echo(tasks))
    data = (await webhook(ledger))["data"]
    assert [failure["index"] for failure in data["failed"]] == [3]
    assert [item["index"] for item in data["partial"]] == [0, 1, 2, 4]


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


async def test_a_suspect_that_takes_long_holds_up_nobody_for_long(store: Store) -> None:
    ledger = await store.open(LedgerLimits(alone=2.0, task_lease=1000.0))
    await ledger.accept(packets(3, "suspect", last=False), capacity=3)
    await send(ledger, packet("other", 0))
    ledger = await store.crash()
    begun = []
    for _ in range(3):
        begun.append(await claim_one(ledger))
        store.clock.advance(1.9)
        assert not await claim(ledger)
        assert not tasks_of((await ledger.accept([packet("new", len(begun))], capacity=5)).runs)
        store.clock.advance(0.2)
    assert places(await claim(ledger, 1)) == [("other", 0)]
    assert await record(ledger, *echo(begun)) == [Recorded.RECORDED] * 3


async def test_after_each_further_unclean_stop_a_suspect_is_alone_for_four_times_as_long(store: Store) -> None:
    ledger = await store.open(LedgerLimits(alone=2.0, task_lease=1000.0, max_deaths=100))
    await ledger.accept(packets(2, "suspect", last=False), capacity=2)
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
    await ledger.accept([packet(name, 0, last=True) for name in "abcdefgh"], capacity=8)
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
    for _ in range(600):
        begun = await claim(ledger)
        under_way += [(clock.wall() + 60.0, task) for task in begun]
        if "d" in {task.key.resource_id for task in begun}:
            return
        await record(ledger, *echo([task for end, task in under_way if end <= clock.wall()]))
        under_way = [(end, task) for end, task in under_way if end > clock.wall()]
        clock.advance(1.0)


async def test_where_calls_are_made_elsewhere_suspects_run_side_by_side_first_and_others_beside_them(
    store: Store,
) -> None:
    ledger = await store.open(LedgerLimits(side_by_side=2))
    await ledger.accept([packet(name, 0) for name in ("a", "b", "c")], capacity=3)
    await send(ledger, *packets(2, "other", last=False))
    ledger = await store.crash()
    assert places(await claim(ledger, 2)) == [("a", 0), ("b", 0)]
    assert places(await claim(ledger, 5)) == [("c", 0)]
    assert not tasks_of((await ledger.accept([packet("new", 0)], capacity=5)).runs)  # others have waited for longer
    assert places(await claim(ledger, 1)) == [("other", 0)]
    ledger = await store.crash()
    assert len(await claim(ledger)) == 4
    ledger = await store.crash()  # the third
    assert places(await claim(ledger)) == [("a", 0)]
    assert not await claim(ledger)


async def test_where_calls_are_made_elsewhere_the_first_deaths_are_on_nobodys_account(store: Store) -> None:
    ledger = await store.open(LedgerLimits(side_by_side=2, max_deaths=2))
    await ledger.accept([packet("r", 0, last=True)], capacity=1)
    for _ in range(3):
        ledger = await store.crash()
        await claim_one(ledger)
    ledger = await store.crash()  # at the third and the fourth it was alone
    assert (await ledger.resource("r")).state is State.INCOMPLETE


async def test_a_suspect_that_is_given_back_side_by_side_stays_first(store: Store) -> None:
    ledger = await store.open(LedgerLimits(side_by_side=1))
    await ledger.accept([packet(name, 0) for name in ("a", "b")], capacity=2)
    await send(ledger, packet("other", 0))
    ledger = await store.crash()
    await ledger.release([task.lease for task in await claim(ledger, 2)])
    assert places(await claim(ledger, 1)) == [("a", 0)]
    assert places(await claim(ledger, 5)) == [("b", 0)]
    assert places(await claim(ledger, 5)) == [("other", 0)]


async def test_suspects_are_found_without_any_hint(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(packets(2, last=False), capacity=2)
    ledger = await store.crash()
    assert await ledger.work_due()


async def test_a_suspect_is_not_handed_out_to_who_has_no_room_for_it(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept([packet("r", 0)], capacity=1)
    ledger = await store.crash()
    assert not await claim(ledger, capacity=0)
    assert places(await claim(ledger, capacity=1)) == [("r", 0)]


async def test_p2_a_suspect_that_is_given_back_is_handed_out_once_more_and_no_more(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0), packet("s", 0))
    await claim(ledger)
    ledger = await store.crash()
    suspect = await claim_one(ledger)
    await ledger.release([suspect.lease])
    recorded = []
    while tasks := await claim(ledger):
        assert await record(ledger, *echo(tasks)) == [Recorded.RECORDED] * len(tasks)
        recorded += places(tasks)
    assert sorted(recorded) == [("r", 0), ("s", 0)]
