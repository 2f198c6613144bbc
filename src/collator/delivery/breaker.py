"""Circuit breakers: one for each address, and one for the origin they share (R23). Pure.

Theory: Nygard's circuit breaker. *Closed*: all pass. After so many failures in a row it *opens*: nothing passes, and no
attempt is used up, for a pause. Then requests pass as *probes*, one at a time for each address: if one succeeds the
breaker closes, else it opens for twice as long, up to a limit. Only an answer proves that a receiver is back.

Evidence has a scope. Where no connection could be made, the origin (scheme, host, port) fails, and with it every
address there. An answer of 5xx, or none in time, says so only of the address: others on the same host may be well, and
a dead one delays none of them. A request that was sent before a breaker opened says nothing about the time after, so
its result is ignored.
"""

from __future__ import annotations

FIRST_PAUSE = 1.0
"""Seconds; doubles with each probe that fails."""
_DOUBLINGS = 32


class Breaker:
    """The breaker of one address, or of one origin. Times are readings of the monotonic clock."""

    def __init__(self, *, failures: int, longest: float) -> None:
        """Open after so many *failures* in a row, for at most *longest* seconds."""
        self._limit = failures
        self._longest = longest
        self._failures = 0
        self.open = False
        """Whether only probes pass. It stays open after its pause, until a probe has succeeded."""
        self.sound = True
        """Whether the last request that said anything was answered well, so that another success says nothing new."""
        self._opened = 0  # how often, since the last success
        self._until = 0.0
        self.generation = 0
        """How often it has opened, ever. What passed in an era that has ended says nothing any more."""
        self.reason = ""
        """How the last request failed, in words."""

    def wait(self, now: float) -> float:
        """Seconds until a request may pass; 0 where one may now."""
        return max(0.0, self._until - now) if self.open else 0.0

    def end_wait(self) -> None:
        """Let a probe pass at once, where it is open."""
        self._until = 0.0

    def report(self, generation: int, now: float, *, ok: bool, reason: str, probe: bool = False) -> None:
        """A request that passed in *generation* was answered in a *ok* way, or failed for *reason*.

        A *probe* that fails opens it though it was closed, as a breaker beside it was open.
        """
        if generation != self.generation:
            return
        self.sound = ok
        if ok:
            self._failures, self._opened, self.open = 0, 0, False
            return
        self.reason = reason
        self._failures += 1
        if self.open or probe or self._failures >= self._limit:
            self._until = now + min(FIRST_PAUSE * 2.0 ** min(self._opened, _DOUBLINGS), self._longest)
            self._opened, self.open = self._opened + 1, True
            self._failures = 0
            self.generation += 1
