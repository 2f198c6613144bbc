"""The pool whose calls are made by Celery workers: jobs out, answers in; implements `collator.workers.pool.WorkerPool`.

Lives here: what is sent when, and what an answer, or none, means for a packet. Does not live here: the broker
(`node_threads`), and who decides: how much is sent (`job_size`), what is lost (`sent_jobs`), who works
(`known_workers`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from secrets import token_hex
from time import monotonic

import structlog

from collator.messages import AnyResult, Result, Run, Task, WorkerReport, results_of, runs_of, tasks_of
from collator.processor import OutcomeFactory
from collator.settings import hidden
from collator.workers.celery.arrivals import Arrivals
from collator.workers.celery.called_service import CalledService
from collator.workers.celery.discovery import Discovery
from collator.workers.celery.echoes import Echoes
from collator.workers.celery.job_size import BYTES_OUT, HOLD, MOST_BYTES, MOST_OUT, CallTime, JobPace, JobSize, job_size
from collator.workers.celery.known_workers import SILENCE, KnownWorkers
from collator.workers.celery.losses import Losses
from collator.workers.celery.messages import (
    JobAnswers,
    JobEnded,
    JobRedelivered,
    JobRefused,
    Nudge,
    PacketJob,
    WorkerHeartbeat,
    WorkerReply,
    limits_of,
    packet_of,
)
from collator.workers.celery.node_threads import Echo, NodeThreads, OutgoingJob
from collator.workers.celery.sent_jobs import SentJobs
from collator.workers.celery.suspects import Suspects
from collator.workers.result_queue import ResultQueue
from collator.workers.task_buffer import TaskBuffer

GRACE = 5.0
"""Seconds beyond the time of its calls after which a process that has a job is ended."""
LOOK = 0.5
"""Seconds between two looks for jobs that are lost."""
LEAST = 8
"""Packets that wait here, twice as many at most, where it is not known what may be out."""

log = structlog.get_logger("collator.workers")


class CeleryPool:
    """Sends jobs, and takes what comes back."""

    def __init__(
        self, url: str, outcomes: OutcomeFactory, *, tell: Callable[[], None], queue: str, most_out: int = MOST_OUT
    ) -> None:
        """*queue*: the name of the node's own queue. At most *most_out* packets are out. *tell* as in `ResultQueue`."""
        self.note: Callable[[JobAnswers, Sequence[Task], Sequence[Result]], None] = lambda *_: None
        """Takes note of the calls that were answered: the tasks, and the results of those that were made."""
        self.buffer = TaskBuffer()
        self.buffer.wake_one = self._note_more
        self.result_queue = ResultQueue(tell)
        self.chunk_size = 1
        self.abandoned = 0
        self._url = url
        self._outcomes, self._limits = outcomes, limits_of(outcomes)
        self._now = outcomes.running
        self._most_out = most_out
        self._sent, self._workers, self._time, self._pace = SentJobs(), KnownWorkers(), CallTime(), JobPace()
        self._suspects, self._arrivals, self._discovery, self._echoes = Suspects(), Arrivals(), Discovery(), Echoes()
        self._service = CalledService(outcomes)
        self._losses = Losses(outcomes, self._suspects, self._service)
        self._enough = 1  # packets that must wait here for the thread that sends to look before its time
        self._stopped, self._looked = False, 0.0
        self._change = self.buffer.change
        self._threads = NodeThreads(url, queue, self)
        self.result_queue.unrecorded.relieved = self._go_on

    def start(self) -> None:
        """Start the threads that talk to the broker."""
        self._threads.start()

    def stop(self) -> None:
        """Let them end."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        self._threads.stop()

    def ended(self) -> bool:
        """Return whether they have."""
        return self._threads.ended()

    def give_up(self) -> list[Run]:
        """Wait for no answer any more."""
        with self._change:
            sent, self._sent = self._sent, SentJobs()
            return runs_of(sent.tasks())

    def unfinished(self) -> list[Run]:
        """The packets that are out."""
        with self._change:
            return runs_of(self._sent.tasks())

    def in_hand(self) -> int:
        """The number of packets that are out, and of results in the result queue."""
        return self._sent.packets + self.result_queue.packets

    def width(self) -> int:
        """Twice what may be out; nothing while the broker is away."""
        out = min(self._size().out, self._service.limit)
        return 0 if "receive" in self._threads.trouble else 2 * min(self._most_out, max(LEAST, out))

    def health(self) -> str | None:
        """The reason why nothing is processed, in words; `None` while all is well."""
        if trouble := [*self._threads.trouble.values()]:
            return f"the broker {hidden(self._url)} cannot be used, and packets wait: {trouble[0]}"
        since = self._discovery.since
        if since is not None and (silent := self._now() - since) >= SILENCE:
            reason = self._workers.trouble and f": {self._workers.trouble}"
            return f"no Celery worker takes packets from {hidden(self._url)}, for {silent:.0f} s now{reason}"
        return self._workers.trouble or self._service.health()

    def reports(self) -> Sequence[WorkerReport]:
        """The workers that are known."""
        with self._change:
            return self._workers.reports(self._now(), self._sent.packets_of)

    def watch(self) -> list[Result]:
        """Look for jobs of which nothing is heard."""
        now = self._now()
        if now - self._looked < LOOK or self._threads.trouble:
            return []
        self._looked = now
        with self._change:
            if not self._hears(now):
                self._change.notify_all()
                return []
            for name in self._workers.forget(now):
                log.warning("nothing is heard of a Celery worker", worker=name, seconds=SILENCE)
            lost = self._sent.lost(now, idle=self._workers.idle())
            self._change.notify_all()
            missed = [self._losses.missed(job, all_there=self._workers.complete(job.sent, now)) for job in lost]
        return [result for results in missed for result in results]

    def recorded(self, reports: Sequence[AnyResult]) -> None:
        """The ledger has *reports*: what brought them is not needed any more."""
        with self._change:
            self._arrivals.recorded(results_of(reports))

    def next(self) -> OutgoingJob | Echo | None:
        """Wait until something may be sent, and take it."""
        with self._change:
            while not self._stopped:
                if self._asks():
                    return OutgoingJob(token_hex(16), [], PacketJob(self._limits, []), GRACE)
                if self._looks() and self._echoes.due(self._now()):
                    self._echoes.send(self._now())
                    return Echo()
                size = self._size()
                wait = self._wait(size)
                if wait == 0.0 and (job := self._take(size)) is not None:
                    return job
                self._enough = 1 if wait > HOLD else size.full
                self._change.wait(wait or LOOK)  # for a suspect that is out, where something may go
            return None

    def unsent(self, what: OutgoingJob | Echo) -> None:
        """Let the packets of a job wait; perhaps it was sent all the same, and then its answers come too late."""
        with self._change:
            if isinstance(what, OutgoingJob):
                self._take_back(what.id)
            self._discovery.soon()  # that may have been a question

    def reconnected(self) -> None:
        """Answers come again: nothing was heard meanwhile, and that means nothing."""
        with self._change:
            self._sent.hear_all(self._now())
            self._discovery.soon()
            self._change.notify_all()

    def reply(self, reply: WorkerReply, acknowledge: Callable[[], None]) -> None:
        """Do as *reply* says."""
        now = self._now()
        with self._change:
            match reply:
                case JobAnswers():
                    self._workers.answer(reply.worker, now)
                    self._discovery.hear()
                    self._answer(reply, acknowledge, now)
                case JobEnded() if (job := self._sent.remove(reply.job)) is not None:
                    self.result_queue.add(self._losses.with_process(job, reply.reason))
                case JobRefused():
                    if self._workers.refuse(reply.worker, reply.reason, now):
                        log.error("a Celery worker refuses jobs", worker=reply.worker.name, reason=reply.reason)
                    self._discovery.refuse(now)
                    self._take_back(reply.job)
                case JobRedelivered():
                    self._sent.doubt(reply.job, now)
                case Nudge():
                    self._hears(now)
                    self._echoes.hear(now)
                case WorkerHeartbeat():
                    self._workers.hear(reply.worker, now, reply.jobs, reply.program)
                    self._sent.hear(reply.jobs, now)
            if not isinstance(reply, JobAnswers):
                acknowledge()
            self._change.notify_all()

    def _answer(self, reply: JobAnswers, acknowledge: Callable[[], None], now: float) -> None:
        answered = [one for job, answers in reply.jobs for one in self._sent.answer(job, answers, now)]
        results, not_begun = self._service.read(answered, self._outcomes.clock.monotonic())
        waiting = {task.lease for task in not_begun}
        self._suspects.clear([task for task, _, _ in answered if task.lease not in waiting])
        if not_begun:
            self.buffer.put(runs_of(not_begun))
        self.note(reply, [task for task, _, _ in answered], results)
        if reply.seconds is not None:
            self._time.measure(reply.seconds)
        self._arrivals.add(results, acknowledge)
        self.result_queue.add(results, reply.seconds)

    def _take_back(self, job: str) -> None:
        """Let the packets of *job* wait again."""
        if (known := self._sent.remove(job)) is not None:
            self._service.take_back(known)
            self.buffer.put(runs_of(known.tasks.values()))

    def _hears(self, now: float) -> bool:
        """Return whether the broker passed on a message of our own of late; if not, silence means nothing."""
        if self._echoes.fresh(now):
            return True
        self._sent.hear_all(now)
        if self._echoes.lost(now):
            self._threads.reconnect()
        return False

    def _size(self) -> JobSize:
        workers = self._workers
        size = job_size(self._time.seconds, processes=workers.processes, tasks=workers.tasks, calls=workers.calls)
        return JobSize(size.full, min(size.out, self._most_out))

    def _sendable(self, size: JobSize) -> int:
        """The number of packets that may be sent."""
        return min(size.out - self._sent.packets, self._service.capacity())

    def _asks(self) -> bool:
        """Return whether it is time to ask who is there."""
        if self.buffer.paused:
            self._discovery = Discovery()
            return False
        waiting, taking = bool(self.buffer or self._sent.packets), len(self._workers)
        return self._discovery.due(self._now(), taking, refusing=self._workers.refusing, waiting=waiting)

    def _looks(self) -> bool:
        """Return whether it matters if the broker passes anything on; trouble is over once something was sent."""
        return bool(self._sent.packets or self._threads.trouble)

    def _wait(self, size: JobSize) -> float:
        """The seconds until a job may go, or to look for one that is lost, where nothing changes before."""
        count = min(len(self.buffer), self._sendable(size))
        full = self._sent.bytes >= BYTES_OUT or self.result_queue.unrecorded.full(self._sent.packets)
        if count <= 0 or self.buffer.paused or full:
            if self._looks() or self._discovery.since is not None:
                return LOOK
            return min(SILENCE, self._service.wait() or SILENCE)
        if count >= size.full:
            return 0.0
        return self._pace.wait(count, monotonic(), idle=len(self._sent) < self._workers.processes)

    def _take(self, size: JobSize) -> OutgoingJob | None:
        """The next job; `None` where all that waits has to wait for a suspect that is out."""
        count = min(size.full, self._sendable(size))
        self._pace.send(min(count, len(self.buffer)), monotonic())
        together, single = self._suspects.part(tasks_of(self.buffer.round_robin.take(count, size=MOST_BYTES)))
        tried = any(self._suspects.alone(task) for task in self._sent.tasks()) if single else False
        chosen = together or [task for task in single if not (tried and self._suspects.alone(task))][:1]
        self.buffer.round_robin.put_each(runs_of(task for task in single if task not in chosen))
        return self._outgoing(chosen) if chosen else None

    def _outgoing(self, tasks: Sequence[Task]) -> OutgoingJob:
        job = token_hex(16)
        ticket = self._service.begin(len(tasks), self._workers.service)
        self._sent.add(job, tasks, self._now(), ticket=ticket)
        limit = self._outcomes.timeout * ceil(len(tasks) / self._workers.calls_of_one()) + GRACE
        return OutgoingJob(job, tasks, PacketJob(self._limits, [packet_of(task) for task in tasks]), limit)

    def _go_on(self) -> None:
        """The ledger has taken results, for which nothing was sent."""
        with self._change:
            self._change.notify_all()

    def _note_more(self) -> None:
        """More waits here. A thread that gathers is woken once a job is full: it would look for each single packet."""
        if len(self.buffer) >= self._enough:
            self._change.notify_all()
