"""Nodes on one database, a sender that goes on whatever happens, and a receiver: for faults of PostgreSQL.

Each node reaches the server through a proxy of its own. What was acknowledged is sent once more at the end: whatever
is then taken as new was lost.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from collator.ledgers.postgresql.address import Address
from collator.ledgers.postgresql.check import check
from tests.harness.checker import complaints
from tests.harness.history import History, Packet, workload
from tests.harness.note import note
from tests.harness.sender import Sender, requests
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.harness.wire import Exchange
from tests.servers import postgresql
from tests.servers.proxy import Proxy
from tests.wait import until

SECRET = "whsec_" + "QUJD" * 10 + "\n"
SEED = int(os.environ.get("TEST_SEED", "20261124"))
RECOVERY = 120.0
"""Seconds within which all is delivered once nothing is wrong any more: leases have to end, on a busy machine."""
AGAIN = 0.1
"""Seconds between two tries of a sender whom nobody answers."""
SETTINGS = {"processor": "tests.harness.processors:slow", "drain_timeout": 10}


class Nodes:
    """Services on the database *name* of *servers*, of which the first takes changes."""

    def __init__(self, home: Path, servers: Sequence[postgresql.Server], name: str, random: Random) -> None:
        """Use `nodes`."""
        self.servers, self.random, self.history = [*servers], random, History()
        self.services: list[ServiceProcess] = []
        self.proxies: list[Proxy] = []
        """Of each node the one before the first server."""
        self.all_proxies: list[Proxy] = []
        self.sink = Sink(home / "secret")
        self._home, self._name = home, name
        self._senders: list[Sender] = []
        self._names = count()
        self._numbers: dict[ServiceProcess, int] = {}

    @property
    def server(self) -> postgresql.Server:
        """The server that takes changes."""
        return self.servers[0]

    async def start(self, node: int) -> None:
        """Start the service *node*, and find out as which node the others know it."""
        service = self.services[node]
        await service.start()
        connection = await self.connect()
        self._numbers[service] = await connection.fetchval("select max(node) from collator.node")
        await connection.close()

    async def connect(self) -> asyncpg.Connection:
        """Connect to the database, past the proxies."""
        return await asyncpg.connect(f"{self.server.url}/{self._name}")

    async def kill(self, node: int) -> None:
        """Kill the service *node*; that it has not been heard of for long is known at once."""
        self.services[node].kill()
        await self.declare_dead(node)

    async def declare_dead(self, node: int) -> None:
        """Have the others find that *node* has not beaten for long."""
        connection = await self.connect()
        await connection.execute("update collator.node set seen = '-infinity' where node = $1", self.number(node))
        await connection.close()

    def number(self, node: int) -> int:
        """The number by which the others know *node*."""
        return self._numbers[self.services[node]]

    async def weaken(self, settings: Mapping[str, str]) -> None:
        """Have the server go by *settings*, under which it loses what was acknowledged from now on."""
        connection = await self.connect()
        await connection.execute("checkpoint")
        await connection.close()
        self.server.configure(settings)
        await asyncio.to_thread(self.server.reload)

    def moved(self, server: postgresql.Server) -> None:
        """Have all proxies lead to *server*, which is what has become of the first."""
        self.servers[0] = server
        for proxy in self.proxies:
            proxy.target = server.port

    @contextmanager
    def sending(self, resources: int = 40, **shape: int) -> Iterator[asyncio.Task[None]]:
        """Send as many new *resources*, to all nodes in turn, while the context is open, until all is acknowledged."""
        packets = workload(self.random, f"r{next(self._names)}", resources=resources, **shape)
        task = asyncio.create_task(self.send(packets))
        try:
            yield task
        finally:
            task.cancel()

    async def send(self, packets: Sequence[Packet]) -> None:
        """Send *packets*, and what was not acknowledged before, until all is acknowledged."""
        self.history.sending(packets)
        await self._send_until_none(self.history.unacknowledged)

    async def _send_until_none(self, left: Callable[[], list[Packet]]) -> None:
        """Send what is *left* again and again, until nothing is."""
        while todo := left():
            before = len(todo)
            self.random.shuffle(todo)
            await self._send_once(todo)
            if len(left()) == before:
                end = time.monotonic() + AGAIN
                await until(lambda: time.monotonic() > end)  # noqa: B023 - it is awaited here

    async def _send_once(self, packets: Sequence[Packet]) -> None:
        up = [place for place, service in enumerate(self.services) if service.running() and service.url]
        self.random.shuffle(up)
        await asyncio.gather(
            *(
                self._senders[place].send(self.services[place].url, requests(self.random, packets[turn :: len(up)]))
                for turn, place in enumerate(up)
            )
        )

    async def offer(self, node: int, packet: Packet) -> tuple[int, bool]:
        """Offer *packet* to the service *node*, once: the status, and whether it says when to come again."""
        self.history.sending([packet])
        body, url = packet.as_json(), f"{self.services[node].url}/v1/packets"
        async with Exchange(url, content_type="application/json", content_length=str(len(body))) as exchange:
            await exchange.write(body)
            return await exchange.head(), "retry-after" in exchange.fields

    async def acknowledged(self, more: int, timeout: float = RECOVERY) -> None:
        """Wait until *more* packets are acknowledged than now."""
        enough = len(self.history.acked) + more
        await until(lambda: len(self.history.acked) >= enough, timeout)

    async def delivered(self, timeout: float = RECOVERY) -> None:
        """Wait until all that was sent is delivered."""
        await until(self.all_delivered, timeout)

    def all_delivered(self) -> bool:
        """Return whether a webhook came of each resource that was sent."""
        return len(self.sink.ids()) >= len({resource_id for resource_id, _ in self.history.sent})

    async def conclude(self, timeout: float = RECOVERY) -> list[str]:
        """Send all that was acknowledged once more, wait until all is delivered, stop; all that was broken."""
        self.history.repeat()
        await self._send_until_none(self.history.unconfirmed)
        await self.send([])
        await self.delivered(timeout)
        for service in self.services:
            if service.running():
                await service.stop()
        return [*complaints(self.history, self.sink.webhooks, at_least=1), *await self._store_complaints()]

    async def _store_complaints(self) -> list[str]:
        connection = await Address(f"{self.server.url}/{self._name}").connect()
        async with connection.transaction(isolation="repeatable_read"):
            report = await check(connection, self._name)
        connection.terminate()
        return [f"I6 {complaint}" for complaint in report.complaints]

    async def ready(self, node: int = 0) -> bool:
        """Return whether the service *node* takes packets."""
        return bool((await self.services[node].get("/readyz"))[0] == 200)


@asynccontextmanager
async def nodes(
    home: Path,
    *servers: postgresql.Server,
    number: int = 2,
    tablespace: str = "pg_default",
    source: Path | None = None,
    **settings: object,
) -> AsyncIterator[Nodes]:
    """As many nodes, started, on a database of their own in *tablespace*; of the code in *source*, if that is given."""
    name = f"faults_{home.name.lower()}"[:60].replace("-", "_")
    secret = home / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    connection = await asyncpg.connect(f"{servers[0].url}/postgres")
    await connection.execute(f'create database "{name}" tablespace {tablespace}')
    await connection.close()
    note(f"TEST_SEED={SEED}")
    it = Nodes(home, servers, name, Random(SEED))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(it.sink)
        for place in range(number):
            proxies = [await Proxy.start(server.port) for server in servers]
            for proxy in proxies:
                stack.push_async_callback(proxy.stop)
            hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in proxies)
            own: dict[str, Any] = {
                "ledger": f"postgresql://collator@{hosts}/{name}",
                "webhook_secret_file": secret,
                **SETTINGS,
                **settings,
            }
            service = ServiceProcess(home / f"node-{place}", webhook=it.sink.url, **own)
            service.environment = {} if source is None else {"PYTHONPATH": str(source)}
            it.services.append(await stack.enter_async_context(service))
            it.proxies.append(proxies[0])
            it.all_proxies += proxies
            it._senders.append(await stack.enter_async_context(Sender(it.history, it.random)))
        for place in range(number):
            await it.start(place)
        yield it
