"""A chunk of runs: what a thread calls the processor for by itself, packet by packet, and gives back run by run.

As of any chunk, what is behind a slow call may be taken and what came before it collected by another thread, while a
call is made. So of each run the places that are not begun are taken from the left by its thread and from the right by
others; and what came of the others is added to a list, of which what was added is collected at any time. Each such step
is one atomic operation: no lock is taken for a packet, and no object made for one that is as most are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from collator.messages import AnyResult, Output, Result, Run, RunOutputs, Task
from collator.workers.chunks import CHUNK_SECONDS
from collator.workers.result_bytes import PORTION

LONGEST = 4 * CHUNK_SECONDS
"""Seconds after which a chunk begins no further call: it has too much in it, and others may wait for that."""

AttemptAt = Callable[[Run, int], bytes | Result]
"""Calls the processor for the packet at a place of a run: its output, or how the attempt ended otherwise."""


class _RunInHand:
    """A run of a chunk."""

    __slots__ = ("collected", "ended", "known_at", "run", "todo")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.todo = deque(range(len(run.indexes)))
        """Places of packets that are not begun."""
        self.ended: list[bytes | Result] = []
        """What came of those that have ended, at their places; only added to."""
        self.collected = 0
        """How many of these were collected."""
        self.known_at = 0.0
        """When the last of them was there."""

    def collect(self) -> list[AnyResult]:
        """Take out what has ended."""
        reports: list[AnyResult] = []
        for kind, some in groupby(self.ended[self.collected :], type):
            same = [*some]
            reports += [self._outputs(same)] if kind is bytes else same  # type: ignore[arg-type]
            self.collected += len(same)
        return reports

    def _outputs(self, outputs: Sequence[bytes]) -> AnyResult:
        lease = self.run.lease.behind(self.collected)
        return (
            RunOutputs(lease, outputs, self.known_at) if len(outputs) > 1 else Output(lease, outputs[0], self.known_at)
        )


class RunChunk:
    """The runs of one thread."""

    __slots__ = ("_call", "_runs", "_stood_still", "abandoned")

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = [_RunInHand(run) for run in runs]
        self._call: tuple[_RunInHand, int, float] | None = None
        self._stood_still = 0.0
        self.abandoned = False
        """As of any chunk."""

    @property
    def call(self) -> tuple[Task, float] | None:
        """The call that runs, and since when; its time does not run while the process stands still."""
        call = self._call
        if call is None:
            return None
        one, place, since = call
        return one.run.task(place), since - self._stood_still

    def work(self, call: AttemptAt, now: Callable[[], float], stood_still: float = 0.0) -> tuple[int, float]:
        """Go through the runs, in the thread that calls; the number of calls, and the seconds that they took.

        *now* is the monotonic clock, and *stood_still* for how long the process has: a standstill from here on is only
        given to the call that runs. It ends before its time where the results have become large, or it takes long.
        """
        self._stood_still = stood_still
        calls = size = 0
        begun = since = now()
        for one in self._runs:
            while size < PORTION and since - begun < LONGEST and not self.abandoned:
                try:
                    place = one.todo.popleft()
                except IndexError:
                    break  # nothing is left, or another took it
                self._call = one, place, since
                result = call(one.run, place)
                since = now()
                calls += 1
                if not self.abandoned:
                    one.known_at = since
                    one.ended.append(result)
                if type(result) is bytes:
                    size += len(result)
        self._call = None
        return calls, since - begun

    def collect(self) -> list[AnyResult]:
        """Take the results out."""
        return [report for one in self._runs if len(one.ended) > one.collected for report in one.collect()]

    def rest(self) -> list[Run]:
        """Take out what is not begun."""
        rest: list[Run] = []
        for one in self._runs:
            places: list[int] = []
            while one.todo:
                try:
                    places.append(one.todo.pop())
                except IndexError:
                    break
            rest += _part(one.run, places)
        return rest

    def unfinished(self) -> list[Run]:
        """The packets that have no result: the one that is called for, and those behind it."""
        call = self._call
        running = [] if call is None else [call[0].run.part(call[1], call[1] + 1)]
        return [*running, *(part for one in self._runs for part in _part(one.run, one.todo.copy()))]

    def behind(self) -> list[Run]:
        """The packets out of reach behind the call that runs: none, as nothing was sent."""
        return []

    def size(self) -> int:
        """The number of packets here; at least 1, as one may be between two places."""
        return sum([len(one.todo) for one in self._runs]) + 1


def _part(run: Run, places: Sequence[int]) -> list[Run]:
    """The packets at *places* of *run*, which follow each other, if any."""
    return [run.part(min(places), max(places) + 1)] if places else []
