"""Operations: calls of a ledger that are made again where their answer was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from secrets import token_hex
from typing import ParamSpec, TypeVar

from collator.errors import Uncertain

P = ParamSpec("P")
R = TypeVar("R")

TRIES = 5
"""Calls of one operation. Who still has no answer is told so; what was handed out is due again when its lease ends."""


class Operations:
    """The operations of one caller."""

    def __init__(self) -> None:
        """Begin with an id that nobody else has."""
        self._prefix = token_hex(6)
        self._numbers = count(1)

    def new(self) -> str:
        """Return the id of a new operation."""
        return f"{self._prefix}{next(self._numbers):x}"

    async def certain(self, verb: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call *verb* as one operation, again while its answer is lost. `Uncertain` where that goes on."""
        kwargs["operation"] = self.new()
        for _ in range(TRIES - 1):
            try:
                return await verb(*args, **kwargs)
            except Uncertain as error:
                await asyncio.sleep(error.retry_after)
        return await verb(*args, **kwargs)
