"""Following a resource: each outcome once, by server-sent events, whatever cuts the stream off meanwhile (R26).

The first page is asked for without waiting: it says whether there is such a resource, and which generation of it. Then
one stream after the other goes on behind the last outcome that came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from collator.client.answer import Unreachable
from collator.client.connection import ServiceStream
from collator.client.poll import pause
from collator.errors import Conflict
from collator.text import shown


class ServerEvent(NamedTuple):
    """A server-sent event."""

    kind: str
    data: bytes
    """JSON."""
    id: str


class EventReader:
    """Reads the events of one stream, as the service writes them: with line feeds."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._parts: list[bytes] = []  # of a line that has no end yet: an output may be large
        self._fields: dict[bytes, bytes] = {}

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """The events that end within *chunk*."""
        self._parts.append(chunk)
        if b"\n" not in chunk:
            return
        *lines, rest = b"".join(self._parts).split(b"\n")
        self._parts = [rest]
        for line in lines:
            name, _, value = line.partition(b": ")
            if line:
                self._fields[name] = self._fields[name] + b"\n" + value if name in self._fields else value
            elif b"data" in self._fields:
                kind, id_ = self._fields.get(b"event", b""), self._fields.get(b"id", b"")
                yield ServerEvent(kind.decode(), self._fields[b"data"], id_.decode())
            if not line:
                self._fields = {}


async def follow_outcomes(
    look: Callable[[], Awaitable[Mapping[str, Any]]],
    stream: Callable[[str, str], Awaitable[ServiceStream]],
    *,
    patience: float | None,
) -> AsyncGenerator[Any, None]:
    """Each outcome of a resource, until it has ended and none is left.

    *look* gives the first of them, as `Client.outputs` does by `seq`, and *stream* opens that of the generation which
    its first argument names, behind the event whose id is the second.

    Raises what these raise, and `Conflict` where another generation has begun; `Unreachable` only where there was no
    answer for *patience* seconds, `None` for never.
    """
    follower = _Follower(look, stream, patience)
    try:
        while not follower.ended:
            for outcome in await follower.read():
                yield outcome
    finally:
        follower.close()


class _Follower:
    """How far one who follows is."""

    def __init__(
        self,
        look: Callable[[], Awaitable[Mapping[str, Any]]],
        stream: Callable[[str, str], Awaitable[ServiceStream]],
        patience: float | None,
    ) -> None:
        self.ended = False
        self._first_page, self._open, self._patience = look, stream, patience
        self._webhook_id, self._last_id = "", ""
        self._stream: ServiceStream | None = None
        self._events = EventReader()
        self._asked = self._answered = time.monotonic()

    async def read(self) -> list[Mapping[str, Any]]:
        """Some more outcomes, or none for now."""
        try:
            if not self._webhook_id:
                return await self._look()
            if self._stream is None:
                self._asked, self._events = time.monotonic(), EventReader()
                self._stream = await self._open(self._webhook_id, self._last_id)
            chunk = await self._stream.read()
        except Unreachable as error:
            self.close()
            await self._pause(error)
            return []
        self._answered = time.monotonic()
        if not chunk:
            self.close()
            await asyncio.sleep(pause(0.0))
        return [outcome for event in self._events.feed(chunk) if (outcome := self._take(event)) is not None]

    def close(self) -> None:
        """Let go of the stream."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _look(self) -> list[Mapping[str, Any]]:
        self._asked = time.monotonic()
        page = await self._first_page()
        self._answered = time.monotonic()
        self._webhook_id, self._last_id = page["webhook_id"], str(page["after_seq"])
        self.ended = not page["more"]
        return list(page["outputs"])

    def _take(self, event: ServerEvent) -> Mapping[str, Any] | None:
        """The outcome that *event* tells, as `Client.outputs` has it."""
        told = msgspec.json.decode(event.data, type=dict[str, Any])
        if event.kind == "reset":
            raise Conflict(shown(told["detail"]))
        if event.id:  # what is only shown meanwhile has none: it is no place to go on at
            self._last_id = event.id
        if event.kind == "end":
            self.ended = True
        if event.kind == "output":
            return {name: told[name] for name in ("seq", "index", "output")}
        if event.kind == "failed":
            failed = {name: told[name] for name in ("reason", "attempts")}
            return {"seq": told["seq"], "index": told["index"], "failed": failed}
        return None

    async def _pause(self, error: Unreachable) -> None:
        """Wait until the service is asked again; raise *error* where it has not answered for too long."""
        silent = self._asked - self._answered
        if self._patience is not None and silent >= self._patience:
            raise error
        was_cut = silent < 0
        await asyncio.sleep(pause(silent, least=0.0 if was_cut else error.retry_after))
