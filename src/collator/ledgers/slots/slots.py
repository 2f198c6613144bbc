"""The ledgers of a list, asked side by side: one that is away holds up nothing that the others have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from collator.errors import CollatorError, StorageFull, StorageLow, Unavailable, Uncertain, Unknown
from collator.ledgers.slots.merger import Replies, there
from collator.ledgers.slots.places import slot_of
from collator.seams.ledger import Ledger

R = TypeVar("R")


class Part(Protocol):
    """One ledger of a list: what is needed of its backend."""

    @property
    def ledger(self) -> Ledger:
        """The verbs. `Unavailable` while it is not open."""
        ...

    def refusal(self) -> Unavailable | None:
        """The error for all packets, as `LedgerBackend.refusal` has it."""
        ...


class Slots:
    """The ledgers of a list, in its order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Ask *parts*, each of which may be opened later."""
        self._parts = parts
        self.count = len(parts)
        self.all = range(self.count)
        self._turn = 0

    def of(self, resource_id: str) -> Ledger:
        """The ledger of a resource."""
        return self.ledger(slot_of(resource_id, self.count))

    def ledger(self, slot: int) -> Ledger:
        """A ledger. `Unavailable` while it is not open."""
        return self._parts[slot].ledger

    def refusal(self, slot: int) -> Unavailable | None:
        """The error for all packets of a ledger."""
        return self._parts[slot].refusal()

    def away(self, slot: int) -> Unavailable | None:
        """The error for all calls of a ledger. One whose disk is full takes no packets, and answers all else."""
        refusal = self.refusal(slot)
        return None if isinstance(refusal, StorageFull | StorageLow) else refusal

    def order(self, operation: str) -> list[int]:
        """The ledgers in the order in which they are asked: each is first in turn, the same for one *operation*."""
        if operation:
            first = slot_of(operation, self.count)
        else:
            first = self._turn = (self._turn + 1) % self.count
        return [*self.all[first:], *self.all[:first]]

    async def ask(
        self, verb: Callable[[int], Awaitable[R]], slots: Iterable[int], *, probe: bool = False
    ) -> Replies[R]:
        """The answers of *verb* by *slots*. `Unavailable` where none of them could answer.

        `Uncertain` too, where an answer was lost: the operation may be called again, and who has answered it gives the
        same answer. Nobody waits for one that is away, but for a *probe*, which finds out whether it is back.
        """
        answers = await self._answers(verb, slots, probe=probe)
        if answers and not there(answers):
            raise next(answer for answer in answers.values() if isinstance(answer, Unavailable))
        return answers

    async def ask_some(self, verb: Callable[[int], Awaitable[R]], slots: Iterable[int]) -> Replies[R]:
        """As `ask`; where none of *slots* could answer, `Unavailable` only if no ledger can."""
        answers = await self._answers(verb, slots, probe=False)
        if answers and not there(answers) and all(self.away(slot) for slot in self.all):
            raise next(answer for answer in answers.values() if isinstance(answer, Unavailable))
        return answers

    async def _answers(self, verb: Callable[[int], Awaitable[R]], slots: Iterable[int], *, probe: bool) -> Replies[R]:
        async def ask(slot: int) -> R | CollatorError:
            if not probe and (error := self.away(slot)) is not None:
                return error
            try:
                return await verb(slot)
            except CollatorError as error:
                return error

        asked = [*slots]
        found = [await ask(asked[0])] if len(asked) == 1 else await asyncio.gather(*map(ask, asked))
        answers: dict[int, R | Unavailable] = {}
        for slot, answer in zip(asked, found, strict=True):
            if isinstance(answer, CollatorError) and not isinstance(answer, Unavailable):
                raise answer
            if isinstance(answer, Uncertain) and not self.away(slot):
                raise answer
            answers[slot] = answer
        return answers

    async def ask_all(self, verb: Callable[[Ledger], Awaitable[R]]) -> list[R]:
        """The answers of all ledgers to *verb*. `Unavailable` where one is away."""
        for slot in self.all:
            if (error := self.away(slot)) is not None:
                raise error
        return [*await asyncio.gather(*[verb(self.ledger(slot)) for slot in self.all])]

    async def find(self, verb: Callable[[Ledger], Awaitable[R]]) -> tuple[int, R]:
        """The ledger that knows what *verb* asks for, and its answer; `Unknown`, `Unavailable` where one is away."""

        async def ask(slot: int) -> R | CollatorError:
            try:
                return await verb(self.ledger(slot))
            except CollatorError as error:
                return error

        found = await asyncio.gather(*map(ask, self.all))
        for slot, answer in enumerate(found):
            if not isinstance(answer, CollatorError):
                return slot, answer
        errors = [answer for answer in found if isinstance(answer, CollatorError)]
        raise next((error for error in errors if not isinstance(error, Unknown)), errors[0])


def placed(items: Sequence[R], places: Mapping[int, Sequence[int]]) -> dict[int, list[R]]:
    """The *items* of each ledger, by their *places*."""
    return {slot: [items[place] for place in mine] for slot, mine in places.items()}
