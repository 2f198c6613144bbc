"""The calls to an HTTP service as the pool makes them: what may begin, what an ending means, and who is told.

It puts together the limit of calls (`call_limit`), what is known of packets that went back (`refusals`), the log and
the metrics. Everything is called with the guard of the pool held.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import structlog

from collator.messages import Failure, Output, Result, Retry, Task
from collator.processor import CallEnding, Cause, EndedCall, HttpService, Sign, fault_of
from collator.throttle import Throttle
from collator.workers.call_limit import CallLimit
from collator.workers.refusals import RefusedPackets

NoteCause = Callable[[Cause], None]
"""Counts an ending by its cause. From any thread."""

log = structlog.get_logger("collator.workers")


class ServiceCalls:
    """The calls to one service."""

    def __init__(self, service: HttpService, *, ceiling: int, note: NoteCause) -> None:
        """At most *ceiling* calls; *note* counts how each ends."""
        self._outcomes = service.outcomes
        self._address = service.address
        self._note = note
        self._limit = CallLimit(ceiling, longest=self._outcomes.patience)
        self._refusals = RefusedPackets(patience=self._outcomes.patience, least=self._outcomes.retries + 1)
        self._throttle = Throttle(now=self._outcomes.running)
        self._troubled_since: float | None = None

    @property
    def limit(self) -> int:
        """The number of calls that the service takes, as far as is known."""
        return self._limit.limit

    @property
    def troubled(self) -> bool:
        """Whether nothing gets through."""
        return bool(self._limit.trouble)

    def may_begin(self, now: float) -> bool:
        """Return whether a call may begin."""
        return self._limit.capacity(now) > 0

    def begin(self) -> int:
        """A call begins; the ticket to end it by."""
        return self._limit.begin()

    def give_up(self, ticket: int, now: float) -> None:
        """The call of *ticket* was given up: nobody knows how it will end."""
        self._limit.end(ticket, Sign.NOTHING, now)

    def hear(self, ticket: int, ended: EndedCall, now: float) -> None:
        """The call of *ticket* has *ended*: what that says of the service."""
        ending, result = ended
        self._limit.end(ticket, ending.sign, now, reason=ending.kind, after=ending.after)
        self._tell(ending, now)
        self._note(Cause.PACKET if ending.cause is Cause.OUTPUT and not isinstance(result, Output) else ending.cause)

    def judge(self, task: Task, ended: EndedCall, now: float) -> Result:
        """Judge the packet of *task*, whose call has *ended*; to be asked once the service was heard."""
        ending, result = ended
        if ending.cause in {Cause.SERVICE, Cause.CONFIGURATION}:
            return self._refused(task, ending, now)
        if ending.sign is Sign.ANSWERED:
            self._refusals.answer(task.key)
        return result

    def health(self, now: float) -> str | None:
        """The reason why nothing gets through, in words; `None` while calls do."""
        if not self._limit.trouble:
            return None
        wait = ceil(self._limit.wait(now))
        when = f"the next call is made in {wait} s" if wait else "a call is being made to see whether that has changed"
        return f"the processor {self._address} takes no packets: {self._limit.trouble}; {when}"

    def _refused(self, task: Task, ending: CallEnding, now: float) -> Result:
        verdict = self._refusals.refuse(task.key, ending.sign, now)
        if verdict.counted:
            return self._outcomes.blamed(task, ending)
        reason, fault = self._outcomes.reason(ending), fault_of(task, ending)
        if verdict.over:
            so = f"; so for more than {self._outcomes.patience:g} s (processor_patience)"
            return Failure(task.lease, reason + so, fault)
        return Retry(task.lease, reason, verdict.delay, counted=False, fault=fault)

    def _tell(self, ending: CallEnding, now: float) -> None:
        """Log what is wrong with the service: without what it says, in which there may be a payload."""
        what = ending.kind
        if ending.cause is Cause.CONFIGURATION and (times := self._throttle.times(what)):
            words = "the processor refuses the configuration: check its address, its headers and its keys"
            log.error(words, processor=self._address, answer=what, times=times)
        elif ending.cause is Cause.SERVICE and not self._limit.trouble and (times := self._throttle.times(what)):
            log.warning(
                "the processor did not take a packet, which waits", processor=self._address, answer=what, times=times
            )
        if bool(self._limit.trouble) == (self._troubled_since is not None):
            return
        if self._limit.trouble:
            self._troubled_since = now
            log.warning("the processor takes no packets; they wait", processor=self._address, answer=what)
        elif self._troubled_since is not None and ending.sign is Sign.ANSWERED:  # one that refuses is only there
            seconds = round(now - self._troubled_since, 1)
            self._troubled_since = None
            log.info("the processor takes packets again", processor=self._address, after_seconds=seconds)
