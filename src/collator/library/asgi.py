"""A connection to the HTTP app of this very process: no port and no socket, and the answers that a service gives.

So a program that holds the engine asks it as any client asks a service: one set of verbs, checks and errors for both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from collator.client.answer import Response, Unreachable
from collator.client.connection import ServiceStream

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
"""An ASGI application."""


class AsgiConnection:
    """Asks *app*, as long as it is open."""

    where = "this Collator"

    def __init__(self, app: AsgiApp) -> None:
        """Ask *app*."""
        self._app: AsgiApp | None = app

    async def aclose(self) -> None:
        """Ask no more."""
        self._app = None

    async def request(self, method: str, path: str, body: bytes | None = None) -> Response:
        """Ask, and gather the answer. `Unreachable` once it is closed."""
        exchange = _Exchange(body or b"")
        await self._open_app()(_scope(method, path, body), exchange.receive, exchange.send)
        return exchange.answer()

    async def stream(self, path: str, *, last_event_id: str) -> ServiceStream:
        """Open the stream of events at *path* behind *last_event_id*. Raises what a refusal means; `Unreachable`."""
        stream = _Stream(self._open_app(), _scope("GET", path, None, (b"last-event-id", last_event_id.encode())))
        await stream.begin(self.where)
        return stream

    def _open_app(self) -> AsgiApp:
        if self._app is None:
            raise Unreachable(f"{self.where} is closed; use it within its context")
        return self._app


class _Exchange:
    """The two directions of one request."""

    def __init__(self, request: bytes) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self._request = request
        self._given = False

    def answer(self) -> Response:
        """The whole answer."""
        return Response(self.status, b"".join(self.body), float(self.headers.get(b"retry-after", 0)))

    async def receive(self) -> Message:
        if self._given:
            await asyncio.Event().wait()  # as a server does: nobody goes before he is answered
        body, self._given = self._request, True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.body.append(message.get("body", b""))


class _Stream(_Exchange):
    """An answer that is given on as it comes, a message at a time."""

    def __init__(self, app: AsgiApp, scope: Message) -> None:
        super().__init__(b"")
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
        self._ended = False
        self._answering = asyncio.create_task(self._answer(app, scope))

    async def begin(self, where: str) -> None:
        """Wait for the status. Raises what a refusal means."""
        try:
            await self._pieces.get()
        except asyncio.CancelledError:
            self.close()
            raise
        if self.status != HTTPStatus.OK:
            raise self.answer().error(where)

    async def send(self, message: Message) -> None:
        await super().send(message)
        piece = self.body.pop() if self.body and self.status == HTTPStatus.OK else b""
        if piece or (message["type"] == "http.response.start" and self.status == HTTPStatus.OK):
            await self._pieces.put(piece)

    async def read(self) -> bytes:
        return b"" if self._ended and self._pieces.empty() else await self._pieces.get()

    def close(self) -> None:
        self._answering.cancel()

    async def _answer(self, app: AsgiApp, scope: Message) -> None:
        try:
            await app(scope, self.receive, self.send)
        finally:
            self._ended = True
            with suppress(asyncio.QueueFull):
                self._pieces.put_nowait(b"")


def _scope(method: str, path: str, body: bytes | None, *fields: tuple[bytes, bytes]) -> Message:
    raw, _, query = path.partition("?")
    headers = [(b"host", b"localhost"), *fields]
    if body is not None:
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},  # since 2.4 nobody listens for the end of a connection
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw),
        "raw_path": raw.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
    }
