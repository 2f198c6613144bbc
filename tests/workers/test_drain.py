"""The end: what runs is finished, the rest is given back, nothing is begun, and all in its time (P7)."""

from __future__ import annotations

import asyncio

from tests.wait import until
from tests.workers.kinds import Kind
from tests.workers.node import LEASE, PATIENCE, Store, payload

COUNT = 12


async def test_p7_a_drain_finishes_what_runs_and_gives_back_the_rest(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        await node.send("a", *[payload("wait")] * COUNT)
        await until(node.begun, PATIENCE)
        drain = asyncio.create_task(node.workers.drain(PATIENCE))
        await until(lambda: len(node.ledger.held) <= kind.batch, PATIENCE)
        assert not drain.done()
        claims = node.ledger.claims
        node.open()
        await drain
        finished = len(node.begun())
        assert 1 <= finished <= kind.batch
        assert node.ledger.held == set()
        assert (await node.ledger.resource("a")).done == finished
        assert await node.due() == [(index, 1) for index in range(finished, COUNT)]
        assert node.ledger.claims == claims


async def test_p7_what_comes_in_during_a_drain_is_given_back(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        await node.send("a", *[payload("wait")] * kind.batch)
        await until(node.begun, PATIENCE)
        drain = asyncio.create_task(node.workers.drain(PATIENCE))
        await until(lambda: node.workers.capacity() == 0, PATIENCE)
        await node.hand_over("b", payload(value=1000))
        node.open()
        await drain
        assert 1000 not in node.begun()
        assert await node.due() == [(0, 1)]


async def test_p7_a_drain_gives_back_what_still_runs_when_its_time_is_up(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        await node.send("a", payload("wait"))
        await until(node.begun, PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await node.workers.drain(0.1)
        assert await node.due() == [(0, 1)]
        node.open()
    assert node.ledger.statuses == []


async def test_p7_a_drain_records_what_has_ended_though_the_store_was_away(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        node.ledger.away = True
        await node.send("a", payload())
        await until(lambda: node.ledger.refused and node.begun(), PATIENCE)
        drain = asyncio.create_task(node.workers.drain(PATIENCE))
        refused = node.ledger.refused
        await until(lambda: node.ledger.refused > refused, PATIENCE)
        node.ledger.away = False
        await drain
        assert (await node.ended("a")).done == 1


async def test_p7_a_drain_waits_no_longer_for_a_store_that_stays_away(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        node.ledger.away = True
        await node.send("a", payload())
        await until(node.begun, PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await node.workers.drain(0.1)
        assert (await node.ledger.resource("a")).done == 0


async def test_p7_what_a_drain_cannot_give_back_is_due_when_its_lease_ends(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        await node.send("a", *[payload("wait")] * COUNT)
        await until(node.begun, PATIENCE)
        node.ledger.away = True
        async with asyncio.timeout(PATIENCE):
            await node.workers.drain(0.1)
        assert node.ledger.refused
        node.clock.advance(LEASE + 1)
        assert len(await node.due()) == COUNT


async def test_p7_nothing_is_begun_behind_a_drain(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        async with asyncio.timeout(PATIENCE):
            await node.workers.drain(600.0)
        assert node.workers.capacity() == 0
        await node.send("a", payload())
        claims = node.ledger.claims
        await store.backlog("b", payload())
        assert sorted(await node.due()) == [(0, 1), (0, 1)]
        assert (node.begun(), node.ledger.claims) == ([], claims)
