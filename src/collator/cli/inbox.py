"""A server that webhooks are sent to: it checks who signed them, and hands them over. Knows nothing of files.

Nothing but 2xx means "received" to a sender (R22), so the answer is given when the handler has returned.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

from collator.errors import cannot_listen
from collator.signing import Secret, Unverified, verify

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp import web

MAX_BODY = 1024 * 1024 * 1024
"""Bytes; a service can be told to send bodies as large as it likes."""

GRACE = 2.0
"""Seconds in which requests under way may end at the close; who gets no answer sends again."""


class Received(NamedTuple):
    """A webhook as it came in."""

    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def webhook_id(self) -> str:
        """The id that stays the same at every attempt; empty where it has none."""
        return self.headers.get("webhook-id", "")


class Reply(NamedTuple):
    """What is answered."""

    status: int
    text: str = ""


class Inbox:
    """A server on *host* and *port* that passes every webhook to *handle*, as an async context manager."""

    def __init__(
        self,
        handle: Callable[[Received], Awaitable[Reply]],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        secrets: Callable[[], Sequence[Secret]] | None = None,
        refused: Callable[[Received, str], object] = lambda received, why: None,  # noqa: ARG005 - nobody wants to know
    ) -> None:
        """Listen only once it is entered, which raises what `cannot_listen` gives; *port* 0 takes any free one.

        Without *secrets* nothing is verified; with them *refused* is told of each that none of them signed, and why.
        """
        self._handle = handle
        self._host = host
        self._port = port
        self._secrets = secrets
        self._refused = refused

    async def __aenter__(self) -> Self:
        from aiohttp import web

        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise cannot_listen(self._host, self._port, error) from None
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/"

    async def _answer(self, request: web.Request) -> web.Response:
        from aiohttp import web

        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = await self._reply(Received(headers, await request.read()))
        return web.Response(status=reply.status, text=reply.text or None)

    async def _reply(self, received: Received) -> Reply:
        if self._secrets is not None:
            try:
                verify(self._secrets(), received.headers, received.body, now=time.time())
            except Unverified as error:
                self._refused(received, error.detail)
                return Reply(401, error.detail)
        return await self._handle(received)
