"""How much workers take, and whose turn it is."""

from __future__ import annotations

from tests.wait import until
from tests.workers.kinds import Kind, Terms
from tests.workers.node import PATIENCE, Store, payload


async def test_p5_there_are_never_more_calls_at_a_time_than_asked_for(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(concurrency=3)) as node:
        await node.send("a", *[payload("wait")] * 30)
        await until(lambda: len(node.begun()) >= 3, PATIENCE)
        assert 3 <= node.workers.in_hand() <= 30
        node.open()
        assert (await node.ended("a")).done == 30
        await until(lambda: node.workers.in_hand() == 0, PATIENCE)
        assert node.most_at_a_time() == 3


async def test_p5_what_is_handed_out_has_a_bound(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        capacity = node.workers.capacity()
        assert capacity > 0
        await node.send("a", *[payload("wait")] * 3 * capacity)
        await until(lambda: node.workers.capacity() == 0, PATIENCE)
        await node.send("b", *[payload("wait")] * capacity)
        assert capacity <= len(node.ledger.held) <= 2 * capacity  # who accepts and who claims may ask at the same time
        node.open()
        assert (await node.ended("a")).done == 3 * capacity
        await node.ended("b")
        await until(lambda: node.workers.capacity() >= capacity, PATIENCE)


async def test_a_backlog_beyond_what_is_handed_out_is_worked_off_from_the_start(store: Store, kind: Kind) -> None:
    await store.backlog("a", *[payload()] * 100)
    async with store.node(kind) as node:
        assert (await node.ended("a")).done == 100


async def test_a_resource_of_one_packet_does_not_wait_for_one_of_many(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        before = node.workers.capacity()
        await node.send("many", payload("wait"), *[payload()] * 60)
        await until(lambda: node.begun() and node.workers.capacity() == 0, PATIENCE)
        await node.send("one", payload(value=1000))
        node.open()
        await node.ended("one")
        await node.ended("many")
        assert node.begun().index(1000) <= 2 * before + 4


async def test_a_hint_is_followed_at_once(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(sweep=3600.0)) as node:
        await until(lambda: node.ledger.claims == 1, PATIENCE)  # for what was there before
        await node.hint("a", payload())
        assert (await node.ended("a")).done == 1


async def test_a_hint_that_comes_before_the_answer_to_a_claim_is_followed(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(sweep=3600.0)) as node:
        node.ledger.answers.clear()
        await until(lambda: node.ledger.answered == 1, PATIENCE)
        count = 3 * node.workers.capacity()
        await node.send("a", *[payload()] * count)  # more than there is capacity for: the rest is a hint
        node.ledger.answers.set()
        assert (await node.ended("a")).done == count


async def test_a_lost_hint_costs_time_and_no_packet(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        await store.backlog("a", payload())
        assert (await node.ended("a")).done == 1
