"""A plain function of the user, called in the thread that asks. Any number of threads may ask at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import getpid
from typing import Any

import msgspec

from collator.forks import end_copy
from collator.json_values import decoder
from collator.messages import Output, Result, Run, Task, runs_of
from collator.processor.loader import UserFunction, wants_context
from collator.processor.outcomes import BatchFailed, OutcomeFactory
from collator.processor.outputs import to_json

_decode: Callable[[bytes], Any] = decoder()


class Context(msgspec.Struct, frozen=True, gc=False):
    """The packet that a call is for: given to a function that has a parameter named ``context``."""

    resource_id: str
    index: int
    attempt: int
    """1 for the first."""


class Function:
    """Calls *function* with one payload; with *batch* above 1, with a list of up to as many."""

    def __init__(self, function: UserFunction, outcomes: OutcomeFactory | None = None, *, batch: int = 1) -> None:
        """A function that has a parameter ``context`` gets a `Context`, one of a batch a list of them."""
        self.outcomes = outcomes or OutcomeFactory()
        self.batch = batch
        self._function, self._context = function, wants_context(function)
        self._call_all = many(function)

    def attempt(self, task: Task) -> Result:
        """Call it for *task*, and say how that ended: as `attempt_at`."""
        (run,) = runs_of([task])
        result = self.attempt_at(run, 0)
        if isinstance(result, bytes):
            return Output(task.lease, result, self.outcomes.clock.monotonic())
        return result

    def attempt_at(self, run: Run, place: int) -> bytes | Result:
        """Call it for the packet at *place* of *run*: its output, or how that ended otherwise.

        Takes as long as the function does; never raises. It returns in the process in which it was called, and in no
        fork of that. Nothing is made here that is the same for all packets of a run.
        """
        here = getpid()
        try:
            payload = _decode(run.payloads[place])
            value = (
                self._function(payload, context=_context(run.task(place))) if self._context else self._function(payload)
            )
            # Encoding what it gave runs code of the user too: that of the values in it.
            output = to_json(value, self.outcomes.max_output)
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything; none of it ends the thread
            end_copy(here, error)
            return self.outcomes.failed(run.task(place), error)
        if getpid() != here:
            end_copy(here)
        return output

    def attempt_all(self, tasks: Sequence[Task]) -> list[Result] | BatchFailed:
        """Call it once for all *tasks*; a result for each, in order. Never raises, and returns as `attempt`."""
        here = getpid()
        try:
            results = self.outcomes.returned_all(tasks, self._call_all(tasks))
        except BaseException as error:  # noqa: BLE001 - as above
            end_copy(here, error)
            return self.outcomes.failed_all(tasks, error)
        end_copy(here)
        return results


def one(function: UserFunction) -> Callable[[Task], Any]:
    """A call of *function* for a task."""
    if wants_context(function):
        return lambda task: function(_decode(task.payload), context=_context(task))
    return lambda task: function(_decode(task.payload))


def many(function: UserFunction) -> Callable[[Sequence[Task]], Any]:
    """A call of the batch function *function* for some tasks."""
    if wants_context(function):
        return lambda tasks: function([_decode(task.payload) for task in tasks], context=[*map(_context, tasks)])
    return lambda tasks: function([_decode(task.payload) for task in tasks])


def _context(task: Task) -> Context:
    return Context(task.key.resource_id, task.key.index, task.attempt)
