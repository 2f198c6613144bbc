"""Two services on one PostgreSQL database: packets of one resource at both, and what one leaves the other ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.requirements import need
from tests.servers import postgresql
from tests.wait import until

SECRET = "whsec_" + "QUJD" * 10 + "\n"


@pytest.fixture
async def database(request: pytest.FixtureRequest) -> str:
    """The URL of a database of its own."""
    missing = postgresql.missing()
    need(missing is None, str(missing))
    import asyncpg

    url = postgresql.server_url()
    name = f"nodes_{abs(hash(request.node.name))}"
    connection = await asyncpg.connect(f"{url}/postgres")
    await connection.execute(f"create database {name}")
    await connection.close()
    return f"{url}/{name}"


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[Sink]:
    """A receiver, and the secret that both services sign with."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    async with Sink(secret) as up:
        yield up


def node(home: Path, database: str, sink: Sink) -> ServiceProcess:
    """A service on *database*, not started."""
    return ServiceProcess(
        home,
        webhook=sink.url,
        webhook_secret_file=home.parent / "secret",
        ledger=database,
        ledger_durability="relaxed",  # the server of the tests does not wait for the disk
    )


async def post(url: str, resource_id: str, index: int, *, last: bool) -> int:
    """Send one packet; the status."""
    packet = {"resource_id": resource_id, "index": index, "payload": f"packet {index}", "last": last}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/packets", json=packet) as answer:
        return answer.status


async def test_packets_of_one_resource_at_two_nodes_make_one_webhook(tmp_path: Path, database: str, sink: Sink) -> None:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(tmp_path / name, database, sink)) for name in ("one", "two")]
        await asyncio.gather(*(each.start() for each in nodes))
        for number in range(5):
            sent = [await post(nodes[index % 2].url, f"r{number}", index, last=index == 3) for index in (3, 1, 0, 2)]
            assert sent == [202] * 4
        await until(lambda: len(sink.webhooks) >= 5, 30)
        nodes[0].kill()
        assert await post(nodes[1].url, "after", 0, last=True) == 202
        await until(lambda: len(sink.webhooks) >= 6, 30)
        await nodes[1].stop()
    assert not [webhook.problem for webhook in sink.webhooks if webhook.problem]
    assert len({webhook.id for webhook in sink.webhooks}) == len(sink.webhooks) == 6


async def test_nodes_with_the_same_resources_never_wait_for_each_other_in_a_circle(
    tmp_path: Path, database: str, sink: Sink
) -> None:
    packets = [(f"r{number:02}", index) for number in range(40) for index in range(10)]
    chance = random.Random(1)
    chance.shuffle(packets)
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(tmp_path / name, database, sink)) for name in ("one", "two")]
        await asyncio.gather(*(each.start() for each in nodes))

        async def send() -> list[int]:
            statuses = []
            while packets:
                name, index = packets.pop()
                statuses.append(await post(chance.choice(nodes).url, name, index, last=index == 9))
            return statuses

        statuses = {status for sent in await asyncio.gather(*(send() for _ in range(32))) for status in sent}
        await until(lambda: len(sink.webhooks) >= 40, 30)
        await asyncio.gather(*(each.stop() for each in nodes))
    assert statuses == {202}
    assert await deadlocks(database) == 0


async def deadlocks(database: str) -> int:
    """How many the server has seen in *database*, whose connections have ended."""
    import asyncpg

    connection = await asyncpg.connect(database)
    try:
        query = "select deadlocks from pg_stat_database where datname = current_database()"
        return int(await connection.fetchval(query))
    finally:
        await connection.close()
