"""`GET /v1/events`: what happens in this service, as server-sent events: counts once a second, and notices.

The counts are those of the metrics, read at each tick while somebody follows; everything else is `collator.notices`.
All streams look at moments that they have in common, ten in a second, so that what is read and encoded is the same for
all. Nothing is kept for a stream but its place and the counts that it was told last, so a slow one gets fewer ticks,
each of which counts for longer. Nothing is resumed: a stream begins with the present.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import structs
from starlette.types import Send

from collator.clock import rfc3339
from collator.metrics import Metrics
from collator.notices import EventKind
from collator.tokens import Caller, Role
from collator.totals import Totals
from collator.web.auth import forbidden
from collator.web.event_answer import answer_events
from collator.web.event_text import HEARTBEAT, KEEP_ALIVE, event
from collator.web.live_answer import write_live
from collator.web.load import Load
from collator.web.news_wait import NewsWait, stopping, waiting
from collator.web.problems import encode
from collator.web.request_body import RequestBody

TICK = 1.0
"""Seconds from tick to tick."""
BETWEEN = 0.1
"""Seconds between two looks of a stream at least: what happens meanwhile is told together."""


_Event = tuple[EventKind, bytes]
"""An event, and its text."""


class _Counted(NamedTuple):
    """What was counted up to a moment."""

    wall: float
    seconds: float  # of the event loop's clock
    totals: Totals


class ServiceEvents:
    """The streams of events of this service."""

    def __init__(self, metrics: Metrics, *, draining: asyncio.Event, load: Load) -> None:
        """Tell what *metrics* have; as many at a time as *load* has places for waits, and none once *draining*."""
        self._metrics, self._notices = metrics, metrics.notices
        self._draining = draining
        self._load = load
        self._counted: tuple[int, _Counted] | None = None
        self._looked: tuple[tuple[int, int], Sequence[_Event]] | None = None

    async def follow(self, request: RequestBody, send: Send, *, kinds: Sequence[EventKind] | None) -> None:
        """Write what happens from now on, of the *kinds* that are wanted and that the caller may know.

        `HttpProblem`, `Unavailable`, `ClientGone`.
        """
        if self._draining.is_set():
            raise stopping()
        wanted = _allowed(request.caller, kinds)
        in_wait = waiting(request, self._notices.followed(), load=self._load, draining=self._draining)
        async with in_wait as wait:
            stream = _Stream(self, wanted)
            await answer_events(request, send, b"", lambda: self._go_on(stream, send, wait))

    async def _go_on(self, stream: _Stream, send: Send, wait: NewsWait) -> None:
        loop = asyncio.get_running_loop()
        wrote = loop.time()
        while not wait.is_cut_off():
            if await wait.hinted(TICK - loop.time() % TICK):
                await asyncio.sleep(BETWEEN - loop.time() % BETWEEN)
            wait.look()
            text = stream.look(loop.time())
            if text or loop.time() >= wrote + HEARTBEAT:  # without ticks it may have nothing to say
                wrote = loop.time()
                await write_live(send, text or KEEP_ALIVE)

    @property
    def place(self) -> int:
        """The place behind all notices."""
        return self._notices.number

    def count(self) -> _Counted:
        """Count up to now."""
        return _Counted(time.time(), asyncio.get_running_loop().time(), self._metrics.totals())

    def counted(self, tick: int) -> _Counted:
        """The counts up to a *tick*, for all who ask for it."""
        if self._counted is None or self._counted[0] != tick:
            self._counted = tick, self.count()
        return self._counted[1]

    def noticed(self, place: int) -> Sequence[_Event]:
        """The notices behind *place*, for all who ask."""
        places = place, self._notices.number
        if self._looked is None or self._looked[0] != places:
            missed, notices = self._notices.after(place)
            events = [_event(EventKind.MISSED, {"count": missed})] if missed else []
            events += [_event(one.kind, {"at": rfc3339(one.at), "count": one.count, **one.facts}) for one in notices]
            self._looked = places, events
        return self._looked[1]


class _Stream:
    """What one reader was told."""

    def __init__(self, events: ServiceEvents, wanted: frozenset[EventKind]) -> None:
        self._events, self._wanted = events, wanted
        self._place, self._counted = events.place, events.count()
        self._tick = int(self._counted.seconds // TICK)

    def look(self, now: float) -> bytes:
        """The events since the last look, as text, which may be empty."""
        events: list[_Event] = []
        if (tick := int(now // TICK)) > self._tick:
            before, self._counted, self._tick = self._counted, self._events.counted(tick), tick
            events += _tick(before, self._counted)
        events += self._events.noticed(self._place)
        self._place = self._events.place
        return b"".join([text for kind, text in events if kind in self._wanted])


def _tick(before: _Counted, after: _Counted) -> list[_Event]:
    """The events of a tick: the counts between two moments, and the refusals by their codes."""
    at, counts = rfc3339(after.wall), after.totals.since(before.totals)
    refused = {code: number for code, number in counts.refused.items() if number}
    told = {**structs.asdict(counts), "refused": sum(refused.values())}
    seconds = round(after.seconds - before.seconds, 3)
    return [
        _event(EventKind.TICK, {"at": at, "seconds": seconds, **told}),
        *[_event(EventKind.REFUSED, {"at": at, "count": number, "code": code}) for code, number in refused.items()],
    ]


def _event(kind: EventKind, data: Mapping[str, object]) -> _Event:
    return kind, event(kind.encode(), encode(data))


def _allowed(caller: Caller | None, kinds: Sequence[EventKind] | None) -> frozenset[EventKind]:
    """The events that *caller* is told who asks for *kinds*, or for whatever there is."""
    if caller is None or caller.may(Role.ADMIN):
        return frozenset(kinds or EventKind)
    if kinds and EventKind.ACTION in kinds:
        raise forbidden(caller, Role.ADMIN, f"the kind {EventKind.ACTION}")
    return frozenset(kinds or EventKind) - {EventKind.ACTION}
