"""A transport that closes without destroying the answer.

To close a socket on which something has come that nobody read resets the connection, and the reset may overtake the
answer (RFC 9112, 9.6). So, after a refusal: say that nothing more comes from here, throw away what still comes for a
moment, then close.

And one that writes once. uvicorn writes the head of an answer and its body one after the other, and the event loop
passes on each at once: two calls of the system, and two segments that wake the client twice. So what is written in one
turn of the loop leaves together, at the end of it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from collator.web.limits import KIB, Limits

_GATHERED = 64 * KIB
"""Bytes that may wait for the end of a turn: more is passed on at once, so that the flow of a long answer is felt."""


class Lingering(asyncio.Transport):
    """What the guard writes to."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        *,
        unread: Callable[[], bool],
    ) -> None:
        """Stand before *transport*; *unread* says whether the client may be sending what nobody will read."""
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._limits = limits
        self._unread = unread
        self._closing = False
        self._deadline = math.inf
        self._gathered: list[bytes | bytearray | memoryview] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write *data*, with all else that is written in this turn of the event loop."""
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append(data)
        self._size += len(data)
        if self._size > _GATHERED:
            self._flush()

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close once what was written is sent; where the client may still send, once it has closed too."""
        if self.is_closing():
            return
        self._closing = True
        self._flush()
        if self._unread():
            self._deadline = self._loop.time() + self._limits.linger_seconds
            self._say_no_more()
        else:
            self._deadline = self._loop.time() + self._limits.write_seconds
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._gathered.clear()
        self._transport.abort()

    def check(self, now: float) -> None:
        """Close at once where the time for closing has passed at *now*."""
        if now > self._deadline:
            self.abort()

    def _flush(self) -> None:
        if self._gathered and not self._transport.is_closing():
            self._transport.write(b"".join(self._gathered))
        self._gathered.clear()
        self._size = 0

    def _say_no_more(self) -> None:
        try:
            self._transport.write_eof()
            self._transport.resume_reading()
        except OSError:  # the client has gone, and the loop does not know yet
            self.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  # asyncio's own signature
        """What asyncio knows of the socket."""
        return self._transport.get_extra_info(name, default)
