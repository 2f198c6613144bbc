"""The workers that a node has heard of, and what they can do. Pure; times are readings of one clock.

Theory. Nobody lists the workers: each says of itself what it is, with every answer and in a heartbeat. One that is not
heard of for `SILENCE` is gone. One that cannot read the jobs is known, but counts for nothing until it answers one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from collator.messages import WorkerReport
from collator.workers.celery.messages import WorkerProgram, WorkerState

BEAT = 2.0
"""Seconds between two heartbeats of a worker."""
SILENCE = 10.0
"""Seconds without a word after which a worker is gone."""
DOUBT = 2.5 * BEAT
"""Seconds without a word after which a worker may be gone."""
UNKNOWN = WorkerProgram("", "", "", "")
"""Of a worker that has sent no heartbeat yet, or is of a release that says nothing of it."""


class _Heard(msgspec.Struct):
    state: WorkerState
    at: float
    jobs: Sequence[str] = ()
    program: WorkerProgram = UNKNOWN
    refusal: str = ""
    """Why it does not take jobs, in words."""


class KnownWorkers:
    """The workers."""

    def __init__(self) -> None:
        self._workers: dict[str, _Heard] = {}
        self._gone = float("-inf")  # when one was found to be gone, the last time
        self.processes = 0
        """Of all workers."""
        self.tasks = 0
        """That they have in hand at a time."""
        self.calls = 0
        """That they make at a time."""
        self.refusing = 0
        """Workers that cannot read the jobs."""
        self.service = ""
        """The address of the HTTP service that they call; empty where they call none."""
        self.trouble = ""
        """Why no call is begun at any of them, in words; empty while one is."""

    def __len__(self) -> int:
        """The number of workers that take jobs."""
        return len(self._taking())

    def hear(
        self,
        state: WorkerState,
        now: float,
        jobs: Sequence[str] | None = None,
        program: WorkerProgram | None = None,
    ) -> None:
        """A worker describes itself as *state*; *jobs* are in its hands, and it is made of *program*, if it says so."""
        known = self._workers.get(state.name)
        before = known and known.state
        if known is None:
            known = self._workers[state.name] = _Heard(state, now)
        known.state, known.at = state, now
        known.jobs = known.jobs if jobs is None else jobs
        known.program = program or known.program
        if state != before:
            self._count()

    def answer(self, state: WorkerState, now: float) -> None:
        """The worker *state* has answered jobs, so it can read them."""
        self.hear(state, now)
        if self._workers[state.name].refusal:
            self._workers[state.name].refusal = ""
            self._count()

    def refuse(self, state: WorkerState, reason: str, now: float) -> bool:
        """The worker *state* cannot read a job, for *reason*; return whether that is news."""
        self.hear(state, now)
        known = self._workers[state.name]
        if known.refusal == reason:
            return False
        known.refusal = reason
        self._count()
        return True

    def forget(self, now: float) -> list[str]:
        """The names of those that are gone, which are known no longer."""
        gone = [name for name, heard in self._workers.items() if now - heard.at >= SILENCE]
        for name in gone:
            del self._workers[name]
        if gone:
            self._gone = now
            self._count()
        return gone

    def complete(self, since: float, now: float) -> bool:
        """Return whether all that were known at *since* are still there, as far as one can tell."""
        return self._gone < since and all(now - heard.at < DOUBT for heard in self._taking())

    def idle(self) -> bool:
        """Return whether any has fewer jobs than processes, by what it said last."""
        return any(len(heard.jobs) < heard.state.processes for heard in self._taking())

    def reports(self, now: float, packets_of: Callable[[Sequence[str]], Sequence[int]]) -> Sequence[WorkerReport]:
        """The workers that are there, for people, by name; *packets_of* as in `SentJobs`."""
        reports: list[WorkerReport] = []
        for name, heard in sorted(self._workers.items()):
            if now - heard.at >= SILENCE:
                continue  # nobody looked since, as nothing was to be done
            packets = packets_of(heard.jobs)
            report = WorkerReport(
                name=name,
                **msgspec.structs.asdict(heard.program),
                calls=0 if heard.refusal else heard.state.processes * heard.state.calls,
                jobs=len(packets),
                packets=sum(packets),
                beat=round(max(0.0, now - heard.at), 1),
                trouble=heard.refusal or heard.state.trouble,
            )
            reports.append(report)
        return reports

    def calls_of_one(self) -> int:
        """The number of calls that a process makes at a time, on the average."""
        return max(1, self.calls // max(1, self.processes))

    def _taking(self) -> Sequence[_Heard]:
        return [heard for heard in self._workers.values() if not heard.refusal]

    def _count(self) -> None:
        states = [heard.state for heard in self._taking()]
        self.refusing = len(self._workers) - len(states)
        self.processes = sum(state.processes for state in states)
        self.tasks = sum(state.processes * state.tasks for state in states)
        self.calls = sum(state.processes * state.calls for state in states)
        self.service = next((state.service for state in states if state.service), "")
        troubles = [state.trouble for state in states] or [heard.refusal for heard in self._workers.values()]
        self.trouble = troubles[0] if troubles and all(troubles) else ""
