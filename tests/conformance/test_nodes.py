"""Two nodes on one store: each holds what it was handed, and whatever both do at once is done once.

What is true of a store whichever node is asked stands in the other files: on a ledger of several nodes they run twice,
the second time with each call to the next node, so that the calls of `test_races` come to both at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from collator.messages import Output, Recorded
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import EndedBy, State
from tests.conformance.steps import (
    PLENTY,
    claim,
    claim_one,
    delivered,
    due,
    due_one,
    echo,
    finish,
    packet,
    packets,
    places,
    process,
    purge,
    record,
    send,
    webhook,
)
from tests.conformance.store import Store

pytestmark = pytest.mark.two_nodes


async def two(store: Store, ledger_limits: LedgerLimits | None = None) -> Sequence[Ledger]:
    """Open two nodes."""
    return await store.open_nodes(2, ledger_limits)


# What a holder leaves behind.


async def test_a_clean_stop_gives_back_what_its_node_holds(store: Store) -> None:
    first, second = await two(store)
    await send(first, *packets(2))
    await claim(first, 1)
    await claim(second, 1)
    await store.stop(first)
    assert len(await claim(second)) == 1


async def test_a_suspect_waits_for_what_the_other_node_has_in_work_and_then_has_its_turn(store: Store) -> None:
    first, second = await two(store)
    await send(first, packet("suspect", 0), packet("other", 0))
    (suspect,) = await claim(first, 1)
    (other,) = await claim(second, 1)
    await store.kill(first)
    assert not await claim(second)  # for it is to be alone
    assert not await claim(second)
    await record(second, Output(other.lease, b"1"))
    assert [task.key for task in await claim(second)] == [suspect.key]


async def test_a_clean_stop_leaves_the_leases_of_the_other_node_alone(store: Store) -> None:
    first, second = await two(store)
    await send(first, *packets(2, last=False))
    await claim(first, 1)
    held = await claim_one(second)
    await store.stop(first)
    assert places(await claim(second)) != places([held])
    assert await record(second, *echo([held])) == [Recorded.RECORDED]


async def test_p4_a_clean_stop_leaves_a_delivery_with_the_node_that_sends_it(store: Store) -> None:
    first, second = await two(store)
    await finish(first)
    held = await due_one(second)
    await store.stop(first)
    assert not await due(second)
    assert await second.record_attempts([delivered(held)]) == [True]


async def test_p7_what_a_dead_holder_had_comes_back(store: Store) -> None:
    first, second = await two(store)
    await send(first, *packets(1))
    await claim_one(first)
    await store.kill(first)
    assert await second.work_due()
    await process(second)
    assert (await webhook(second))["data"]["outputs"] == [0]


async def test_p7_a_death_leaves_the_leases_of_the_other_node_alone(store: Store) -> None:
    first, second = await two(store)
    await send(first, *packets(2, last=False))
    gone = await claim(first, 1)
    held = await claim_one(second)
    await store.kill(first)
    assert await record(second, *echo([held])) == [Recorded.RECORDED]
    assert places(await claim(second)) == places(gone)


async def test_p7_what_was_in_work_at_a_death_comes_alone_and_before_all_others(store: Store) -> None:
    first, second = await two(store)
    await send(first, *packets(2, "suspect", last=False))
    assert len(await claim(first)) == 2
    await send(second, *packets(2, "other", last=False))
    await store.kill(first)
    for _ in range(2):
        task = await claim_one(second)
        assert task.key.resource_id == "suspect"
        assert not await claim(second)
        await record(second, *echo([task]))
    assert places(await claim(second)) == [("other", 0), ("other", 1)]


async def test_p7_a_packet_that_kills_one_holder_after_another_fails(store: Store) -> None:
    first, second = await two(store, LedgerLimits(max_deaths=2))
    await send(first, *packets(1))
    for node in (first, second):
        await claim_one(node)
        await store.kill(node)
    (third,) = await store.open_nodes(1)
    assert not await claim(third)
    assert "died" in (await webhook(third))["data"]["failed"][0]["reason"]


async def test_p2_a_lease_of_a_dead_holder_is_lost(store: Store) -> None:
    first, second = await two(store)
    await send(first, packet("r", 0))
    old = await claim_one(first)
    await store.kill(first)
    new = await claim_one(second)
    assert await record(second, *echo([old])) == [Recorded.LOST]
    assert await record(second, *echo([new])) == [Recorded.RECORDED]


async def test_p4_a_delivery_of_a_dead_holder_is_sent_again_under_its_id(store: Store) -> None:
    first, second = await two(store, LedgerLimits(delivery_lease=30.0))
    await finish(first)
    lost = await due_one(first)
    await store.kill(first)
    store.clock.advance(31)
    assert (await due_one(second)).webhook_id == lost.webhook_id


# Work that one node began and another ends.


async def test_p2_an_outcome_counts_once_whichever_node_records_it(store: Store) -> None:
    first, second = await two(store)
    await send(first, *packets(2))
    tasks = await claim(first)
    assert await record(second, *echo(tasks[:1])) == [Recorded.RECORDED]
    assert await record(first, *echo(tasks)) == [Recorded.LOST, Recorded.RECORDED]
    assert (await webhook(second))["data"]["outputs"] == [0, 1]


async def test_p2_a_lease_that_has_ended_passes_to_the_other_node(store: Store) -> None:
    first, second = await two(store, LedgerLimits(task_lease=30.0))
    await send(first, packet("r", 0))
    lost = await claim_one(first)
    assert not await claim(second)
    store.clock.advance(31)
    held = await claim_one(second)
    assert await record(first, *echo([lost])) == [Recorded.LOST]
    assert await record(second, *echo([held])) == [Recorded.RECORDED]


async def test_r24_an_attempt_counts_whichever_node_reports_it(store: Store) -> None:
    first, second = await two(store)
    await finish(first)
    delivery = await due_one(first)
    assert await second.body(delivery) == await first.body(delivery)
    assert await second.record_attempts([delivered(delivery)]) == [True]
    assert await first.record_attempts([delivered(delivery)]) == [False]


async def test_p1_what_one_node_acknowledged_is_there_for_the_other_after_its_death(store: Store) -> None:
    first, second = await two(store)
    await send(first, packet("r", 0))
    await store.kill(first)
    assert await send(second, packet("r", 0), packet("r", 1, last=True)) == [Status.DUPLICATE, Status.ACCEPTED]
    await process(second)
    assert (await webhook(second))["data"]["outputs"] == [0, 1]


async def test_an_endpoint_that_is_paused_at_one_node_is_paused_at_the_other(store: Store) -> None:
    first, second = await two(store)
    await first.pause("default", reason="maintenance")
    await finish(second)
    assert not await due(second)
    await first.resume("default")
    assert len(await due(second)) == 1


# What both do at once, as every node looks after the store by itself.


async def test_r13_two_nodes_that_look_for_silence_at_once_close_each_resource_once(store: Store) -> None:
    nodes = await two(store, LedgerLimits(idle_timeout=100.0))
    await asyncio.gather(*(node.expire(accepting=True, limit=PLENTY, capacity={}) for node in nodes))
    for number in range(20):
        await send(nodes[number % 2], packet(f"r{number}", 0))
    await process(nodes[0])
    store.clock.advance(101)
    looks = [node.expire(accepting=True, limit=5, capacity={"default": 3}) for _ in range(4) for node in nodes]
    outcomes = await asyncio.gather(*looks)
    assert sum(outcome.closed for outcome in outcomes) == 20
    handed = [delivery.resource_id for outcome in outcomes for delivery in outcome.deliveries]
    handed += [delivery.resource_id for delivery in await due(nodes[1])]
    assert sorted(handed) == sorted(f"r{number}" for number in range(20))
    assert (await nodes[0].resource("r0")).completed_by is EndedBy.IDLE_TIMEOUT


async def test_r13_silence_that_both_nodes_see_passes_once(store: Store) -> None:
    nodes = await two(store, LedgerLimits(idle_timeout=100.0))
    await asyncio.gather(*(node.expire(accepting=True, limit=PLENTY, capacity={}) for node in nodes))
    await send(nodes[0], packet("r", 0))
    await process(nodes[0])
    for _ in range(3):
        store.clock.advance(33)
        for node in nodes:
            assert (await node.expire(accepting=True, limit=PLENTY, capacity={})).closed == 0
    store.clock.advance(2)
    assert (await nodes[1].expire(accepting=True, limit=PLENTY, capacity={})).closed == 1


async def test_r25_two_nodes_that_purge_at_once_forget_all_and_nothing_twice(store: Store) -> None:
    nodes = await two(store, LedgerLimits(retention=100.0, remember=100.0))
    for number in range(20):
        await finish(nodes[0], f"r{number}")
    await nodes[0].record_attempts([delivered(delivery) for delivery in await due(nodes[0])])
    await send(nodes[1], packet("open", 0))
    store.clock.advance(101)
    await asyncio.gather(*(purge(node, limit=7) for node in nodes))
    assert [summary.resource_id for summary in await nodes[1].resources()] == ["open"]
    store.clock.advance(101)
    await asyncio.gather(*(purge(node, limit=7) for node in nodes))
    assert await send(nodes[0], packet("r0", 0)) == [Status.ACCEPTED]
    assert (await nodes[1].counts()).open == 2


async def test_r15_two_people_who_force_at_two_nodes_at_once_close_once(store: Store) -> None:
    nodes = await two(store)
    await send(nodes[0], packet("r", 1))
    outcomes = await asyncio.gather(*(node.complete("r", force=True) for node in nodes))
    assert sum(outcome.closed for outcome in outcomes) == 1
    assert (await nodes[0].resource("r")).state is State.INCOMPLETE
    assert len(await due(nodes[1])) == 1
