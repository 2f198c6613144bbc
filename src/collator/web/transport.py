"""A transport that closes without destroying the answer.

To close a socket with unread bytes resets the connection, and the reset may overtake the answer (RFC 9112, 9.6). So,
after a refusal: say that nothing more comes from here, throw away what still comes for a moment, then close.

And one that writes once. uvicorn writes the head of an answer and its body one after the other, and the event loop
passes on each at once: two calls of the system, and two segments that wake the client twice. So what is written in one
turn of the loop leaves together, at the end of it.

And one that tells a client that reads slowly from one that does not read. How full the buffer is says nothing, as an
answer may be larger than what a slow line carries in any time that is granted; at which rate it empties does. A client
has `write_seconds` of credit, which time uses up while something waits for it, and what it takes restores, by the rate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from collator.web.limits import KIB, HttpLimits

_GATHERED = 64 * KIB
"""Bytes that may wait for the end of a turn: more is passed on at once, so that the flow of a long answer is felt."""

_DISCARDED = 1024 * KIB
"""Bytes that are thrown away between two looks, after a refusal."""


class BufferedTransport(asyncio.Transport):
    """The transport that the guard writes to."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        limits: HttpLimits,
        *,
        unread: Callable[[], bool],
    ) -> None:
        """Wrap *transport*; *unread* says whether the client may be sending what will not be read."""
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._limits = limits
        self._unread = unread
        self._closing = self._lingers = False
        self.linger_seconds = limits.linger_seconds
        """How long the client has to close after us."""
        self._discarded = 0  # bytes since reading began, or went on
        self._gathered: list[bytes | bytearray | memoryview] = []
        self._size = 0
        self._all_taken: float | None = None  # when the client had taken all, once nothing more comes
        self._written = self._taken = 0  # bytes ever given to the transport, and of those what it has passed on
        self._credit = limits.write_seconds  # for which the client may take nothing
        self._checked = loop.time()  # when that was so

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write *data*, with all else that is written in this turn of the event loop."""
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append(data)
        self._size += len(data)
        if self._size > _GATHERED:
            self._flush()

    def write_through(self, data: bytes) -> None:
        """Write *data*, a whole answer, with what was written before: nothing comes that could leave with it."""
        self._gathered.append(data)
        self._size += len(data)
        self._flush()

    def is_closing(self) -> bool:
        """Return whether nothing more can be written."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close once what was written is sent; where the client may still send, once it has closed too."""
        if self.is_closing():
            return
        self._closing = True
        self._flush()
        self._lingers = self._unread()
        if self._lingers:
            self._shut_write()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._gathered.clear()
        self._transport.abort()

    def discard(self, size: int) -> None:
        """Throw away *size* bytes that came after a refusal; where they are many, read on at the next `check`.

        A flood would otherwise be read at the speed of its line, as long as the client has to close.
        """
        self._discarded += size
        if self._discarded > _DISCARDED and not self._transport.is_closing():
            self._transport.pause_reading()

    def check(self, now: float) -> None:
        """Close at once where the client takes too little of what is left, or does not close after us."""
        if self._discarded > _DISCARDED and not self._transport.is_closing():
            self._discarded = 0
            self._transport.resume_reading()
        unsent = self._transport.get_write_buffer_size()
        if not (unsent or self._closing):
            self._credit, self._checked, self._taken = self._limits.write_seconds, now, self._written
            return
        taken, self._taken = self._written - unsent - self._taken, self._written - unsent
        seconds, self._checked = now - self._checked, now
        if not unsent and self._closing:
            # The client has all, and gets a moment to close after us.
            since = self._all_taken = now if self._all_taken is None else self._all_taken
            if now - since > (self.linger_seconds if self._lingers else self._limits.write_seconds):
                self.abort()
            return
        self._credit = min(self._limits.write_seconds, self._credit + taken / self._limits.write_rate - seconds)
        if self._credit < 0:
            self.abort()

    def _flush(self) -> None:
        if self._gathered and not self._transport.is_closing():
            self._transport.write(b"".join(self._gathered))
            self._written += self._size
        self._gathered.clear()
        self._size = 0

    def _shut_write(self) -> None:
        try:
            self._transport.write_eof()
            self._transport.resume_reading()
        except OSError:  # the client has gone, and the loop does not know yet
            self.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  # asyncio's own signature
        """As in asyncio: a property of the socket."""
        return self._transport.get_extra_info(name, default)
