"""Notices: what happens in a service and no count says, for those who follow it while it happens.

While nobody follows, nothing is kept. Else the latest are, for all who follow: what is alike becomes one notice with
its number, until somebody reads it, and whoever reads too slowly is told how many notices he missed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

import msgspec

MOST = 256
"""Notices that are kept."""


class EventKind(StrEnum):
    """The kinds of events of a service."""

    TICK = "tick"  #: once a second: how much of everything there was
    REFUSED = "refused"  #: requests were refused
    FAILED = "failed"  #: packets failed for good
    DEAD = "dead"  #: deliveries were given up by the service
    PAUSED = "paused"  #: an endpoint is sent nothing until a person resumes it
    RESUMED = "resumed"  #: it is sent to again
    BREAKER_OPENED = "breaker_opened"  #: an endpoint is sent nothing for now, as its receiver fails
    BREAKER_CLOSED = "breaker_closed"  #: it is back
    ACTION = "action"  #: a person did something that the audit log has
    MISSED = "missed"  #: notices were there, and are gone


class Notice(msgspec.Struct):
    """What happened, once or several times."""

    number: int
    """Rises from notice to notice."""
    kind: EventKind
    count: int = 0
    """How often."""
    at: float = 0.0
    """When it did last, in seconds since 1970."""
    facts: Mapping[str, object] = {}
    """What there is to say of the last time, by name."""


class Notices:
    """The latest notices of a service. All of it is of the event loop's thread."""

    def __init__(self, *, most: int = MOST, wall: Callable[[], float] = time.time) -> None:
        """Keep *most* of them; *wall* gives seconds since 1970."""
        self._most, self._wall = most, wall
        self._latest: deque[Notice] = deque(maxlen=most)
        self._unread: dict[tuple[EventKind, str], Notice] = {}
        self._hints: set[asyncio.Event] = set()
        self.number = 0
        """That of the latest."""

    @contextmanager
    def followed(self) -> Iterator[asyncio.Event]:
        """An event that is set where there are notices, while the context is open."""
        hint = asyncio.Event()
        self._hints.add(hint)
        self._unread.clear()
        try:
            yield hint
        finally:
            self._hints.remove(hint)
            if not self._hints:
                self._unread.clear()
                self._latest.clear()

    def tell(self, kind: EventKind, alike: str = "", **facts: object) -> None:
        """Note that something happened; of one *kind*, what has the same *alike* becomes one notice."""
        if not self._hints:
            return
        notice = self._unread.get((kind, alike))
        if notice is None:
            self.number += 1
            notice = Notice(self.number, kind)
            self._latest.append(notice)
            if len(self._unread) >= self._most:
                self._unread.clear()
            self._unread[kind, alike] = notice
            for hint in self._hints:  # of an unread notice all know already
                hint.set()
        notice.count, notice.at, notice.facts = notice.count + 1, self._wall(), facts

    def after(self, number: int) -> tuple[int, list[Notice]]:
        """Return the number of notices behind *number* that are gone, and those that are not, which change no more."""
        self._unread.clear()
        there = [notice for notice in self._latest if notice.number > number]
        return self.number - number - len(there), there
