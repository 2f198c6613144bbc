"""Changes of many things, which a request takes step by step, so that none holds up the ledger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from collator.errors import Unavailable


class _Done(Protocol):
    @property
    def next_cursor(self) -> str | None: ...


D = TypeVar("D", bound=_Done)
"""What is done so far, and where the next step begins; `None` where nothing is left."""


async def take_steps(step: Callable[[D], Awaitable[D]], done: D, *, most: int, number: Callable[[D], int]) -> D:
    """Take *step* after step behind what is *done*, up to *most*: all that is done then, of which *number* is how much.

    `Unavailable` where nothing is done yet. Else what is done is told, and who goes on is told why nothing more can be.
    """
    for _ in range(most):
        try:
            done = await step(done)
        except Unavailable:
            if number(done):
                break
            raise
        if done.next_cursor is None:
            break
    return done
