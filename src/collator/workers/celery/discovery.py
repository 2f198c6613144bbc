"""When a node asks who is there. Pure; times are readings of one clock.

Theory. A worker tells a node of itself for a minute after the node's last job. Where packets wait and nobody is known
it is asked at once, and then with longer and longer pauses. Of a node that is idle, or of a worker that gets nothing,
nobody would know either. So now and then as many empty jobs are sent as workers are known, and one more: a broker hands
out in turn to those who wait. Where nobody answers they lie in the queue, so there is a bound. A worker that refuses
jobs may have taken the question from one that would not.
"""

from __future__ import annotations

ROUND = 20.0
"""Seconds between two rounds."""
LONGEST_PAUSE = 60.0
"""Seconds between two questions while packets wait and nobody answers; doubles up to that."""
AGAIN = 2.0
"""Seconds after a refusal until the next round, at most."""
UNANSWERED = 100
"""Questions that nobody has answered, at most, while no packet waits."""


class Discovery:
    """The questions of one node."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Since when no worker is known, though packets wait."""
        self._next = float("-inf")
        self._pause = 1.0
        self._left = 0  # of this round
        self._unanswered = 0

    def due(self, now: float, taking: int, *, waiting: bool, refusing: int = 0) -> bool:
        """Return whether one is to be sent, where so many workers are *taking* jobs, or *refusing* them.

        *waiting*: whether there are packets.
        """
        wanted = waiting and not taking
        if not wanted:
            self.since, self._pause = None, 1.0
        elif self.since is None:
            self.since = self._next = now
        if now >= self._next:
            self._pause = min(2.0 * self._pause, LONGEST_PAUSE) if wanted else self._pause
            self._next, self._left = now + (self._pause if wanted else ROUND), taking + refusing + 1
        if not self._left or (self._unanswered >= UNANSWERED and not wanted):
            return False
        self._left -= 1
        self._unanswered += 1
        return True

    def hear(self) -> None:
        """A worker has answered, whatever it was asked."""
        self._unanswered = 0

    def refuse(self, now: float) -> None:
        """A worker has answered that it cannot take jobs."""
        self._next, self._unanswered = min(self._next, now + AGAIN), 0

    def soon(self) -> None:
        """Ask again, as what was asked may be lost."""
        self._next, self._unanswered = float("-inf"), 0
