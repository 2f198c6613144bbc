"""The workers that a node has heard of, and what they can do. Pure; times are readings of one clock.

Theory. Nobody lists the workers: each says of itself what it is, with every answer and in a heartbeat. One that is not
heard of for `SILENCE` is gone.
"""

from __future__ import annotations

import msgspec

from collator.workers.celery.messages import WorkerState

BEAT = 2.0
"""Seconds between two heartbeats of a worker."""
SILENCE = 10.0
"""Seconds without a word after which a worker is gone."""


LONGEST_PAUSE = 60.0
"""Seconds between two questions who is there, where nobody answers; doubles up to that."""


class _Heard(msgspec.Struct):
    state: WorkerState
    at: float
    jobs: int


class Crew:
    """The workers."""

    def __init__(self) -> None:
        self._workers: dict[str, _Heard] = {}
        self.processes = 0
        """Of all workers."""
        self.tasks = 0
        """That they have in hand at a time."""
        self.calls = 0
        """That they make at a time."""
        self.trouble = ""
        """Why no call gets through at any of them, in words; empty while one does."""

    def __len__(self) -> int:
        """The number of workers."""
        return len(self._workers)

    def hear(self, state: WorkerState, now: float, jobs: int | None = None) -> None:
        """A worker describes itself as *state*; *jobs* are in its hands, where it says so."""
        known = self._workers.get(state.name)
        count = jobs if jobs is not None else known.jobs if known else 0
        self._workers[state.name] = _Heard(state, now, count)
        if known is None or known.state != state:
            self._count()

    def forget(self, now: float) -> list[str]:
        """The names of those that are gone, which are known no longer."""
        gone = [name for name, heard in self._workers.items() if now - heard.at >= SILENCE]
        for name in gone:
            del self._workers[name]
        if gone:
            self._count()
        return gone

    def idle(self) -> bool:
        """Return whether any has fewer jobs than processes, by what it said last."""
        return any(heard.jobs < heard.state.processes for heard in self._workers.values())

    def calls_of_one(self) -> int:
        """The number of calls that a process makes at a time, on the average."""
        return max(1, self.calls // max(1, self.processes))

    def _count(self) -> None:
        states = [heard.state for heard in self._workers.values()]
        self.processes = sum(state.processes for state in states)
        self.tasks = sum(state.processes * state.tasks for state in states)
        self.calls = sum(state.processes * state.calls for state in states)
        self.trouble = states[0].trouble if states and all(state.trouble for state in states) else ""


class Discovery:
    """When a node asks who is there, as packets wait and no worker is known."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Since when."""
        self._next, self._asked = 0.0, 0

    def due(self, now: float) -> bool:
        """Return whether it is time to ask, which is done then."""
        self.since = self.since or now
        if now < self._next:
            return False
        self._asked += 1
        self._next = now + min(LONGEST_PAUSE, 2.0**self._asked)
        return True

    def soon(self) -> None:
        """Ask again: nobody could answer."""
        self._next = 0.0
