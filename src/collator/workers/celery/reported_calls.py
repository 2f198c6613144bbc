"""The calls to an HTTP service as a process of a worker makes them: whatever it is given, and the node decides.

How many calls the service takes, when it is asked again and for how long a packet waits is decided where all calls for
a packet are known. So a process keeps how each call ended until its answer is sent.
"""

from __future__ import annotations

from collator.messages import Lease, Result, Task
from collator.processor import CallEnding, EndedCall
from collator.workers.service_calls import NoteCause


class ReportedCalls:
    """The calls; implements `collator.workers.service_calls.CallJudge`, with the guard of the pool held."""

    troubled = False

    def __init__(self, *, calls: int, note: NoteCause) -> None:
        """Up to *calls* at a time; *note* counts how each ends."""
        self.limit = calls
        """As many as there may be."""
        self._note = note
        self._ended: dict[Lease, CallEnding] = {}

    def may_begin(self, _now: float) -> bool:
        """Return whether a call may begin, as any that was sent."""
        return True

    def begin(self) -> int:
        """A call begins."""
        return 0

    def give_up(self, _ticket: int, _now: float) -> None:
        """A call was given up."""

    def hear(self, _ticket: int, ended: EndedCall, _now: float) -> None:
        """A call has *ended*."""
        self._note(ended.cause)

    def judge(self, task: Task, ended: EndedCall, _now: float) -> Result:
        """Keep how the call for *task* has *ended*."""
        self._ended[task.lease] = ended.ending
        return ended.result

    def health(self, _now: float) -> None:
        """Nothing is known here."""

    def ending(self, result: Result) -> CallEnding | None:
        """The ending of the call that gave *result*; `None` where nobody waited for it."""
        return self._ended.pop(result.lease, None)
