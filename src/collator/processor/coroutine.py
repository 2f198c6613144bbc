"""A coroutine function of the user, called on the event loop that asks. Many calls may be under way at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from os import getpid

from collator.forks import end_copy
from collator.messages import Result, Task
from collator.processor.function import many, one
from collator.processor.loader import UserFunction
from collator.processor.outcomes import BatchFailed, OutcomeFactory

Calls = Callable[[Sequence[Task]], Awaitable[list[Result] | BatchFailed]]
"""Makes one call for some tasks, and gives a result for each, in order. Never raises."""


class Coroutine:
    """Awaits *function* with one payload; with *batch* above 1, with a list of up to as many."""

    def __init__(self, function: UserFunction, outcomes: OutcomeFactory | None = None, *, batch: int = 1) -> None:
        """*function* gets its context as in `Function`."""
        self.outcomes = outcomes or OutcomeFactory()
        self.batch = batch
        self._call = one(function)
        self._call_all = many(function)

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Calls]:
        """Give a caller on this event loop, while the context is open."""
        yield self._attempt if self.batch == 1 else self._attempt_all

    async def _attempt(self, tasks: Sequence[Task]) -> list[Result] | BatchFailed:
        (task,) = tasks
        here = getpid()
        try:
            result = self.outcomes.returned(task, await self._call(task))
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything; none of it ends the loop
            end_copy(here, error)
            return [self.outcomes.failed(task, error)]
        end_copy(here)
        return [result]

    async def _attempt_all(self, tasks: Sequence[Task]) -> list[Result] | BatchFailed:
        here = getpid()
        try:
            results = self.outcomes.returned_all(tasks, await self._call_all(tasks))
        except BaseException as error:  # noqa: BLE001 - as above
            end_copy(here, error)
            return self.outcomes.failed_all(tasks, error)
        end_copy(here)
        return results
