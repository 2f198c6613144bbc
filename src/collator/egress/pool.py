"""Connections, and where they stand between two exchanges."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from collator.egress.connection import OutboundConnection

MOST_IDLE = 256
"""Connections that stand idle at a time: each is a descriptor of this process, and one of its receiver."""
_SWEEP = 1.0
_MARGIN = 1.0
"""Seconds by which a connection is given up before its receiver does so."""


class ConnectionPool:
    """The connections of one event loop, by what they lead to."""

    def __init__(self, *, keep_alive: float, max_age: float) -> None:
        """Keep each for at most *keep_alive* idle seconds at a time, and *max_age* seconds in all."""
        self._loop = asyncio.get_running_loop()
        self._keep_alive = keep_alive
        self._max_age = max_age
        self._ages: dict[OutboundConnection, tuple[Hashable, float]] = {}
        self._idle: dict[Hashable, dict[OutboundConnection, float]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def add(self, connection: OutboundConnection, leads_to: Hashable) -> None:
        """Take a connection in that is about to have its first exchange."""
        self._ages[connection] = leads_to, self._loop.time() + self._max_age

    def drop(self, connection: OutboundConnection) -> None:
        """Forget a connection that was lost."""
        leads_to, _ = self._ages.pop(connection, (None, 0.0))
        self._idle.get(leads_to, {}).pop(connection, None)

    def take(self, leads_to: Hashable) -> OutboundConnection | None:
        """The connection that was used last, if one can be used again."""
        idle = self._idle.get(leads_to)
        while idle:
            connection, until = idle.popitem()
            if self._loop.time() < until and connection.usable():
                return connection
            connection.close()
        return None

    def keep(self, connection: OutboundConnection) -> None:
        """Have a connection stand idle whose exchange is over."""
        now = self._loop.time()
        leads_to, end = self._ages[connection]
        until = min(end, now + self._keep_alive, now + connection.idle - _MARGIN)
        full = len(self._ages) > MOST_IDLE and sum(map(len, self._idle.values())) >= MOST_IDLE
        if until <= now or full:
            connection.close()
            return
        self._idle.setdefault(leads_to, {})[connection] = until
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP, self._sweep)

    def close_idle(self) -> None:
        """Close what stands idle."""
        for idle in self._idle.values():
            while idle:
                idle.popitem()[0].close()

    def close(self) -> None:
        """Close all; an exchange under way fails."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in [*self._ages]:
            connection.close()

    def _sweep(self) -> None:
        now = self._loop.time()
        for leads_to, idle in [*self._idle.items()]:
            for connection in [connection for connection, until in idle.items() if until <= now]:
                del idle[connection]
                connection.close()
            if not idle:
                del self._idle[leads_to]
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep) if self._idle else None
