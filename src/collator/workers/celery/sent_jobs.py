"""The jobs that a node has sent and that are not answered. Pure; times are readings of one clock.

Theory. A message may be lost, doubled or late, and a worker may die, so a job counts as lost when there should have
been a sign of it and was none for `SILENCE`. A job that is *begun* is named by the heartbeats of its worker. One that
is not begun gives no sign, and waits for as long as it takes, while those that were sent before it are begun; but not
while others that were sent later are, or while a worker is idle: a broker hands out in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from collator.messages import Task
from collator.workers.celery.known_workers import BEAT, SILENCE
from collator.workers.celery.messages import JobAnswer

AnsweredTask = tuple[Task, JobAnswer, int]
"""With its answer, and the ticket of its job."""


class SentJob(msgspec.Struct):
    """A job, and which of its packets have no answer."""

    id: str
    tasks: dict[int, Task]
    """Not answered, by their places."""
    alone: bool
    """Whether it was sent with one packet."""
    number: int
    """Of this job, among those that the node has sent."""
    sent: float
    heard: float
    """When there last was a sign of it, or no reason to wait for one."""
    begun: bool = False
    ticket: int = 0
    """That of its calls, in `CalledService`."""


class SentJobs:
    """The jobs. Their packets are counted, and the bytes of those."""

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0
        self._jobs: dict[str, SentJob] = {}
        self._number = 0
        self._begun = 0  # the highest number of a job that was begun

    def __len__(self) -> int:
        """The number of jobs."""
        return len(self._jobs)

    def add(self, job: str, tasks: Sequence[Task], now: float, *, ticket: int = 0) -> None:
        """*tasks* are sent as *job*, of whose calls this is the *ticket*."""
        self._number += 1
        waiting = dict(enumerate(tasks))
        self._jobs[job] = SentJob(job, waiting, len(tasks) == 1, self._number, now, now, ticket=ticket)
        self.packets += len(tasks)
        self.bytes += _size(tasks)

    def answer(self, job: str, answers: Sequence[tuple[int, JobAnswer]], now: float) -> Sequence[AnsweredTask]:
        """The tasks of *job* that are answered, with their *answers*, of those that wait for one."""
        known = self._jobs.get(job)
        if known is None:
            return ()
        self._hear(known, now)
        waiting = known.tasks
        answered = [(waiting.pop(place), answer, known.ticket) for place, answer in answers if place in waiting]
        self.packets -= len(answered)
        self.bytes -= _size([task for task, _, _ in answered])
        if not waiting:
            del self._jobs[job]
        return answered

    def hear(self, jobs: Iterable[str], now: float) -> None:
        """A worker has *jobs* in hand."""
        for job in jobs:
            if job in self._jobs:
                self._hear(self._jobs[job], now)

    def doubt(self, job: str, now: float) -> None:
        """*job* came out of the queue again: it is lost, if no worker says soon that it has it."""
        if job in self._jobs:
            known = self._jobs[job]
            known.begun, known.heard = True, now - SILENCE + 2.5 * BEAT

    def hear_all(self, now: float) -> None:
        """No sign could come until *now*."""
        for job in self._jobs.values():
            job.heard = now

    def remove(self, job: str) -> SentJob | None:
        """*job*, which is out no longer; `None` where it is not known."""
        known = self._jobs.pop(job, None)
        if known is not None:
            self.packets -= len(known.tasks)
            self.bytes -= _size(known.tasks.values())
        return known

    def lost(self, now: float, *, idle: bool) -> list[SentJob]:
        """The jobs that count as lost, which are out no longer; *idle*: a worker has nothing to do."""
        lost: list[SentJob] = []
        for job in [*self._jobs.values()]:
            if not (job.begun or idle or job.number < self._begun):
                job.heard = now
            elif now - job.heard >= SILENCE:
                self.remove(job.id)
                lost.append(job)
        return lost

    def tasks(self) -> list[Task]:
        """The packets that have no answer."""
        return [task for job in self._jobs.values() for task in job.tasks.values()]

    def packets_of(self, jobs: Iterable[str]) -> list[int]:
        """The number of packets that have no answer of each of *jobs* that is out."""
        return [len(self._jobs[job].tasks) for job in jobs if job in self._jobs]

    def _hear(self, job: SentJob, now: float) -> None:
        job.begun, job.heard = True, now
        self._begun = max(self._begun, job.number)


def _size(tasks: Iterable[Task]) -> int:
    return sum([len(task.payload) for task in tasks])
