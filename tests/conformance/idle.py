"""How long a sender has been silent, in time that counts (R13): bounds, since what lies between two looks is one thing.

A packet that came between two looks of which the second counted nothing may be taken to have come at the second; an
unclean stop may forget the last seconds. Both prolong a silence a little, neither may ever shorten it.
"""

from __future__ import annotations

FORGOTTEN = 10.0
"""Seconds of uptime that an unclean stop may forget."""


class Uptime:
    """The stretches of time between looks, and whether each counts: `counted`, `refused`, or `open` around a stop."""

    def __init__(self) -> None:
        self.last = 0.0
        self.stretches: list[tuple[float, float, str]] = []
        self.crashes: list[float] = []
        self.started = False

    def tick(self, now: float, kind: str) -> None:
        """A look at *now*; the first after a start may count what lies between, or not."""
        self.stretches.append((self.last, now, kind if self.started else "open"))
        self.last, self.started = now, True

    def restart(self, stopped: float, started: float, *, clean: bool) -> None:
        """The process ended at *stopped*, and the next began at *started*."""
        self.tick(stopped, "open")
        self.tick(started, "refused")
        self.started = False
        self.crashes += [] if clean else [stopped]

    def most(self, start: float) -> float:
        """The most silence since *start*, up to the last look."""
        return sum(max(0.0, last - max(first, start)) for first, last, kind in self.stretches if kind != "refused")

    def least(self, start: float, opened: float) -> float:
        """The least silence since *start*, up to the last look, in a resource that was *opened* then."""
        counted = sum(max(0.0, last - max(first, start)) for first, last, kind in self.stretches if kind == "counted")
        late = sum(self._between_looks(moment) for moment in {start, opened})
        return counted - late - FORGOTTEN * sum(crash >= opened for crash in self.crashes)

    def _between_looks(self, moment: float) -> float:
        """How long before *moment* the stretch around it began, where it did not count."""
        around = [first for first, last, kind in self.stretches if first < moment <= last and kind != "counted"]
        return sum(moment - first for first in around)
