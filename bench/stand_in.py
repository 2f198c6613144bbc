"""A child of the bench: stands in for an HTTP processor that takes so many calls at a time, and is slow now and then.

The bench gives orders on its standard input, a line of JSON each: a `Manner` to have from now on, or ``null`` for what
came of the last one. It ends when that input does. What a call asks for is answered: the payload is the output.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from random import Random

import msgspec
import uvloop

from bench.messages import size


class Manner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it behaves."""

    seconds: float = 0.2
    """What a call takes."""
    spread: float = 0.0
    """The share of that by which a call may take less or more."""
    slow: float = 0.0
    """The share of calls that take twenty times as long."""
    takes: Sequence[tuple[float, int]] = ((0.0, 1_000_000),)
    """How many calls it takes at a time, each number from so many seconds after the first call on; else it says 503."""
    per_minute: int = 0
    """How many calls it takes in a minute, where it counts them; else it says 429."""
    counts_connections: bool = False
    """Whether connections without a call count too."""
    seed: int = 1


class Account(msgspec.Struct):
    """What came of it."""

    calls: int = 0
    refused: int = 0
    late: int = 0
    """Calls after the first five seconds."""
    late_refused: int = 0
    most: int = 0
    """Calls that it took at one time, at most."""


SLOW = 20.0
"""How many times as long a slow call takes."""
LATE = 5.0
"""Seconds from which on a call is late."""
_MINUTE = 60.0


class StandIn:
    """The service."""

    def __init__(self) -> None:
        """Take whatever comes."""
        self.connections = 0
        self.under_way = 0
        self.behave(Manner())

    def behave(self, manner: Manner) -> None:
        """Begin anew, in *manner*."""
        self.manner, self.account, self._random = manner, Account(), Random(manner.seed)
        self._began: float | None = None
        self._minute = (0, 0)

    def take(self, now: float) -> tuple[int, float]:
        """A call comes in: its status, and how long it takes."""
        self._began = now if self._began is None else self._began
        age, account, manner = now - self._began, self.account, self.manner
        status = self._status(age)
        account.calls += 1
        account.refused += status != 200
        account.late += age > LATE
        account.late_refused += age > LATE and status != 200
        if status != 200:
            return status, 0.0
        self.under_way += 1
        account.most = max(account.most, self.under_way)
        slow = SLOW if self._random.random() < manner.slow else 1.0
        return status, manner.seconds * slow * self._random.uniform(1.0 - manner.spread, 1.0 + manner.spread)

    def _status(self, age: float) -> int:
        most = next(most for since, most in reversed(self.manner.takes) if since <= age)
        if (self.connections - 1 if self.manner.counts_connections else self.under_way) >= most:
            return 503
        if self.manner.per_minute:
            minute = int(age / _MINUTE)
            count = self._minute[1] if self._minute[0] == minute else 0
            if count >= self.manner.per_minute:
                return 429
            self._minute = (minute, count + 1)
        return 200


class Connection(asyncio.Protocol):
    """A connection of Collator, with one call at a time."""

    def __init__(self, service: StandIn) -> None:
        """Call *service*."""
        self._service = service
        self._data = bytearray()
        self._call: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP gives no other
        """Keep *transport* for the answers."""
        self._transport = transport
        self._service.connections += 1

    def data_received(self, data: bytes) -> None:
        """Take a call once it is whole."""
        self._data += data
        end = size(self._data)
        if end is None or len(self._data) < end:
            return
        body = bytes(self._data[self._data.find(b"\r\n\r\n") + 4 : end])
        del self._data[:end]
        loop = asyncio.get_running_loop()
        status, seconds = self._service.take(loop.time())
        if status == 200:
            self._call = loop.call_later(seconds, self._end, body)
        else:
            self._answer(status, b'"busy"')

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for the call any more: end it."""
        del exc
        self._service.connections -= 1
        if self._call is not None:
            self._call.cancel()
            self._service.under_way -= 1

    def _end(self, body: bytes) -> None:
        self._call = None
        self._service.under_way -= 1
        self._answer(200, body)

    def _answer(self, status: int, body: bytes) -> None:
        head = b"HTTP/1.1 %d Because\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (status, len(body)) + body)


async def main() -> None:
    """Say which port, then serve until the standard input ends."""
    service = StandIn()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(service), "127.0.0.1", 0)
    _say(b"%d" % server.sockets[0].getsockname()[1])
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        manner = msgspec.json.decode(line, type=Manner | None)
        if manner is not None:
            service.behave(manner)
        _say(msgspec.json.encode(service.account))
    server.close()


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main())
