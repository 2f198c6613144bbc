"""The processor in one process of a worker: calls for the packets of several jobs side by side.

The calls are made by the same pools as those of local workers, so time limits and batches mean the same. The thread of
a task waits until the answers of its job are published, by the thread of `answer_sender`.

Theory. A job is small, but nobody knows how long its calls take this time. Packets that were not begun within
`RETURN` seconds go back, to be sent to whoever is free. Where a service does not take a packet, all that waits goes
back at once: its node decides when the service is called again (`reported_calls`).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from itertools import count

import msgspec

from collator.messages import Key, Lease, Result, Task, output_size, results_of, runs_of
from collator.processor import HttpService, OutcomeFactory, Processor
from collator.workers.celery.answer_sender import AnswerSender, HostedJob, Portion
from collator.workers.celery.call_counts import CallCounts
from collator.workers.celery.job_size import TRAVEL, CallTime
from collator.workers.celery.messages import (
    NO_JSON,
    CallLimits,
    CallRefused,
    JobAnswer,
    NotBegun,
    PacketJob,
    WorkerState,
    answer_of,
    answer_of_call,
)
from collator.workers.celery.publisher import Publisher
from collator.workers.celery.reported_calls import ReportedCalls
from collator.workers.hedges import Hedges
from collator.workers.pools import open_pool

RETURN = 1.0
"""Seconds after which packets that were not begun go back."""
MOST_AHEAD = 2 * TRAVEL
"""Seconds of work that may wait here."""
WATCH = 0.025
"""Seconds between two looks at calls that take long."""
WINDOW = 1_000_000
"""What is here was bounded by those who sent it."""


class ProcessorHost:
    """The processor, and the jobs that it works on."""

    def __init__(
        self,
        processor: Processor,
        limits: CallLimits,
        publisher: Publisher,
        *,
        state: WorkerState,
        calls: int,
        hedge: float | None = None,
    ) -> None:
        """Make up to *calls* calls at a time within *limits*, as *processor* was opened with.

        *publisher* sends the answers of a worker that is as *state* says. *hedge*: the quantile of `Hedges`, if any.
        """
        self.limits = limits
        self._outcomes: OutcomeFactory = processor.outcomes
        self._given_state = state
        self._jobs: dict[int, HostedJob] = {}
        self._numbers = count(1)
        self._time = CallTime()
        self._asked = self._answered = 0  # packets
        self._asking = threading.Lock()
        self._busy = threading.Event()
        self._retired = self._ended = False
        counts = CallCounts()
        self._service = (
            ReportedCalls(calls=calls, note=counts.note_call) if isinstance(processor, HttpService) else None
        )
        self._pool = open_pool(
            processor,
            tell=self._collect,
            judge=self._service,
            concurrency=calls,
            max_abandoned=calls,
            window=WINDOW,
            hedges=None if hedge is None else Hedges(hedge, note=counts.note_hedge),
        )
        self._sender = AnswerSender(
            publisher, state=self._state, published=self._published, expected=self._expected, counts=counts
        )
        self._pool.start()
        threading.Thread(target=self._watch_forever, name="collator-watch", daemon=True).start()

    def work(self, job: PacketJob, *, job_id: str, node: str) -> str:
        """Work on *job* of *node* until its answers are published; the reason, in words, where they cannot be."""
        number = next(self._numbers)
        hosted = HostedJob(job_id, node, len(job.packets), self._outcomes.running())
        with self._asking:
            self._asked += len(job.packets)
        self._jobs[number] = hosted
        self._busy.set()
        try:
            if job.packets and not self._overloaded():
                self._pool.buffer.put(runs_of(_tasks_of(job, number)))
            else:
                self._answer(Portion(hosted, [(place, NotBegun()) for place in range(len(job.packets))]))
            hosted.done.wait()
        finally:
            del self._jobs[number]
            self._end_if_retired()
        return hosted.failed

    def retire(self) -> None:
        """Let the threads end, once no job is left."""
        self._retired = True
        self._end_if_retired()

    def blocked(self) -> bool:
        """Return whether so many calls do not return that no other is begun."""
        return self._pool.width() == 0

    def _answer(self, *portions: Portion) -> None:
        with self._asking:
            self._answered += sum(len(portion.answers) for portion in portions)
        self._sender.add(*portions)

    def _expected(self) -> int:
        """Return the number of packets that have no answer."""
        return self._asked - self._answered

    def _overloaded(self) -> bool:
        """Return whether so much waits here that others should have what comes: a broker gives to who asks first."""
        waiting, calls = len(self._pool.buffer), self._given_state.calls
        return waiting > calls and waiting * (self._time.seconds or 0.0) > calls * MOST_AHEAD

    def _state(self) -> WorkerState:
        """Describe the worker as it is at this moment."""
        trouble = self._pool.health()
        return msgspec.structs.replace(self._given_state, calls=1, trouble=trouble) if trouble else self._given_state

    def _published(self, size: int) -> None:
        """Outputs of *size* bytes are on their way."""
        with self._pool.buffer.change:
            self._pool.result_queue.unrecorded.remove(size)

    def _end_if_retired(self) -> None:
        if self._retired and not self._jobs and not self._ended:
            self._ended = True
            self._busy.set()
            self._pool.stop()
            self._sender.end()

    def _collect(self) -> None:
        """Hand what has ended to its jobs."""
        collected = self._pool.result_queue.collect()
        seconds = sum(collected.seconds) / len(collected.seconds) if collected.seconds else None
        if seconds is not None:
            self._time.measure(seconds)
        by_job: dict[int, list[Result]] = {}
        for result in results_of(collected.reports):
            by_job.setdefault(result.lease.key, []).append(result)
        answered = [(self._jobs.get(number), self._answers(results), results) for number, results in by_job.items()]
        portions = [
            Portion(hosted, answers, seconds, output_size(results))
            for hosted, answers, results in answered
            if hosted is not None
        ]
        if any(isinstance(answer, CallRefused) for portion in portions for _, answer in portion.answers):
            portions += self._taken_back([*self._jobs])
        if portions:
            self._answer(*portions)

    def _answers(self, results: Sequence[Result]) -> list[tuple[int, JobAnswer]]:
        """The answers that *results* of one job are, by their places."""
        service = self._service
        if service is None:
            return [(result.lease.position, answer_of(result)) for result in results]
        with self._pool.buffer.change:
            return [(result.lease.position, answer_of_call(result, service.ending(result))) for result in results]

    def _watch_forever(self) -> None:
        while not self._ended:
            self._busy.wait()
            threading.Event().wait(WATCH)
            if not self._jobs:
                self._busy.clear()
                if self._jobs:
                    self._busy.set()
            self._pool.result_queue.add(self._pool.watch())
            now = self._outcomes.running()
            late = {
                number: hosted
                for number, hosted in [*self._jobs.items()]
                if now - hosted.begun >= RETURN or self.blocked()
            }
            for hosted in late.values():
                hosted.begun = now
            if portions := self._taken_back(late):
                self._answer(*portions)

    def _taken_back(self, numbers: Collection[int]) -> list[Portion]:
        """Take back what of the jobs of *numbers* was not begun: what to tell of it."""
        buffer = self._pool.buffer
        with buffer.change:
            waiting = [run.lease for run in buffer.runs() if run.lease.key in numbers]  # each has one packet
            buffer.drop({*waiting})
        by_job: dict[int, list[tuple[int, JobAnswer]]] = {}
        for lease in waiting:
            by_job.setdefault(lease.key, []).append((lease.position, NotBegun()))
        found = [(self._jobs.get(number), answers) for number, answers in by_job.items()]
        return [Portion(hosted, answers) for hosted, answers in found if hosted is not None]


def _tasks_of(job: PacketJob, number: int) -> list[Task]:
    """The packets of *job*, as *number* here: its places stand for leases, which only the node knows."""
    return [
        Task(
            Key(packet.resource_id, packet.generation, packet.index),
            bytes(packet.payload),
            packet.attempt,
            Lease(number, 0, place),
            None if packet.metadata == NO_JSON else bytes(packet.metadata),
        )
        for place, packet in enumerate(job.packets)
    ]
