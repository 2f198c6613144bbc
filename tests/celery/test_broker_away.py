"""A broker that is away: packets are accepted and wait, the reason is said, and it goes on by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing

import anyio.lowlevel
import pytest

from collator.states import State
from collator.workers.celery.known_workers import BEAT, SILENCE
from tests.brokers import Valkey
from tests.celery.celery_node import CeleryNode
from tests.celery.scripted_worker import ScriptedWorker
from tests.wait import until
from tests.workers.node import PATIENCE, Store, payload


@pytest.fixture
def server() -> Iterator[Valkey]:
    with closing(Valkey()) as server:
        yield server


async def test_packets_wait_for_a_broker_that_is_away_and_nothing_is_held_up(store: Store, server: Valkey) -> None:
    node = CeleryNode(server.url())
    server.kill()
    async with store.node(node) as at_work:
        await at_work.send("a", payload(), payload())
        await until(at_work.workers.health, PATIENCE)
        assert f"the broker {server.url()} cannot be used, and packets wait" in str(at_work.workers.health())
        await until(lambda: at_work.workers.capacity() == 0, PATIENCE)
        longest = await _longest_turn(lambda: at_work.send("b", payload()))
        assert longest < 1.0
        server.restart()
        with closing(ScriptedWorker(server.url())) as worker:
            for _ in range(3):
                await worker.answer(await worker.job(PATIENCE))
            assert (await at_work.ended("a")).state is State.COLLATED
            assert (await at_work.ended("b")).state is State.COLLATED
        assert at_work.workers.health() is None


async def test_what_was_out_when_the_broker_lost_everything_is_sent_again(store: Store, server: Valkey) -> None:
    node = CeleryNode(server.url())
    async with store.node(node) as at_work:
        with closing(ScriptedWorker(server.url())) as worker:
            await at_work.send("a", payload())
            await worker.job()
            name = worker.node
        server.kill()
        await until(at_work.workers.health, PATIENCE)
        server.restart()
        await until(lambda: at_work.workers.health() is None, PATIENCE)
        with closing(ScriptedWorker(server.url())) as worker:
            worker.node = name
            await node.hears(worker.beat())
            for _ in range(round(SILENCE / BEAT) + 1):  # it is there, and has nothing to do
                await node.hears(worker.beat())
                await node.pass_time(BEAT)
            await until(lambda: at_work.ledger.statuses, PATIENCE)
            at_work.clock.advance(2.0)
            await worker.answer(await worker.job())
            assert (await at_work.ended("a")).state is State.COLLATED


async def test_a_broker_that_does_not_answer_holds_up_nothing(store: Store, server: Valkey) -> None:
    node = CeleryNode(server.url())
    async with store.node(node) as at_work:
        server.freeze()
        await at_work.send("a", payload())
        longest = await _longest_turn(lambda: at_work.send("b", payload()))
        assert longest < 1.0
        await until(at_work.workers.health, PATIENCE)
        started = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            await at_work.workers.drain(0.1)
        assert time.monotonic() - started < 2.0
        assert sorted(await at_work.due()) == [(0, 1), (0, 1)]
        server.thaw()


async def _longest_turn(action: Callable[[], Awaitable[None]]) -> float:
    """Seconds for which the event loop stood still at most, while *action* ran and a little longer."""
    longest, last, end = 0.0, time.monotonic(), time.monotonic() + 1.5
    doing = asyncio.ensure_future(action())
    while not doing.done() or time.monotonic() < end:
        await anyio.lowlevel.checkpoint()
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    await doing
    return longest
