"""Outcomes of calls: what each ending of a call means for its packet.

Theory. The user's code may do anything: raise, exit, return what no JSON can hold. Each of these ends *one attempt of
one packet* and nothing else. An attempt gives an `Output`, or it failed: then the packet is tried again after a delay
(`Retry`) until its attempts are used up, or at once where the code says that nothing can help (`Permanent`); then it
has failed for good (`Failure`), with a reason for a person: one line, short, and nothing of the payload that the
user's code did not put there itself. Who is to blame is decided in `endings`; what is not the packet's fault uses up
no attempt, and is for the workers, who see more than one call.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

import msgspec

from collator.backoff import exponential_delay
from collator.clock import Clock, SystemClock, never
from collator.errors import CollatorError, ProcessorFailed
from collator.messages import Failure, Fault, Output, Result, Retry, Task
from collator.processor import endings
from collator.processor.blame import is_raised_by_user, leaf, name_of, place_of, trace_of
from collator.processor.endings import CallEnding, Sign
from collator.processor.outputs import Unusable, to_json
from collator.text import one_line
from collator.throttle import Throttle

MAX_REASON = 500
TRACE_PAUSE = 3600.0
"""Seconds between two tracebacks of one kind."""


class BatchFailed(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=True):
    """A batch failed as a whole: which packet caused it is not known, so each is called by itself."""

    kind: str
    """Why, as `collator.messages.Fault` has it."""
    trace: str = ""


class OutcomeFactory:
    """The limits within which the processor is called, and the results that follow from them."""

    def __init__(
        self,
        *,
        timeout: float = 60.0,
        retries: int = 3,
        patience: float = 3600.0,
        max_output: int = 1024 * 1024,
        quote: bool = True,
        clock: Clock | None = None,
        stood_still: Callable[[], float] = never,
    ) -> None:
        """*timeout* in seconds for one call, *retries* after the first attempt, *max_output* in bytes of JSON.

        *patience*: seconds for which a packet may go back uncounted before that is held against it. *quote*: whether a
        reason may have what the code or the service says, in which a payload may be. *stood_still* gives the seconds
        for which this process did: they are no part of a call's time.
        """
        self.timeout = timeout
        self.retries = retries
        self.patience = patience
        self.max_output = max_output
        self.quote = quote
        self.clock = clock or SystemClock()
        self._now = self.clock.monotonic
        self.stood_still = stood_still
        self._traces, self._tracing = Throttle(pause=TRACE_PAUSE), threading.Lock()

    def running(self) -> float:
        """Monotonic seconds that the time limits of calls run on."""
        return self._now() - self.stood_still()

    def returned(self, task: Task, value: object) -> Result:
        """The call returned *value*."""
        try:
            output = to_json(value, self.max_output)
        except ProcessorFailed as error:
            return self.failed(task, error)
        return Output(task.lease, output, self._now())

    def returned_all(self, tasks: Sequence[Task], values: object) -> list[Result] | BatchFailed:
        """The call of a batch returned *values*, which should be one for each of *tasks*, in order."""
        if isinstance(values, list | tuple) and len(values) == len(tasks):
            return [self.returned(task, value) for task, value in zip(tasks, values, strict=True)]
        what = f"a list of {len(values)}" if isinstance(values, list | tuple) else type(values).__name__
        return self.failed_all(
            tasks, Unusable(f"{what}; expected a list of {len(tasks)}, one output for each payload of the batch")
        )

    def failed(self, task: Task, error: BaseException) -> Result:
        """The call ended with *error*."""
        return self.blamed(task, self.ending_of(error))

    def ending_of(self, error: BaseException, *, sign: Sign = Sign.ANSWERED) -> CallEnding:
        """The ending of a call that raised *error*, with its traceback where none of its kind was given of late."""
        place, ours = place_of(error), isinstance(error, CollatorError)
        if ours and not is_raised_by_user(error):
            reason = reason_of(error)
            kind = ": ".join(reason.split(": ")[:2])  # what follows may be of a payload or an answer
            return endings.of_error(error, reason, kind=kind, sign=sign)
        kind = name_of(leaf(error)) + (f" in {place}" if place else "")
        # What the code says by an error of ours is meant for who reads it, and needs no place.
        reason = reason_of(error, place="" if ours else place)
        with self._tracing:
            first = self._traces.times(kind)
        return endings.of_error(error, reason, kind=kind, trace=trace_of(error) if first else "", sign=sign)

    def blamed(self, task: Task, ending: CallEnding) -> Result:
        """The call ended with *ending*, which is held against its packet."""
        reason, fault = self.reason(ending), fault_of(task, ending)
        if ending.final:
            return Failure(task.lease, reason, fault)
        delay = exponential_delay(task.attempt, retries=self.retries, floor=ending.after, random=random.random)
        return Failure(task.lease, reason, fault) if delay is None else Retry(task.lease, reason, delay, fault=fault)

    def reason(self, ending: CallEnding) -> str:
        """The reason that is recorded of *ending*."""
        return ending.reason if self.quote else ending.kind

    def failed_all(self, tasks: Sequence[Task], error: BaseException) -> list[Result] | BatchFailed:
        """The call of a batch ended with *error*."""
        ending = self.ending_of(error)
        return BatchFailed(ending.kind, ending.trace) if len(tasks) > 1 else [self.blamed(one, ending) for one in tasks]

    def timed_out(self, task: Task, *, why: str = "") -> Result:
        """The call still runs when its time is up; *why*, where that is known."""
        reason = f"timed out after {self.timeout:g} s" + (why and f": {why}")
        return self.blamed(task, endings.out_of_time(reason))


def fault_of(task: Task, ending: CallEnding) -> Fault:
    """The fault of an attempt for *task* that failed by *ending*, without a word of the payload."""
    return Fault(task.key, ending.kind, ending.label, ending.trace)


def reason_of(error: BaseException, *, place: str = "") -> str:
    """*error* in words for a person, and the *place* of it: one line of at most 500 printable characters.

    Of a group of errors, the first.
    """
    error = leaf(error)
    try:
        line = one_line(str(error)[: 4 * MAX_REASON], 4 * MAX_REASON)  # the cut comes last, behind the name
    except BaseException:  # noqa: BLE001 - the error is the user's, and so is what it says of itself
        line = "(its text cannot be read)"
    if not isinstance(error, CollatorError):
        line = f"{name_of(error)}: {line}" if line else name_of(error)
    end = f" ({place})" if place else ""
    most = MAX_REASON - len(end)
    return (line if len(line) <= most else line[: most - 1] + "…") + end
