"""Clients that send without a pause, with the retries of the client that users have, and note what was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from random import Random

from collator.client import Client, Tally
from tests.harness.history import History, Packet, workload
from tests.harness.sink import Sink
from tests.wait import until

CHUNK = 20
"""Packets of one request."""
PATIENCE = 120.0
"""Seconds within which something goes on, on a machine that is busy."""
OPEN = 100
"""Resources beyond which no others are begun before some are delivered."""


class Load:
    """Sends to the services at *urls*, packets of one resource to any of them."""

    def __init__(self, urls: Sequence[str], sink: Sink, random: Random, *, patience: float | None = None) -> None:
        """Of what *sink* receives. A client gives up after *patience* seconds without success."""
        self.history = History()
        self._sink = sink
        self._urls = urls
        self._random = random
        self._patience = patience
        self._names = count(1)
        self._waiting: list[Packet] = []
        self._over = False
        self._sent: set[str] = set()
        self._delivered: set[str] = set()
        self._seen = 0  # webhooks

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Send while the context is open, and then what was begun, to its end."""
        self._over = False
        async with asyncio.TaskGroup() as group:
            for url in self._urls:
                group.create_task(self._send_forever(url))
            try:
                yield
            finally:
                self._over = True

    async def send(self, resources: int, *, longest: int = 12) -> None:
        """Send the packets of so many resources, to their acknowledgements."""
        await self.send_packets(workload(self._random, f"s{next(self._names)}", resources=resources, longest=longest))

    async def send_packets(self, packets: Sequence[Packet]) -> None:
        """Send *packets*, to their acknowledgements."""
        self._waiting += packets
        async with asyncio.TaskGroup() as group:
            for url in self._urls:
                group.create_task(self._send_waiting(url))

    async def acknowledges(self, packets: int, timeout: float = PATIENCE) -> None:
        """Wait until *packets* more are acknowledged."""
        goal = len(self.history.acked) + packets
        await until(lambda: len(self.history.acked) >= goal, timeout)

    def undelivered(self) -> int:
        """The number of resources that were sent and are not delivered."""
        fresh = self._sink.webhooks[self._seen :]
        self._seen += len(fresh)
        self._delivered |= {webhook.id for webhook in fresh if webhook.taken}
        return len(self._sent) - len(self._delivered)

    async def delivered(self, timeout: float = PATIENCE) -> None:
        """Wait until all is delivered."""
        await until(lambda: self.undelivered() <= 0, timeout)

    async def _send_forever(self, url: str) -> None:
        async with Client(url, patience=self._patience) as client:
            while not self._over or self._waiting:
                if not self._waiting:
                    await until(lambda: self._over or self.undelivered() < OPEN, PATIENCE)
                    self._waiting += workload(self._random, f"r{next(self._names)}", resources=10)
                await self._send_some(client)

    async def _send_waiting(self, url: str) -> None:
        async with Client(url, patience=self._patience) as client:
            while self._waiting:
                await self._send_some(client)

    async def _send_some(self, client: Client) -> None:
        some, self._waiting = self._waiting[:CHUNK], self._waiting[CHUNK:]
        self.history.sending(some)
        self._sent |= {packet.resource_id for packet in some}
        tally: Tally = await client.send([packet.as_json() for packet in some])
        assert not tally.rejected, tally.rejected
        for packet in some:
            self.history.answered(packet.key, "accepted")
