"""The jobs that have come to a process that calls the processor, between the thread that calls and its helpers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from collator.processor.wire import ChildReply, Job, JobsReturned

STALLED = 0.010
"""Seconds after which a call lets go of the jobs behind it."""


class JobQueue:
    """Jobs that wait for the calling thread, and the order in which replies leave.

    What becomes of a job is decided and said in one step, with the *turn* held: no job is both done and returned, and
    the service hears of everything in the order in which it happened. An answer that has to wait until the service
    reads is no call that takes long.
    """

    def __init__(self, send: Callable[[ChildReply], None]) -> None:
        """*send* says something to the service; it may wait for as long as it likes."""
        self._send = send
        self._turn = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._calls = 0
        self._busy = False
        self._closed = False
        self._change = threading.Condition()

    def put(self, job: Job) -> None:
        """Let *job* wait."""
        with self._change:
            self._jobs.append(job)
            self._change.notify_all()

    def close(self) -> None:
        """Nothing more is wanted, nor what waits."""
        with self._change:
            self._closed = True
            self._jobs.clear()
            self._change.notify_all()

    def next(self) -> Job | None:
        """The next job, once there is one; `None` where the queue is closed. Called by one thread."""
        with self._change:
            while not (self._jobs or self._closed):
                self._change.wait()
            if self._closed:
                return None
            self._busy = True
            self._calls += 1
            return self._jobs.popleft()

    def answer(self, reply: ChildReply) -> None:
        """The job that `next` gave last has ended with *reply*."""
        with self._turn:
            with self._change:
                self._busy = False
            self._send(reply)

    def give_back(self) -> None:
        """Return the jobs behind a call that takes long, once there are any."""
        call = self._stalled()
        with self._turn:
            numbers = self._take_behind(call)
            if numbers:
                self._send(JobsReturned(numbers))

    def _stalled(self) -> int:
        """The call behind which jobs wait for too long, once there is one."""
        with self._change:
            while True:
                self._change.wait_for(lambda: self._jobs)
                call = self._calls
                if not self._change.wait_for(partial(self._is_past, call), timeout=STALLED):
                    return call

    def _is_past(self, call: int) -> bool:
        return self._calls != call

    def _take_behind(self, call: int) -> list[int]:
        """The numbers of the jobs that wait behind *call*, if that still runs; they wait no longer."""
        with self._change:
            if not self._busy or self._calls != call:
                return []
            numbers = [job.number for job in self._jobs]
            self._jobs.clear()
            return numbers
