"""The calls to an HTTP service: what may begin, what an ending means, and who is told.

It puts together the limit of calls (`call_limit`), what is known of packets that went back (`refusals`), the log and
the metrics. Who holds the leases of the packets decides: the pool of this process, or the node of Celery workers, whose
processes only say how calls ended. Everything is called with the guard of the pool held.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Protocol

import structlog

from collator.messages import Failure, Result, Retry, Task
from collator.processor import CallEnding, Cause, EndedCall, OutcomeFactory, Sign, fault_of
from collator.throttle import Throttle
from collator.workers.call_limit import CallLimit
from collator.workers.refusals import RefusedPackets

NoteCause = Callable[[Cause], None]
"""Counts an ending by its cause. From any thread."""

log = structlog.get_logger("collator.workers")


class CallJudge(Protocol):
    """Decides which calls may begin, and what their endings mean."""

    @property
    def limit(self) -> int:
        """The number of calls that the service takes, as far as is known."""
        ...

    @property
    def troubled(self) -> bool:
        """Whether nothing gets through."""
        ...

    def may_begin(self, now: float) -> bool:
        """Return whether a call may begin."""
        ...

    def begin(self) -> int:
        """A call begins; the ticket to end it by."""
        ...

    def give_up(self, ticket: int, now: float) -> None:
        """The call of *ticket* was given up: nobody knows how it will end."""
        ...

    def hear(self, ticket: int, ended: EndedCall, now: float) -> None:
        """The call of *ticket* has *ended*: what that says of the service."""
        ...

    def judge(self, task: Task, ended: EndedCall, now: float) -> Result:
        """Judge the packet of *task*, whose call has *ended*; to be asked once the service was heard."""
        ...

    def health(self, now: float) -> str | None:
        """The reason why nothing gets through, in words; `None` while calls do."""
        ...


class ServiceCalls:
    """The calls to one service; implements `CallJudge`."""

    def __init__(
        self, outcomes: OutcomeFactory, address: str, *, ceiling: int, note: NoteCause = lambda _cause: None
    ) -> None:
        """At most *ceiling* calls, to *address*; *note* counts how each ends."""
        self.address = address
        """Where it is, without what may be a secret."""
        self._outcomes = outcomes
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
        return self.capacity(now) > 0

    def capacity(self, now: float) -> int:
        """The number of calls that may begin."""
        return self._limit.capacity(now)

    def wait(self, now: float) -> float:
        """Seconds until the service may be called again; 0 where it may be."""
        return self._limit.wait(now)

    def begin(self, count: int = 1) -> int:
        """*count* calls begin; the ticket to end each by."""
        return self._limit.begin(count)

    def take_back(self, ticket: int, now: float) -> None:
        """A call of *ticket* was not made after all."""
        self._limit.end(ticket, Sign.UNSENT, now)

    def give_up(self, ticket: int, now: float) -> None:
        """A call of *ticket* was given up: nobody knows how it will end."""
        self._limit.end(ticket, Sign.NOTHING, now)

    def hear(self, ticket: int, ended: EndedCall, now: float) -> None:
        """A call of *ticket* has *ended*: what that says of the service."""
        ending = ended.ending
        self._limit.end(ticket, ending.sign, now, reason=ending.kind, after=ending.after)
        self._tell(ending, now)
        self._note(ended.cause)

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
        return f"the processor {self.address} takes no packets: {self._limit.trouble}; {when}"

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
            log.error(words, processor=self.address, answer=what, times=times)
        elif ending.cause is Cause.SERVICE and not self._limit.trouble and (times := self._throttle.times(what)):
            log.warning(
                "the processor did not take a packet, which waits", processor=self.address, answer=what, times=times
            )
        if bool(self._limit.trouble) == (self._troubled_since is not None):
            return
        if self._limit.trouble:
            self._troubled_since = now
            log.warning("the processor takes no packets; they wait", processor=self.address, answer=what)
        elif self._troubled_since is not None and ending.sign is Sign.ANSWERED:  # one that refuses is only there
            seconds = round(now - self._troubled_since, 1)
            self._troubled_since = None
            log.info("the processor takes packets again", processor=self.address, after_seconds=seconds)
