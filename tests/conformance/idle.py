"""How long a sender has been silent, in time that counts (R13): bounds, since a stop leaves a few seconds open."""

from __future__ import annotations

FORGOTTEN = 10.0
"""Seconds of uptime that an unclean stop may forget: it can prolong a silence, never shorten it."""


class Uptime:
    """The stretches of time between two looks, and whether each counts: `counted`, `refused`, or `open` at a stop."""

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

    def since(self, start: float) -> tuple[float, float]:
        """The least and the most silence since *start*, up to the last look."""
        least = most = 0.0
        for first, last, kind in self.stretches:
            part = max(0.0, last - max(first, start))
            least += part if kind == "counted" else 0.0
            most += part if kind != "refused" else 0.0
            if first < start < last and kind != "counted":
                least -= start - first
        return least - FORGOTTEN * sum(crash >= start for crash in self.crashes), most
