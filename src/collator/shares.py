"""Shares of what many callers want: places, and bytes. Pure.

Theory. Each caller may hold a multiple of what is *free* at that moment, and no fixed part of the whole: a single
caller may hold nearly all of it, but never the last of it, so that the next one finds something free; the more callers
there are, the less may each hold, without counting them or knowing them beforehand. These are the dynamic thresholds
by which the ports of a network switch share its memory (Choudhury and Hahne, "Dynamic queue length thresholds for
shared-memory packet switches", IEEE/ACM Transactions on Networking 6(2), 1998). Nothing that is held is taken away: a
caller that holds more than it could take now takes no more until it has less.
"""

from __future__ import annotations

from collator.text import quoted

MULTIPLE = 8
"""How many times what is free one caller may hold: a single one has eight ninths."""


class Shared:
    """A number of places, or of bytes, and how many of them each caller holds."""

    def __init__(self, most: int, what: str, *, setting: str, multiple: int = MULTIPLE) -> None:
        """Share *most* of *what*, which *setting* fixes; one caller may hold *multiple* times what is free.

        So a single caller may hold ``multiple / (multiple + 1)`` of it, and a few places whole.
        """
        self.most = most
        self.used = 0
        self._what, self._setting, self._multiple = what, setting, multiple
        self._scarce = most * multiple // (multiple + 1)  # as long as less is used, everybody is within his share
        self._held: dict[str, int] = {}

    def held(self, who: str) -> int:
        """The amount that *who* holds."""
        return self._held.get(who, 0)

    def why_not(self, who: str, number: int = 1) -> str:
        """The reason why *who* may not take *number* more now, in words; empty where that is possible."""
        if self.used + number <= self._scarce:
            return ""
        if self.used + number > self.most:
            return f"{self._what}: the limit of {self.most} is reached ({self._setting})"
        held = self.held(who)
        if held < self._multiple * (self.most - self.used):
            return ""
        return (
            f"{self._what}: {quoted(who)} has used its share, {held} of {self.most} ({self._setting}); "
            "the rest is reserved for other callers"
        )

    def take(self, who: str, number: int = 1) -> None:
        """Let *who* hold *number* more, whether or not he may; fewer, where it is negative."""
        self.used += number
        held = self._held.get(who, 0) + number
        if held:
            self._held[who] = held
        else:
            self._held.pop(who, None)

    def give(self, who: str, number: int = 1) -> None:
        """Let *who* hold *number* less."""
        self.used -= number
        left = self._held.get(who, 0) - number
        if left:
            self._held[who] = left
        else:
            self._held.pop(who, None)
