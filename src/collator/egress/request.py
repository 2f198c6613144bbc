"""One request on its way to its one end: on a kept connection, or on one that is made for it.

Where a kept connection turns out to be closed, it goes out once more, on a fresh one. No task is needed on a kept one:
what comes of the exchange is a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from collator.egress.answer import Answer, NoAnswer
from collator.egress.body import Body
from collator.egress.connection import OutboundConnection
from collator.egress.exchange import Outcome

RequestEnded = Callable[[Answer | NoAnswer | Exception], None]
"""Takes what came of a request; an exception where reading its body raised it."""

Connector = Callable[[float, float], Coroutine[None, None, OutboundConnection | NoAnswer]]
"""Makes a connection until a deadline, so many seconds after the beginning."""


class OutboundRequest:
    """A request under way; a `WireExchange` of the connection that it goes out on."""

    def __init__(
        self,
        head: bytes,
        body: Body,
        *,
        keep: int,
        timeout: float,
        connect: Connector,
        stood_still: Callable[[], float],
        told: RequestEnded,
    ) -> None:
        """Have *timeout* seconds from now on, not counting those that this process stands still."""
        self.head, self.body, self.keep, self.timeout = head, body, keep, timeout
        self._loop = asyncio.get_running_loop()
        self.deadline = self._loop.time() + timeout
        self._connect, self._told = connect, told
        self._stood_still, self._before = stood_still, stood_still()
        self._connecting: asyncio.Task[None] | None = None
        self._connection: OutboundConnection | None = None

    def start(self, kept: OutboundConnection | None) -> None:
        """Go out on *kept*, or on a connection that is to be made."""
        self._connection = kept
        if kept is not None:
            kept.begin(self)
        else:
            self._connecting = self._loop.create_task(self._start_on_fresh_one())

    def cancel(self) -> None:
        """Come to no end, where it has not ended yet."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.cancel(self)

    def prolong(self) -> bool:
        """As `WireExchange.prolong`."""
        before, self._before = self._before, self._stood_still()
        self.deadline += self._before - before
        return self._before > before

    def ended(self, outcome: Outcome) -> None:
        """As `WireExchange.ended`."""
        if outcome is None:
            self.start(None)
        else:
            self._told(outcome)

    async def _start_on_fresh_one(self) -> None:
        made = await self._connect(self.deadline, self.timeout)
        self._connecting = None
        if isinstance(made, OutboundConnection):
            self.start(made)
        else:
            self._told(made)
