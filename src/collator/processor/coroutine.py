"""A coroutine function of the user, called on the event loop that asks. Many calls may be under way at a time.

An async generator is called in the same way, and may show interim outputs before its output.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from os import getpid
from typing import Any

from collator.errors import ConfigError, ProcessorFailed
from collator.forks import end_copy
from collator.interim import MOST, InterimOutputs
from collator.messages import Result, Task
from collator.processor.function import many, one
from collator.processor.generator import output_of
from collator.processor.loader import UserFunction, is_generator
from collator.processor.outcomes import BatchFailed, OutcomeFactory
from collator.processor.outputs import to_json

Calls = Callable[[Sequence[Task]], Awaitable[list[Result] | BatchFailed]]
"""Makes one call for some tasks, and gives a result for each, in order. Never raises."""


class Coroutine:
    """Awaits *function* with one payload; with *batch* above 1, with a list of up to as many."""

    def __init__(self, function: UserFunction, outcomes: OutcomeFactory | None = None, *, batch: int = 1) -> None:
        """*function* gets its context as in `Function`. `ConfigError` where it is a generator, and gets lists."""
        self.outcomes = outcomes or OutcomeFactory()
        self.batch = batch
        self.interim = InterimOutputs()
        call = one(function)
        self._call = call
        if is_generator(function):
            if batch > 1:
                raise ConfigError(f"batch: {batch} does not work with a generator, which gives one output")
            self._call = partial(self._exhaust, call)
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

    async def _exhaust(self, call: Callable[[Task], Any], task: Task) -> object:
        """The output of a generator, whose interim outputs are shown until it ends."""

        def show(output: object) -> None:
            if self.interim.wanted(task.key.resource_id):
                with suppress(ProcessorFailed):  # what cannot be shown is not, and takes nothing from the output
                    self.interim.show(task, to_json(output, MOST))

        try:
            return await output_of(call(task), show)
        finally:
            self.interim.end(task)

    async def _attempt_all(self, tasks: Sequence[Task]) -> list[Result] | BatchFailed:
        here = getpid()
        try:
            results = self.outcomes.returned_all(tasks, await self._call_all(tasks))
        except BaseException as error:  # noqa: BLE001 - as above
            end_copy(here, error)
            return self.outcomes.failed_all(tasks, error)
        end_copy(here)
        return results
