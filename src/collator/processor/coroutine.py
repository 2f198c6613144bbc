"""A coroutine function of the user, called on the event loop that asks. Many calls may be under way at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from os import getpid

from collator.exchange import Result, Task
from collator.forks import end_copy
from collator.processor.endings import Apart, Endings
from collator.processor.finding import UserFunction
from collator.processor.function import many, one

Calls = Callable[[Sequence[Task]], Awaitable[list[Result] | Apart]]
"""Makes one call for some tasks, and gives a result for each, in order. Never raises."""


class Coroutine:
    """Awaits *function* with one payload; with *batch* above 1, with a list of up to as many."""

    def __init__(self, function: UserFunction, endings: Endings | None = None, *, batch: int = 1) -> None:
        """*function* gets its context as in `Function`."""
        self.endings = endings or Endings()
        self.batch = batch
        self._call = one(function)
        self._call_all = many(function)

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Calls]:
        """What makes calls on this event loop, while the context is open."""
        yield self._attempt if self.batch == 1 else self._attempt_all

    async def _attempt(self, tasks: Sequence[Task]) -> list[Result] | Apart:
        (task,) = tasks
        here = getpid()
        try:
            result = self.endings.gave(task, await self._call(task))
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything; none of it ends the loop
            end_copy(here, error)
            return [self.endings.failed(task, error)]
        end_copy(here)
        return [result]

    async def _attempt_all(self, tasks: Sequence[Task]) -> list[Result] | Apart:
        here = getpid()
        try:
            results = self.endings.gave_all(tasks, await self._call_all(tasks))
        except BaseException as error:  # noqa: BLE001 - as above
            end_copy(here, error)
            return self.endings.failed_all(tasks, error)
        end_copy(here)
        return results
