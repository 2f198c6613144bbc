"""A connection to the HTTP app of this very process: no port and no socket, and the answers that a service gives.

So a program that holds the engine asks it as any client asks a service: one set of verbs, checks and errors for both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from collator.client.answer import Response, Unreachable

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
        if self._app is None:
            raise Unreachable(f"{self.where} is closed; use it within its context")
        exchange = _Exchange(body or b"")
        await self._app(_scope(method, path, body), exchange.receive, exchange.send)
        return Response(exchange.status, b"".join(exchange.body), float(exchange.headers.get(b"retry-after", 0)))


class _Exchange:
    """The two directions of one request."""

    def __init__(self, request: bytes) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self._request = request
        self._given = False

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


def _scope(method: str, path: str, body: bytes | None) -> Message:
    raw, _, query = path.partition("?")
    headers = [(b"host", b"localhost")]
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
