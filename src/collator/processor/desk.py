"""The jobs that have come to a process that calls the processor, between the thread that calls and its helpers."""

from __future__ import annotations

import threading
from collections import deque

from collator.processor.wire import Job

STALLED = 0.010
"""Seconds after which a call lets go of the jobs behind it."""


class Desk:
    """Jobs that wait for the calling thread."""

    def __init__(self) -> None:
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
        """The next job, once there is one; `None` where the desk is closed. Called by one thread."""
        with self._change:
            self._busy = False
            while not (self._jobs or self._closed):
                self._change.wait()
            if self._closed:
                return None
            self._busy = True
            self._calls += 1
            return self._jobs.popleft()

    def left_behind(self) -> int:
        """How many jobs were taken back from behind a call that takes long, once there are any."""
        with self._change:
            while not self._stalled():
                pass
            count = len(self._jobs)
            self._jobs.clear()
            return count

    def _stalled(self) -> bool:
        """Look, for a while, whether jobs wait behind one and the same call."""
        self._change.wait_for(lambda: self._jobs)
        calls = self._calls
        changed = self._change.wait_for(lambda: self._calls != calls, timeout=STALLED)
        return self._busy and bool(self._jobs) and not changed
