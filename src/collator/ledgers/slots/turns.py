"""What is due in several ledgers, taken by turns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from collator.errors import Unavailable, Uncertain
from collator.ledgers.slots import merger
from collator.ledgers.slots.shares import shares
from collator.ledgers.slots.slots import Slots

R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)


class Take(Protocol[T_co]):
    """Takes what is due in one ledger."""

    def __call__(self, slot: int, wanted: int, part: str, /) -> Awaitable[Sequence[T_co]]:
        """Take up to *wanted* from the ledger *slot*, as the operation *part*."""
        ...


async def by_turns(
    slots: Slots, order: Sequence[int], take: Take[R], capacity: int, operation: str, *, size: Callable[[R], int]
) -> list[tuple[int, R]]:
    """Up to *capacity* of what *take* finds, each with its ledger, in equal shares; what one leaves, others have.

    *size* says how much of the capacity one takes up. Each call of *operation* asks the same ledgers for the same.
    """
    taken: list[tuple[int, R]] = []
    rest = [slot for slot in order if not slots.away(slot)] or [*order]
    for turn in range(1 + slots.count):
        part = f"{operation}/{turn}" if turn and operation else operation
        wanted = shares(capacity - sum([size(item) for _, item in taken]), rest)
        asked = [slot for slot in rest if wanted[slot] > 0]

        async def ask(slot: int, wanted: dict[int, int] = wanted, part: str = part) -> Sequence[R]:
            return await take(slot, wanted[slot], part)

        try:
            came = merger.there(await slots.ask(ask, asked))
        except Uncertain:
            raise
        except Unavailable:
            if not taken:
                raise
            break
        taken += [(slot, item) for slot, found in came.items() for item in found]
        rest = [slot for slot in rest if slot not in asked or sum(map(size, came.get(slot, ()))) >= wanted[slot]]
        if not rest or not asked:
            break
    return taken
