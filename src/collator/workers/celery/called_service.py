"""The HTTP service that workers call, as their node knows it: how much may be out for it, and what answers mean.

Theory (R27). A packet is tried by any process of any worker, and a service that asks to be left alone means all of
them. So what local workers know of a service (`service_calls`) is known here, with a packet that is out as a call under
way. The processes make the calls that they are given, and say how each ended. Functions are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from collator.messages import Result, Task
from collator.processor import EndedCall, OutcomeFactory
from collator.workers.celery.job_size import MOST_OUT
from collator.workers.celery.messages import CallAnswer, CallRefused, NotBegun, ending_of, result_of
from collator.workers.celery.sent_jobs import AnsweredTask, SentJob
from collator.workers.service_calls import ServiceCalls

UNCOUNTED = -1
"""The ticket of packets that go to no service."""
_TURNS = MappingProxyType({NotBegun: 0, CallRefused: 1})


class CalledService:
    """The service, if there is one. To be called with the guard of the pool held."""

    def __init__(self, outcomes: OutcomeFactory) -> None:
        self._now = outcomes.running
        self._calls = ServiceCalls(outcomes, "", ceiling=MOST_OUT)

    @property
    def limit(self) -> int:
        """The number of packets that may be out."""
        return self._calls.limit

    def capacity(self) -> int:
        """The number of packets that may be sent now."""
        return self._calls.capacity(self._now())

    def wait(self) -> float:
        """Seconds until the service may be called again; 0 where it may be."""
        return self._calls.wait(self._now())

    def health(self) -> str | None:
        """The reason why nothing gets through, in words; `None` while calls do."""
        return self._calls.health(self._now())

    def begin(self, packets: int, address: str) -> int:
        """Count *packets* that are sent to workers that call a service at *address*, if any: the ticket of the job."""
        if not address:
            return UNCOUNTED
        self._calls.address = address
        return self._calls.begin(packets)

    def take_back(self, job: SentJob) -> None:
        """Forget what is left of *job*, which was not called for."""
        for _ in job.tasks:
            self._calls.take_back(job.ticket, self._now())

    def give_up(self, job: SentJob) -> None:
        """Give up what is left of *job*: nobody knows what became of it."""
        for _ in job.tasks:
            self._calls.give_up(job.ticket, self._now())

    def read(self, answered: Sequence[AnsweredTask], arrived: float) -> tuple[list[Result], list[Task]]:
        """The results of packets that were *answered*, and the packets that were not begun.

        What came together is read in this order: who was not begun held no place, and who was refused was so while the
        others were under way.
        """
        results: list[Result] = []
        not_begun: list[Task] = []
        for task, answer, ticket in sorted(answered, key=_turn):
            if isinstance(answer, NotBegun):
                self._calls.take_back(ticket, self._now())
                not_begun.append(task)
            else:
                results.append(self._result(task, answer, ticket, arrived))
        return results, not_begun

    def _result(self, task: Task, answer: CallAnswer, ticket: int, arrived: float) -> Result:
        result = result_of(answer, task.lease, arrived)
        if ticket == UNCOUNTED and not isinstance(answer, CallRefused):
            return result
        now, ended = self._now(), EndedCall(ending_of(answer), result)
        self._calls.hear(ticket, ended, now)
        return self._calls.judge(task, ended, now)


def _turn(answered: AnsweredTask) -> int:
    return _TURNS.get(type(answered[1]), len(_TURNS))
