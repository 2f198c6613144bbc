"""Brokers that lose everything, die, are full or cannot be reached, under load: packets wait, and all heals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from random import Random

import pytest
import redis

from tests.brokers import RabbitMQ, Valkey
from tests.cluster.cluster import Cluster
from tests.cluster.load import Load
from tests.cluster.proxy import REPLY, TASK, BrokerProxy
from tests.harness.note import note
from tests.harness.service import ServiceProcess
from tests.wait import until

LONG = 60.0
"""Seconds within which a change is seen, on a machine that is busy."""


@pytest.fixture
async def proxies(valkey: Valkey) -> AsyncIterator[tuple[BrokerProxy, BrokerProxy]]:
    """One before the broker of the node, one before that of the workers."""
    both = [await BrokerProxy.start(valkey.port) for _ in range(2)]
    yield both[0], both[1]
    for proxy in both:
        await proxy.stop()


async def running(cluster: Cluster, node: str, worker: str) -> Load:
    """A node and a worker at their brokers, and the load on them. No packet may fail: it has no second attempt."""
    service = await cluster.node(node, processor_retries=0)
    await cluster.worker(worker, "-P", "threads", "-c", "4").start()
    await service.start()
    return cluster.load()


async def reasons(node: ServiceProcess) -> str:
    """Why *node* is not ready; empty where it is."""
    _, _, status = await node.get("/v1/status")
    return "; ".join(status["reasons"])


async def not_ready(node: ServiceProcess, words: str) -> None:
    """Wait until *node* says that it is not ready, and why."""

    async def says() -> bool:
        return words in await reasons(node)

    await until(says, LONG)
    code, _, problem = await node.get("/readyz")
    assert code == 503
    assert words in problem["detail"]
    await until(lambda: words in node.log(), LONG)


async def ready(node: ServiceProcess) -> None:
    """Wait until it is."""

    async def says() -> bool:
        return not await reasons(node)

    await until(says, LONG)


async def takes_packets_in_time(load: Load) -> None:
    """Packets are acknowledged, and none has to wait for the broker."""
    taken = []
    for _ in range(5):
        began = time.monotonic()
        await load.send(1)
        taken.append(time.monotonic() - began)
    note(f"acknowledged after {[round(seconds, 3) for seconds in taken]} s")
    assert min(taken) < 1.0
    assert sum(taken) < 5.0


@pytest.mark.parametrize("address", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1/"])
async def test_a_broker_that_is_away_from_the_start_is_said_and_packets_wait(cluster: Cluster, address: str) -> None:
    node = await cluster.node(address)
    node.spawn()
    await until(node.find_url, LONG)
    await not_ready(node, f"the broker {address} cannot be used, and packets wait")
    load = cluster.load()
    await takes_packets_in_time(load)
    assert (await node.get("/healthz"))[0] == 200
    await node.stop()


@pytest.mark.cluster
async def test_p1_a_broker_that_dies_and_comes_back_empty_loses_nothing(cluster: Cluster, valkey: Valkey) -> None:
    load = await running(cluster, valkey.url(), valkey.url())
    async with load.run():
        for _ in range(2):
            await load.acknowledges(100)
            valkey.kill()
            await not_ready(cluster.nodes[0], "cannot be used, and packets wait")
            await takes_packets_in_time(load)
            valkey.restart()
            await ready(cluster.nodes[0])
    await load.delivered()
    assert cluster.judge(load, at_least=200) == []
    assert cluster.failed() == []


@pytest.mark.cluster
async def test_p1_a_broker_that_is_flushed_loses_nothing(cluster: Cluster, valkey: Valkey) -> None:
    load = await running(cluster, valkey.url(), valkey.url())
    with redis.Redis(port=valkey.port) as client:
        async with load.run():
            for _ in range(3):
                await load.acknowledges(200)
                client.flushall()
    await load.delivered()
    assert cluster.judge(load, at_least=600) == []
    assert cluster.failed() == []


@pytest.mark.cluster
async def test_p1_a_broker_without_memory_is_said_and_loses_nothing(cluster: Cluster, valkey: Valkey) -> None:
    load = await running(cluster, valkey.url(), valkey.url())
    with redis.Redis(port=valkey.port) as client:
        async with load.run():
            for _ in range(2):
                await load.acknowledges(100)
                client.config_set("maxmemory-policy", "noeviction")
                client.config_set("maxmemory", 1)
                await not_ready(cluster.nodes[0], "maxmemory")
                await takes_packets_in_time(load)
                client.config_set("maxmemory", 0)
                await ready(cluster.nodes[0])
    await load.delivered()
    assert cluster.judge(load, at_least=200) == []
    assert cluster.failed() == []


@pytest.mark.cluster
async def test_p1_rabbitmq_that_is_restarted_loses_nothing(cluster: Cluster, rabbitmq: RabbitMQ) -> None:
    load = await running(cluster, rabbitmq.url, rabbitmq.url)
    async with load.run():
        for _ in range(2):
            await load.acknowledges(200)
            await asyncio.to_thread(rabbitmq.kill)
            await not_ready(cluster.nodes[0], "cannot be used, and packets wait")
            await takes_packets_in_time(load)
            await asyncio.to_thread(rabbitmq.restart)
            await ready(cluster.nodes[0])
    await load.delivered()
    assert cluster.judge(load, at_least=400) == []
    assert cluster.failed() == []


@pytest.mark.cluster
@pytest.mark.parametrize("delivered", [False, True], ids=["before", "behind"])
async def test_p1_answers_of_brpop_that_are_cut_lose_nothing(
    cluster: Cluster, proxies: tuple[BrokerProxy, BrokerProxy], *, delivered: bool
) -> None:
    """What the broker has given out and nobody got is gone for it: tasks on the way to a worker, and replies."""
    chance = Random(2)
    load = await running(cluster, *[f"redis://127.0.0.1:{proxy.port}/0" for proxy in proxies])
    for proxy, answer in zip(proxies, (REPLY, TASK), strict=True):
        proxy.lose(answer, chances=lambda: chance.random() < 0.2, delivered=delivered)
    async with load.run():
        await load.acknowledges(300)
        await until(lambda: all(proxy.lost for proxy in proxies), LONG)
    for proxy in proxies:
        proxy.mend()
    await load.delivered()
    note(f"cut: {[proxy.lost for proxy in proxies]}")
    assert cluster.judge(load, at_least=300) == []
    assert cluster.failed() == []


@pytest.mark.cluster
async def test_p2_tasks_and_replies_that_come_twice_count_once(
    cluster: Cluster, proxies: tuple[BrokerProxy, BrokerProxy]
) -> None:
    load = await running(cluster, *[f"redis://127.0.0.1:{proxy.port}/0" for proxy in proxies])
    chance = Random(3)
    for proxy in proxies:
        proxy.double(b"collator", chances=lambda: chance.random() < 0.5)
    async with load.run():
        await load.acknowledges(500)
        await until(lambda: all(proxy.doubled for proxy in proxies), LONG)
    await load.delivered()
    note(f"doubled: {[proxy.doubled for proxy in proxies]}")
    assert cluster.judge(load, at_least=500) == []
    assert cluster.failed() == []


@pytest.mark.cluster
@pytest.mark.parametrize("place", [0, 1], ids=["of the node", "of the worker"])
@pytest.mark.parametrize("kind", ["valkey", "rabbitmq"])
async def test_p1_a_connection_to_the_broker_that_is_reset_half_open_or_slow_loses_nothing(
    cluster: Cluster, kind: str, place: int, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(kind)
    proxy = await BrokerProxy.start(server.port)
    addresses = [server.url() if kind == "valkey" else server.url] * 2
    addresses[place] = addresses[place].replace(f":{server.port}/", f":{proxy.port}/")
    load = await running(cluster, *addresses)
    async with load.run():
        for _ in range(3):
            await load.acknowledges(100)
            proxy.cut()
        proxy.open.clear()  # both ends are up, and nothing passes
        await takes_packets_in_time(load)
        await not_ready(cluster.nodes[0], "cannot be used" if place == 0 else "no Celery worker takes packets")
        proxy.open.set()
        await ready(cluster.nodes[0])
        proxy.delay = 0.1
        await load.acknowledges(100)
        proxy.delay = 0.0
    await load.delivered()
    assert cluster.judge(load, at_least=400) == []
    assert cluster.failed() == []
    await proxy.stop()
