"""The estimated backlog of each caller, so that one sender does not fill the store for all others. Pure.

Theory. The store knows how many bytes wait, and not who sent them: to keep that for each packet would cost every packet
for what matters seldom. So the bytes that each caller has sent are counted in memory, and all counts shrink together as
the backlog shrinks: as if each caller's part of what is processed were as large as its part of the backlog. That is
rough, as a sender whose packets were processed first still counts with some left; but one that has sent little never
counts with much, and one that fills the store always does. After a start all counts are 0.
"""

from __future__ import annotations

from collator.shares import MULTIPLE
from collator.text import quoted

_SLACK = 16
"""What is counted is adjusted to what waits when it is more than twice that, and a sixteenth of what may wait."""

_CALLERS = 10_000
"""Callers that are counted at a time; of more, the one that was counted first is held to have nothing waiting."""


class Backlog:
    """The backlog by caller. Sizes in bytes."""

    def __init__(self, most: int) -> None:
        """Let *most* wait."""
        self._most = most
        self._scarce = most * MULTIPLE // (MULTIPLE + 1)
        self._sent: dict[str, float] = {}
        self._sum = 0.0
        self._upper = 0.0  # what waits at most: what waited when it was last asked for, and what came since

    def unsure(self, size: int) -> bool:
        """Return whether the store has to be asked how much waits before *size* more are taken."""
        return self._upper + size > self._scarce

    def waits(self, size: int) -> None:
        """*size* bytes wait at the moment."""
        self._upper = size
        if self._sum > 2 * size + self._most / _SLACK:
            part = size / self._sum
            self._sent = {who: sent * part for who, sent in self._sent.items() if sent * part >= 1}
            self._sum = sum(self._sent.values())

    def why_not(self, who: str) -> str:
        """The reason why *who* may send no more now, in words; empty where more may be sent."""
        free = self._most - self._upper
        sent = self._sent.get(who, 0.0)
        held = sent * min(1.0, self._upper / self._sum) if sent else 0.0  # of what waits
        if not who or self._upper <= self._scarce or held < MULTIPLE * free:
            return ""
        return (
            f"backlog: {quoted(who)} has used its share, about {held:.0f} of {self._most} bytes "
            "(max_backlog); the rest is reserved for other callers"
        )

    def add(self, who: str, size: int) -> None:
        """*who* has sent *size* more."""
        self._upper += size
        self._sum += size
        self._sent[who] = self._sent.get(who, 0.0) + size
        if len(self._sent) > _CALLERS:
            self._sum -= self._sent.pop(next(iter(self._sent)))
