"""A transport that closes without destroying the answer.

To close a socket on which something has come that nobody read resets the connection, and the reset may overtake the
answer (RFC 9112, 9.6). So, after a refusal: say that nothing more comes from here, throw away what still comes for a
moment, then close.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from collator.web.limits import Limits


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
        self.write = transport.write  # type: ignore[method-assign]  # the hot path: no call in between

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close once what was written is sent; where the client may still send, once it has closed too."""
        if self.is_closing():
            return
        self._closing = True
        if self._unread():
            self._deadline = self._loop.time() + self._limits.linger_seconds
            self._say_no_more()
        else:
            self._deadline = self._loop.time() + self._limits.write_seconds
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._transport.abort()

    def check(self, now: float) -> None:
        """Close at once where the time for closing has passed at *now*."""
        if now > self._deadline:
            self.abort()

    def _say_no_more(self) -> None:
        try:
            self._transport.write_eof()
            self._transport.resume_reading()
        except OSError:  # the client has gone, and the loop does not know yet
            self.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  # asyncio's own signature
        """What asyncio knows of the socket."""
        return self._transport.get_extra_info(name, default)
