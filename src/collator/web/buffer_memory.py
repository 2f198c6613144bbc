"""Memory of requests and answers, counted together and for each caller, and bounded whatever their number.

What counts: bodies, from their first byte to the answer to them; packets of them that are decoded and not stored yet;
the lines of streams that have not ended; receipts and answers until their client has taken them.
"""

from __future__ import annotations

import asyncio
from typing import Self

from collator.shares import Shared
from collator.web.problems import busy

MULTIPLE = 2
"""How many times what is free one caller may hold: less than of places, as a whole body of another has to fit."""


class Holding:
    """A context in which a caller holds bytes. No generator, which costs three times as much: each read has some."""

    __slots__ = ("_memory", "_number", "_who")

    def __init__(self, memory: BufferMemory, who: str, number: int) -> None:
        """Use `BufferMemory.holding`."""
        self._memory, self._who, self._number = memory, who, number

    def __enter__(self) -> Self:
        if self._number:
            self._memory.take(self._who, self._number)
        return self

    def hold(self, number: int) -> None:
        """Hold *number* bytes from now on, where they are more."""
        if number > self._number:
            self._memory.take(self._who, number - self._number)
            self._number = number

    def __exit__(self, *_: object) -> None:
        if self._number:
            self._memory.give(self._who, self._number)


class BufferMemory(Shared):
    """The bytes that are held."""

    def __init__(self, most: int) -> None:
        """Let *most* bytes be held."""
        super().__init__(most, "bytes of requests and answers", setting="max_buffered", multiple=MULTIPLE)
        self._freed: asyncio.Event | None = None  # where somebody waits

    def check(self, who: str, number: int) -> None:
        """Raise `HttpProblem` where *who* may not hold *number* bytes more."""
        why_not = self.why_not(who, number)
        if why_not:
            raise busy(why_not)

    def give(self, who: str, number: int = 1) -> None:
        """Let *who* hold *number* bytes less."""
        super().give(who, number)
        if self._freed is not None:
            self._freed.set()
            self._freed = None

    def holding(self, who: str, number: int) -> Holding:
        """A context in which *who* holds *number* bytes more, whether or not he may."""
        return Holding(self, who, number)

    async def wait_for(self, who: str, number: int) -> None:
        """Wait until *who* may hold *number* bytes more."""
        while self.why_not(who, number):
            self._freed = self._freed or asyncio.Event()
            await self._freed.wait()
