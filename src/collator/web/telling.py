"""Receipts of a stream, written while the request still comes (`?receipts=all`).

A line for each packet as its group is decided, a line for each line that held no packet, and a last line with ``done``.
Receipts that the client does not read are kept up to a bound; then the stream is ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import Send


class Telling:
    """The answer to a stream, in the making."""

    def __init__(self, send: Send, *, max_unread: int, overflow: Callable[[], None]) -> None:
        """Write to *send*; call *overflow* when more than *max_unread* bytes wait for the client."""
        self._send = send
        self._max_unread = max_unread
        self._overflow = overflow
        self._unread: list[bytes] = []
        self._size = 0
        self._complete = False
        self._more = asyncio.Event()

    def tell(self, lines: bytes) -> None:
        """Write *lines*, soon."""
        self._unread.append(lines)
        self._size += len(lines)
        self._more.set()
        if self._size > self._max_unread:
            self._overflow()

    def close(self, lines: bytes) -> None:
        """Write *lines* as the last ones."""
        self._unread.append(lines)
        self._complete = True
        self._more.set()

    async def run(self, *, at_once: bool) -> None:
        """Write what is told until it is closed. The head of the answer goes *at_once*, or with the first lines."""
        if not at_once:
            await self._more.wait()
        head = [
            (b"content-type", b"application/x-ndjson"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": head})
        while self._unread or not self._complete:
            await self._more.wait()
            self._more.clear()
            lines, self._unread, self._size = self._unread, [], 0
            await self._send({"type": "http.response.body", "body": b"".join(lines), "more_body": True})
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
