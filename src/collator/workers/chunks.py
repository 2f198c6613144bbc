"""A chunk: the tasks that a thread takes in one go, and how many those should be.

Theory. To hand something from thread to thread costs tens of microseconds, whatever it is. A chunk of `CHUNK_SECONDS`
of work makes that small beside a function of microseconds, while one of milliseconds gets its packets one by one. The
time of a call is measured, never asked for.

A chunk is no trap for what shares it with a call that turns out to be slow: both of its queues may be emptied from
outside while the thread is busy, so that what is behind the slow call goes to other threads and what came before it
is recorded. Where a thread makes the calls itself, its chunk is one of runs (`run_chunk`); the one here is of tasks,
which are sent to a process, or called for in one batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from collator.messages import Result, Run, Task, runs_of

CHUNK_SECONDS = 0.005


class Chunk:
    """The tasks of one thread."""

    __slots__ = ("abandoned", "call", "done", "sent", "todo")

    def __init__(self, tasks: deque[Task]) -> None:
        self.todo = tasks
        """Not begun; the thread and the event loop's thread both take from it."""
        self.sent: deque[Task] = deque()
        """Behind the call that runs, or in it, and out of reach: in a process, or in one batch with it."""
        self.done: deque[Result] = deque()
        """Ended, not collected yet; the thread appends, the event loop's thread takes."""
        self.call: tuple[Task, float] | None = None
        """What runs now, and since when (monotonic seconds)."""
        self.abandoned = False
        """Set when nobody waits for the running call any more: its result is ignored, and nothing further is begun."""

    def begin_all(self, now: float) -> list[Task]:
        """Put all that is not begun out of reach from *now*."""
        tasks, self.todo = [*self.todo], deque()
        self.begin(tasks, now)
        return tasks

    def begin(self, tasks: Iterable[Task], now: float) -> None:
        """*tasks* are out of reach from *now*, and the first of them runs, unless another does."""
        self.sent.extend(tasks)
        if self.call is None:
            self._run_next(now)

    def answer(self, results: Iterable[Result], now: float) -> None:
        """End the running call with the first of *results*, what was sent behind it with the others."""
        for result in results:
            self.done.append(result)
            self._run_next(now)

    def pause(self) -> None:
        """Nobody takes an answer now, so that the time of what runs does not count until `resume`."""
        if self.call is not None:
            self.sent.appendleft(self.call[0])
            self.call = None

    def resume(self, now: float) -> None:
        """Answers are taken again from *now*."""
        if self.call is None:
            self._run_next(now)

    def recall(self, tasks: Collection[Task] | None = None) -> list[Task]:
        """*tasks* of those that were sent, which came back; or all, with the one that runs."""
        if tasks is not None:
            leases = {task.lease for task in tasks}
            self.sent = deque(task for task in self.sent if task.lease not in leases)
            return [*tasks]
        call, self.call = self.call, None
        rest = [*(() if call is None else (call[0],)), *self.sent]
        self.sent.clear()
        return rest

    def _run_next(self, now: float) -> None:
        self.call = (self.sent.popleft(), now) if self.sent else None

    def collect(self) -> list[Result]:
        """Take the results out."""
        return [self.done.popleft() for _ in range(len(self.done))]

    def rest(self) -> list[Run]:
        """Take out what is not begun."""
        rest = []
        while True:
            try:
                rest.append(self.todo.popleft())
            except IndexError:
                return runs_of(rest)

    def unfinished(self) -> list[Run]:
        """The tasks that have no result: the one that runs, and those that are behind it."""
        call = self.call
        return runs_of([*(() if call is None else (call[0],)), *self.sent.copy(), *self.todo.copy()])

    def behind(self) -> list[Run]:
        """The tasks out of reach behind the call that runs."""
        return runs_of(self.sent.copy())

    def size(self) -> int:
        """The number of tasks here; at least 1, as one may be between two places."""
        return len(self.todo) + len(self.sent) + 1


def next_size(size: int, *, calls: int, seconds: float, limit: int) -> int:
    """The size of the next chunk, where *size* was allowed and the last had *calls* that took *seconds*.

    One measurement moves it by a factor of 4 at most, as a thread that had to wait for its turn on the processor looks
    like a slow function. Between 1 and *limit*.
    """
    fitting = int(min(limit, calls * CHUNK_SECONDS / seconds)) if seconds > 0 else limit
    return max(1, size // 4, min(fitting, size * 4))
