"""The sender: requests that are ready, written to raw sockets, and the time until each answer is there.

It shares the processor cores with what is measured, so it does as little as can be for a request: no future, no task,
one write, one look at the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bench.messages import size, status
from collator.errors import CollatorError

HOST = "127.0.0.1"
_ACCEPTED = 202
_SHOWN = 200


class Sent(msgspec.Struct):
    """The results of requests; times in monotonic seconds, which all processes of a machine share."""

    started: float = 0.0
    """Just before the first byte."""
    ended: float = 0.0
    """When the last answer was there."""
    delays: list[float] = []
    """From just before each request to its answer, in seconds."""
    answers: Counter[int] = msgspec.field(default_factory=Counter)
    """How many had which status."""

    def faults(self) -> Iterator[str]:
        """The answers that are no 202."""
        others = {status: count for status, count in self.answers.items() if status != _ACCEPTED}
        if others:
            yield f"answers other than 202: {', '.join(f'{count} × {status}' for status, count in others.items())}"


async def post(port: int, requests: Sequence[bytes], *, connections: int) -> Sent:
    """Send *requests* over so many keep-alive *connections*, each with one request under way at a time."""
    loop = asyncio.get_running_loop()
    feed = _Feed(requests, loop.create_future())
    lines = [(await loop.create_connection(lambda: _Line(feed), HOST, port))[1] for _ in range(connections)]
    try:
        feed.sent.started = time.monotonic()
        for line in lines:
            line.send()
        await feed.ended
    finally:
        for line in lines:
            line.transport.abort()
    return feed.sent


async def stream(port: int, request: bytes, packets: int) -> Sent:
    """Send one *request* with so many *packets*; raise unless its answer says that it took them all."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        started = time.monotonic()
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly((size(head) or 0) - len(head))
        ended = time.monotonic()
    except (OSError, EOFError) as error:
        raise CollatorError(f"the stream broke off: {error}") from None
    finally:
        writer.transport.abort()
    summary: dict[str, Any] = msgspec.json.decode(body)
    if summary.get("accepted") != packets:
        raise CollatorError(f"not all {packets} packets of the stream were accepted: {body[:_SHOWN].decode()}")
    return Sent(started, ended)


class _Feed:
    """State that the connections share: the requests that are not sent yet, and what became of the others."""

    def __init__(self, requests: Sequence[bytes], ended: asyncio.Future[None]) -> None:
        self.requests = iter(requests)
        self.unanswered = len(requests)
        self.sent = Sent()
        self.ended = ended

    def answered(self, delay: float, now: float, status: int) -> None:
        self.sent.delays.append(delay)
        self.sent.answers[status] += 1
        self.unanswered -= 1
        if not self.unanswered and not self.ended.done():
            self.sent.ended = now
            self.ended.set_result(None)

    def broke(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(CollatorError(why))


class _Line(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, feed: _Feed) -> None:
        self._feed = feed
        self._data = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP gives no other
        self.transport = transport

    def send(self) -> None:
        """Send the next request, if there is one."""
        request = next(self._feed.requests, None)
        if request is not None:
            self._began = time.monotonic()
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = size(self._data)
        if end is None or len(self._data) < end:
            return
        now = time.monotonic()
        self._feed.answered(now - self._began, now, status(self._data))
        self._data = b""
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._feed.broke(f"a connection broke off: {exc or 'the service closed it'}")
