"""Hedges: a second call beside one that takes long, of which the first output counts. Pure; for calls that can end.

Theory (Dean and Barroso, The Tail at Scale). One call in a hundred may take twenty times as long as the others, and the
last output of a resource decides when its webhook is sent. A call that has taken longer than a quantile of its kind is
made once more: few calls get that far, and the second one is most likely as quick as most.

*The quantile* is that of the latest calls, exactly: a window of them, long enough that `ABOVE` lie above the quantile,
is kept in order. So it needs no assumption about the times, and follows a service that has become slower within a few
dozen calls. Only first calls count. One that lost counts with the time that it had taken by then: that is above the
quantile, as its whole time would be. Else the slow ones would be missing, and the quantile would fall with each hedge.

*The budget.* One second call for `FIRST_CALLS` first ones, and at most `SAVED` in a row, whatever the times are. So a
service that becomes slow as a whole gets no more than a twentieth more. Whoever has taken longest is hedged first: what
was only a little late has ended by then.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from math import ceil, inf

ABOVE = 20
"""Times of the window that lie above the quantile."""
LEAST_ABOVE = 2
"""The same before the window is full: with fewer, nothing is known."""
FIRST_CALLS = 20
"""First calls that one second call is made for."""
SAVED = 10
"""Second calls that may be made in a row, after a time without."""


class Hedges:
    """When a second call is made."""

    def __init__(self, quantile: float, *, note: Callable[[bool], None] = lambda _won: None) -> None:
        """*quantile*: 0.95 for p95. *note* is told of each second call that has ended, whether its output counts."""
        self.note = note
        self._quantile = quantile
        self._least = round(LEAST_ABOVE / (1.0 - quantile))
        self._latest: deque[float] = deque(maxlen=round(ABOVE / (1.0 - quantile)))
        self._ordered: list[float] = []
        self._credit = 0  # first calls that no second call was made for

    def after(self) -> float:
        """Seconds after which a call may be made once more; infinite where none may be, or nothing is known yet."""
        if self._credit < FIRST_CALLS or len(self._ordered) < self._least:
            return inf
        return self._ordered[ceil(self._quantile * len(self._ordered)) - 1]

    def begin_first(self) -> None:
        """A first call begins."""
        self._credit = min(self._credit + 1, SAVED * FIRST_CALLS)

    def begin_second(self) -> None:
        """A second call begins."""
        self._credit -= FIRST_CALLS

    def add(self, seconds: float) -> None:
        """A first call has taken *seconds* to its output, or to that of the second one."""
        if len(self._latest) == self._latest.maxlen:
            del self._ordered[bisect_left(self._ordered, self._latest[0])]
        self._latest.append(seconds)
        insort(self._ordered, seconds)
