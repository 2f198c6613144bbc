"""A child of the bench: takes webhooks, answers 200, and keeps what came with the time at which it came.

It does as little as can be, since it shares the processor cores with what is measured: no parsing of bodies, no disk.
The bench gives orders on its standard input, a number a line: answer as soon as that many webhooks are there. The
answer is one line of JSON with all that are there, which are then forgotten. It ends when that input does.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import uvloop

from bench.messages import size

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class Webhook(msgspec.Struct, frozen=True):
    """One webhook."""

    at: float
    """When it was there whole, monotonic seconds, which all processes of a machine share."""
    body: str


class Mailbox:
    """Webhooks that came and were not asked for yet."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._webhooks: list[tuple[float, bytes]] = []
        self._wanted: int | None = None

    def add(self, body: bytes) -> None:
        """Keep *body*, which is there now."""
        self._webhooks.append((time.monotonic(), body))
        self._answer()

    def want(self, count: int) -> None:
        """Answer as soon as *count* are there."""
        self._wanted = count
        self._answer()

    def _answer(self) -> None:
        if self._wanted is None or len(self._webhooks) < self._wanted:
            return
        taken, self._webhooks, self._wanted = self._webhooks, [], None
        say(msgspec.json.encode([Webhook(at, body.decode("utf-8", "replace")) for at, body in taken]))


class Connection(asyncio.Protocol):
    """A connection of the service."""

    def __init__(self, mailbox: Mailbox) -> None:
        """Put into *mailbox* what comes."""
        self._mailbox = mailbox
        self._data = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP gives no other
        """Keep *transport* for the answers."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._data += data
        while (end := size(self._data)) is not None and len(self._data) >= end:
            body = self._data[self._data.find(b"\r\n\r\n") + 4 : end]
            self._transport.write(_OK)
            self._mailbox.add(bytes(body))
            del self._data[:end]


class Orders(asyncio.Protocol):
    """The standard input."""

    def __init__(self, mailbox: Mailbox) -> None:
        """Pass orders to *mailbox*."""
        self.ended = asyncio.Event()
        """Set once no more orders can come."""
        self._mailbox = mailbox

    def data_received(self, data: bytes) -> None:
        """An order; the next one comes only once this one is answered."""
        self._mailbox.want(int(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """The bench has gone."""
        del exc
        self.ended.set()


async def main() -> None:
    """Say which port, then serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    mailbox = Mailbox()
    orders = Orders(mailbox)
    server = await loop.create_server(lambda: Connection(mailbox), "127.0.0.1", 0)
    await loop.connect_read_pipe(lambda: orders, sys.stdin)
    say(b"%d" % server.sockets[0].getsockname()[1])
    await orders.ended.wait()
    server.close()


def say(line: bytes) -> None:
    """Write *line* to the bench."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main())
