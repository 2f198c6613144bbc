"""Large work in pieces, one in a turn of the event loop, callers round robin: no caller blocks the loop for others.

Theory. All callers share one event loop, and a piece of work blocks it until it returns. So large work is cut into
pieces of a few milliseconds, and between two pieces, of whichever callers, the loop turns once: a small request waits
for one piece, and not for one of each connection. Callers take turns, however many connections each has. While the
loop is idle nothing waits: a single caller has all of it. With a pause before each piece, work has a small part of
the loop, however many ask for it: what floods bring, and is of no use, is done so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeVar

from collator.json_text import Steps

T = TypeVar("T")

_SLICE = 0.001
"""Seconds of work of which nobody knows how much it is, until it waits for a turn."""
OVERHEAD_PAUSE = 0.01
"""Seconds before each piece of overhead, which has a millisecond of work."""


class LoopTurns:
    """Who waits for a turn of the event loop."""

    def __init__(self, *, pause: float = 0.0) -> None:
        """Begin with no caller in the queue; *pause* seconds pass before each piece."""
        self._pause = pause
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # the next caller first

    async def turn(self, who: str) -> None:
        """Wait until a piece of work of *who* may run."""
        granted = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._grant_soon()
        self._waiting.setdefault(who, deque()).append(granted)
        await granted

    async def drive(self, who: str, steps: Steps[T]) -> T:
        """Run *steps*, each in a turn of *who*, and return their result."""
        while True:
            await self.turn(who)
            try:
                next(steps)
            except StopIteration as end:
                result: T = end.value
                return result

    def pace(self, who: str) -> TurnPace:
        """The pace of work of *who* that begins now, in steps that may be many."""
        return TurnPace(self, who)

    def _grant(self) -> None:
        """Let one piece of work run, and look for the next once the loop has gone around."""
        granted = self._next()
        if granted is not None:
            granted.set_result(None)
        if self._waiting:
            self._grant_soon()

    def _grant_soon(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pause:
            loop.call_later(self._pause, self._grant)
        else:
            loop.call_soon(self._grant)

    def _next(self) -> asyncio.Future[None] | None:
        """Take the next caller out of the queue; `None` where all have gone."""
        while self._waiting:
            who, waiting = next(iter(self._waiting.items()))
            del self._waiting[who]
            granted = waiting.popleft()
            if waiting:
                self._waiting[who] = waiting
            if not granted.done():  # else it was cancelled
                return granted
        return None


class TurnPace:
    """The pace of work in small steps: it waits for a turn whenever a while has passed."""

    def __init__(self, turns: LoopTurns, who: str) -> None:
        """Work for *who* from now on, by *turns*."""
        self._turns, self._who = turns, who
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + _SLICE

    async def step(self) -> None:
        """Go on with the next step, in a turn of its own where the last ones took long."""
        if self._loop.time() >= self._until:
            await self._turns.turn(self._who)
            self._until = self._loop.time() + _SLICE
