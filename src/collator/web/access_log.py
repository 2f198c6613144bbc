"""The access log: an event for each request that was answered, where the settings ask for it (`access_log`).

It has the path and not the query, in which a ticket may be, and no field of the head. Where it is on, the app answers
single packets too (`direct_packets` is left out), so that each request passes here; where it is off, nothing does.
Requests that are no HTTP, or are refused before the app sees them, are told as refused requests alone.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collator.text import shown

ACCESS = "collator.access"
"""The key in the scope of a request under which it is told who asks."""

_log = structlog.get_logger(__name__)


class AccessEntry:
    """What is told of a request."""

    __slots__ = ("size", "status", "who")

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.who = ""
        """The name of the token; empty without one that is known."""
        self.status: int | None = None
        """`None` where no answer was begun, and of a WebSocket."""
        self.size = 0
        """Bytes of the body of the answer."""


class AccessLog:
    """An app that has another answer, and logs each request at its end."""

    def __init__(self, app: ASGIApp, *, now: Callable[[], float]) -> None:
        """Have *app* answer; *now* is a monotonic clock."""
        self._app, self._now = app, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._now()
        entry = scope[ACCESS] = AccessEntry()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            entry.size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            client = scope.get("client")
            _log.info(
                "request answered",
                method=scope["method"],
                path=shown(scope["raw_path"]),
                status=entry.status,
                bytes=entry.size,
                seconds=round(self._now() - began, 6),
                peer=client[0] if client else "",
                who=entry.who,
            )
