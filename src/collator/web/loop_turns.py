"""One large piece of work in a turn of the event loop, and the callers in turn: nobody has the loop to himself.

Theory. The event loop belongs to everybody, and gives it back only who has finished. So work on what is large is cut
into pieces of a few milliseconds, and between two of them, whosever they are, the loop goes once around: whoever asks
for little waits for one piece, and not for one of each connection. Callers have their pieces round robin, however many
connections each has. Nothing waits while the loop is idle: who is alone has all of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeVar

from collator.json_text import Steps

T = TypeVar("T")


class LoopTurns:
    """Who waits for a turn of the event loop."""

    def __init__(self) -> None:
        """Let nobody wait yet."""
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # the next caller first

    async def turn(self, who: str) -> None:
        """Wait until a piece of work of *who* may run."""
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._grant)
        self._waiting.setdefault(who, deque()).append(granted)
        await granted

    async def drive(self, who: str, steps: Steps[T]) -> T:
        """Return what *steps* return at their end; each step in a turn of *who*."""
        while True:
            await self.turn(who)
            try:
                next(steps)
            except StopIteration as end:
                result: T = end.value
                return result

    def _grant(self) -> None:
        """Let one piece of work run, and look for the next once the loop has gone around."""
        granted = self._next()
        if granted is not None:
            granted.set_result(None)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._grant)

    def _next(self) -> asyncio.Future[None] | None:
        """The one whose turn it is, who waits no more; `None` where all have gone."""
        while self._waiting:
            who, waiting = next(iter(self._waiting.items()))
            del self._waiting[who]
            granted = waiting.popleft()
            if waiting:
                self._waiting[who] = waiting
            if not granted.done():  # else it was cancelled
                return granted
        return None
