"""One attempt for one packet, to look at: what was sent, what came back, and what the packet would have come to."""

from __future__ import annotations

import asyncio
import time
import traceback
from typing import NamedTuple

from collator.egress import Answer, NoAnswer
from collator.messages import Result, Task
from collator.processor.blame import from_user
from collator.processor.coroutine import Coroutine
from collator.processor.endings import CallEnding, Sign
from collator.processor.function import Function
from collator.processor.http import EndedCall, HttpService
from collator.processor.outcomes import BatchFailed, OutcomeFactory
from collator.processor.request import Request
from collator.processor.subprocess import SubprocessFunction


class Exchange(NamedTuple):
    """A request to a service, and what came of it."""

    request: Request
    answer: Answer | NoAnswer


class Trial(NamedTuple):
    """An attempt that has ended."""

    result: Result
    seconds: float
    exchange: Exchange | None
    """Where the processor is a service, and the request could be made."""
    frames: str
    """The traceback of the user's own code, where that raised."""


class WatchedOutcomes(OutcomeFactory):
    """Keeps the error that a call has ended with."""

    error: BaseException | None = None

    def ending_of(self, error: BaseException, *, sign: Sign = Sign.ANSWERED) -> CallEnding:
        """The ending of a call that raised *error*."""
        self.error = error
        return super().ending_of(error, sign=sign)


def attempt(
    processor: Function | Coroutine | HttpService | SubprocessFunction, outcomes: WatchedOutcomes, task: Task
) -> Trial:
    """Make one attempt for *task* with *processor*, which was opened with *outcomes*, in this process.

    A plain function runs in this thread for as long as it takes; where that is longer than its time, it has failed.
    """
    exchanges: list[Exchange] = []
    if isinstance(processor, HttpService):
        processor.watch = lambda request, answer: exchanges.append(Exchange(request, answer))
    started = time.monotonic()
    if isinstance(processor, Function):
        result = processor.attempt(task) if processor.batch == 1 else _only(processor.attempt_all([task]))
    elif isinstance(processor, SubprocessFunction):
        raise TypeError("the call has to be made in this process")
    else:
        result = asyncio.run(_await(processor, task))
    seconds = time.monotonic() - started
    if isinstance(outcomes.error, KeyboardInterrupt):
        raise outcomes.error
    frames = _frames(outcomes.error)
    if seconds > outcomes.timeout and not exchanges:
        result = outcomes.timed_out(task)
    return Trial(result, seconds, exchanges[-1] if exchanges else None, frames)


async def _await(processor: Coroutine | HttpService, task: Task) -> Result:
    async with processor.calls() as call:
        calling = asyncio.ensure_future(call([task]))
        timeout = processor.outcomes.timeout if isinstance(processor, Coroutine) else None  # a request has its own
        await asyncio.wait([calling], timeout=timeout)
        calling.cancel()
        ended = await calling
        return ended.result if isinstance(ended, EndedCall) else _only(ended)


def _only(results: list[Result] | BatchFailed) -> Result:
    if isinstance(results, BatchFailed):
        raise TypeError("a batch of one fails by its packet")
    (result,) = results
    return result


def _frames(error: BaseException | None) -> str:
    """Return the traceback of *error* from the first frame on that is not ours; empty where there is none."""
    if error is None:
        return ""
    trace = from_user(error.__traceback__)
    return "".join(traceback.format_exception(type(error), error, trace)) if trace else ""
