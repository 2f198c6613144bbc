"""A child of the bench: readers of the events of one resource, and senders over WebSocket, each with its own.

It shares the processor cores with what is measured, so it does as little as can be: protocols without tasks, frames
that are masked with zeros, no look at what came before all is over. The first order is a line of JSON (`LiveOrder`);
once all are connected the answer is an empty line, and a packet a second comes of each sender, and one for the readers.
The next order begins what counts, and that behind it ends it: the answer is `LiveFigures`.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time

import msgspec
import uvloop

from bench.job import PAYLOAD
from bench.receiver import say
from collator.descriptors import raise_limit

_HOST = "127.0.0.1"
_EACH = 1.0  # seconds from one packet to the next, of each sender and for the readers
_PATIENCE, _TICK = 20.0, 0.02
_READ = b"GET /v1/resources/%b/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
_OFFER = (
    b"GET /v1/stream HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_POST = b"POST /v1/packets HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_TOLD = b'"type":"output"'
_EVENT = re.compile(rb"id: (\d+)\nevent: output\n")
_SHORT = 126  # bytes of a message from which on its frame says its length otherwise


class LiveOrder(msgspec.Struct, frozen=True):
    """How many connect, to which port, and the resource that the readers follow."""

    port: int
    resource_id: str
    readers: int
    senders: int


class LiveFigures(msgspec.Struct, frozen=True):
    """What came while it counted."""

    seconds: float
    """For how long."""
    told: int
    """Packets of senders whose outcome was told."""
    events: list[int]
    """The events whose packets were sent then, by `seq`."""
    arrivals: dict[int, list[float]]
    """When each of them was with each reader; monotonic seconds, which all processes of a machine share."""


class LiveClient(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        """Begin with nothing."""
        self.came: list[tuple[float, bytes]] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP gives no other
        """Keep *transport* for what is sent."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep *data*, and when it came."""
        self.came.append((time.monotonic(), data))

    def count(self, what: bytes) -> int:
        """How often *what* came."""
        return b"".join([data for _, data in self.came]).count(what)

    async def has(self, what: bytes) -> None:
        """Wait until *what* came."""
        while not self.count(what):
            if self.transport.is_closing():
                raise ConnectionError(f"a connection was closed behind {self.came[-1:]}")
            await asyncio.sleep(_TICK)


class LiveClients:
    """All connections."""

    def __init__(self, order: LiveOrder) -> None:
        """Connect as *order* says."""
        self._port, self._name = order.port, order.resource_id.encode()
        self._numbers = order.readers, order.senders
        self._loop = asyncio.get_running_loop()
        self._posted = 0
        self._ended = False

    async def connect(self) -> None:
        """Have all connected, and their packets come, those of the senders evenly over the second."""
        readers, senders = self._numbers
        self._poster = await self._connected()
        self._readers = [await self._connected(_READ % self._name) for _ in range(readers)]
        self._senders = [await self._connected(_OFFER) for _ in range(senders)]
        for number, sender in enumerate(self._senders):
            await sender.has(b"\r\n\r\n")
            start = b'{"type":"start","resource_id":"%b-%d","outcomes":true}'
            sender.transport.write(_frame(start % (self._name, number)))
        for one in self._senders:
            await one.has(b'"type":"begin"')
        for one in self._readers:
            await one.has(b"retry:")
        now = self._loop.time()
        self._post(now)
        for number, one in enumerate(self._senders):
            self._loop.call_at(now + _EACH * number / senders, self._send, one, 0, now + _EACH * number / senders)

    def begin(self) -> None:
        """Forget what came."""
        for client in self._readers + self._senders:
            client.came.clear()
        self._began, self._before = time.monotonic(), self._posted

    async def end(self) -> LiveFigures:
        """Send no more, once there was an event; what came, once every reader has it, or after a while."""
        while self._posted == self._before:
            await asyncio.sleep(_TICK)
        self._ended, seconds = True, time.monotonic() - self._began
        told = sum([sender.count(_TOLD) for sender in self._senders])
        try:
            async with asyncio.timeout(_PATIENCE):
                for reader in self._readers:
                    await reader.has(b"id: %d\n" % self._posted)
        except TimeoutError:
            pass  # the arrivals say so
        arrivals: dict[int, list[float]] = {}
        for reader in self._readers:
            for at, data in reader.came:
                for found in _EVENT.finditer(data):
                    arrivals.setdefault(int(found[1]), []).append(at)
        return LiveFigures(seconds, told, [*range(self._before + 1, self._posted + 1)], arrivals)

    async def _connected(self, hello: bytes = b"") -> LiveClient:
        transport, client = await self._loop.create_connection(LiveClient, _HOST, self._port)
        transport.write(hello)
        return client

    def _post(self, at: float) -> None:
        if not self._ended:
            body = b'{"resource_id":"%b","index":%d,"payload":"%b"}' % (self._name, self._posted, PAYLOAD.encode())
            self._poster.transport.write(_POST % len(body) + body)
            self._posted += 1
            self._loop.call_at(at + _EACH, self._post, at + _EACH)

    def _send(self, sender: LiveClient, index: int, at: float) -> None:
        if not self._ended:
            message = b'{"type":"packet","index":%d,"payload":"%b"}' % (index, PAYLOAD.encode())
            sender.transport.write(_frame(message))
            self._loop.call_at(at + _EACH, self._send, sender, index + 1, at + _EACH)


def _frame(message: bytes) -> bytes:
    """*message* in a frame of a client, whose mask is zeros."""
    assert len(message) < _SHORT
    return b"\x81%c\0\0\0\0%b" % (0x80 | len(message), message)


async def main() -> None:
    """Serve orders until the standard input ends."""
    raise_limit()
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    say(b"0")  # it listens on no port
    clients = LiveClients(msgspec.json.decode(await orders.readline(), type=LiveOrder))
    await clients.connect()
    say(b"")
    await orders.readline()
    clients.begin()
    if await orders.readline():
        say(msgspec.json.encode(await clients.end()))
        await orders.read()


if __name__ == "__main__":
    uvloop.run(main())
