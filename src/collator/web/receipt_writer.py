"""Receipts of a stream, written while the request still comes (`?receipts=all`).

A line for each packet as its group is decided, a line for each line that held no packet, and a last line with ``done``.
Receipts that the client does not read are kept up to a bound; then the stream is ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import Send

from collator.web.formats import LINES
from collator.web.limits import KIB
from collator.web.live_answer import begin_live, end_live, write_live
from collator.web.request_body import RequestBody

SMALL = 64 * KIB
"""Bytes of receipts that may always wait for the client."""


class ReceiptWriter:
    """The answer to a stream, in the making."""

    def __init__(self, send: Send, request: RequestBody, *, max_unread: int, overflow: Callable[[], None]) -> None:
        """Write to *send*; call *overflow* when more than *max_unread* bytes wait for the client of *request*.

        A small part of that may always wait, and the rest while there is room in memory.
        """
        self._send = send
        self._who, self._buffer_memory = request.who, request.buffer_memory
        self._max_unread = max_unread
        self._overflow = overflow
        self._unread: list[bytes] = []
        self._size = 0
        self._writing = 0  # bytes that are being written
        self._complete = False
        self._more = asyncio.Event()

    def write(self, lines: bytes) -> None:
        """Write *lines*, soon."""
        crowded = self._size > SMALL and self._buffer_memory.why_not(self._who, len(lines))
        self._unread.append(lines)
        self._size += len(lines)
        self._buffer_memory.take(self._who, len(lines))
        self._more.set()
        if crowded or self._size > self._max_unread:
            self._overflow()

    def close(self, lines: bytes) -> None:
        """Write *lines* as the last ones."""
        self._unread.append(lines)
        self._size += len(lines)
        self._buffer_memory.take(self._who, len(lines))
        self._complete = True
        self._more.set()

    async def run(self, *, at_once: bool) -> None:
        """Write what is told until it is closed. The head of the answer goes *at_once*, or with the first lines."""
        if not at_once:
            await self._more.wait()
        await begin_live(self._send, LINES.encode())
        while self._unread or not self._complete:
            await self._more.wait()
            self._more.clear()
            lines, self._unread, self._writing, self._size = self._unread, [], self._size, 0
            await write_live(self._send, b"".join(lines))
            self._buffer_memory.give(self._who, self._writing)
            self._writing = 0
        await end_live(self._send)

    def discard(self) -> None:
        """Write no more: what is left is given up."""
        self._buffer_memory.give(self._who, self._size + self._writing)
        self._size = self._writing = 0
