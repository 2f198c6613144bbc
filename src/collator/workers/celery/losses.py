"""What it means for the packets of a job that it is lost: the results. Pure, but for the log."""

from __future__ import annotations

import structlog

from collator.errors import ProcessorFailed
from collator.messages import Result, Retry, Task
from collator.processor import OutcomeFactory
from collator.workers.celery.called_service import CalledService
from collator.workers.celery.sent_jobs import SentJob
from collator.workers.celery.suspects import Suspects

log = structlog.get_logger("collator.workers")


class Losses:
    """Has packets sent again, and holds the loss against those that are to blame."""

    def __init__(self, outcomes: OutcomeFactory, suspects: Suspects, service: CalledService) -> None:
        self._outcomes, self._suspects, self._service = outcomes, suspects, service

    def with_process(self, job: SentJob, reason: str) -> list[Result]:
        """The process that had *job* has ended, for *reason*."""
        self._service.give_up(job)
        log.warning("a process of a Celery worker has ended", job=job.id, packets=len(job.tasks), reason=reason)
        if job.alone:
            return [self._blame(task, reason) for task in job.tasks.values()]
        self._suspects.lost_together(job.tasks.values())
        return [_again(task, reason) for task in job.tasks.values()]

    def missed(self, job: SentJob, *, all_there: bool) -> list[Result]:
        """Nothing is heard of *job*, nor, unless *all_there*, of a worker that may have had it."""
        self._service.give_up(job)
        if all_there:  # a broker has lost a message, for which no packet is to blame
            log.warning("a message to or from a Celery worker is lost", job=job.id, packets=len(job.tasks))
            return [_again(task, "a message was lost on its way") for task in job.tasks.values()]
        log.warning("a job is lost with its Celery worker", job=job.id, packets=len(job.tasks))
        reason = "the Celery worker that had it gave no sign of life"
        return [
            self._blame(task, reason) if self._suspects.lost_with_worker(task) else _again(task, reason)
            for task in job.tasks.values()
        ]

    def _blame(self, task: Task, reason: str) -> Result:
        return self._outcomes.failed(task, ProcessorFailed(reason))


def _again(task: Task, reason: str) -> Retry:
    """*task* is sent again at once, and that is not held against it."""
    return Retry(task.lease, reason, 0.0, counted=False)
