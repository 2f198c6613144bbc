"""`GET /v1/resources/{id}/events`: what becomes of a resource, as server-sent events, while it happens (R26).

The store is the truth, also here: a hint wakes who follows, and what he is told is read from the store. So nothing is
kept for a reader but his place, and who was cut off goes on at it. What many want to know at the same moment is read
once. Who reads slowly is read for slowly; the guard closes who does not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.types import Send

from collator.errors import Conflict, Removed, Unavailable, Unknown
from collator.interim import Interim, InterimOutputs
from collator.seams.ledger import Ledger
from collator.web.event_answer import answer_events
from collator.web.event_text import HEARTBEAT, KEEP_ALIVE, EventPage, Order, Place, event, interim_of, page_of, reset_of
from collator.web.live_answer import write_live
from collator.web.load import Load
from collator.web.news_wait import NewsWait, stopping, waiting
from collator.web.request_body import RequestBody

BETWEEN = 0.05
"""Seconds between two looks of a stream at least: what happens meanwhile is told together."""
_AGAIN = 1.0  # seconds until the store is looked at again where it could not be
_PAGE = 64 * 1024  # bytes of outputs that are read at once, or one that is larger
_MOST = 1000  # outcomes that are

_Wanted = tuple[str, Order, Place, str | None]


class Events:
    """The streams of events."""

    def __init__(self, ledger: Ledger, *, interim: InterimOutputs, draining: asyncio.Event, load: Load) -> None:
        """Read from *ledger*; as many at a time as *load* has places for waits, and none once it is *draining*.

        *interim* has what calls under way show, which is told between what is read.
        """
        self._ledger = ledger
        self._interim = interim
        self._draining = draining
        self._load = load
        self._looks: dict[_Wanted, asyncio.Task[EventPage | None]] = {}

    async def follow(
        self,
        request: RequestBody,
        send: Send,
        *,
        resource_id: str,
        order: Order | None,
        after_seq: int | None,
        cursor: int | None,
        webhook_id: str | None,
        ticket: str | None,
    ) -> None:
        """Write the events of a resource behind the place that *request* says, until the resource has ended.

        It may be one of which nothing came yet. `Conflict` where it is another generation than that of *webhook_id*;
        `Removed`, `Malformed`, `Unavailable`, `HttpProblem`, `ClientGone`.
        """
        del ticket  # it has said who asks
        if self._draining.is_set():
            raise stopping()
        order = order or Order.SEQ
        place = Place.of(request.headers.get(b"last-event-id"), order, after_seq if order is Order.SEQ else cursor)
        stream = _Stream(self, resource_id, order, place, webhook_id)
        in_wait = waiting(request, self._ledger.hint(resource_id), load=self._load, draining=self._draining)
        async with in_wait as wait:
            loop = asyncio.get_running_loop()
            with self._interim.follow(resource_id, lambda: loop.call_soon_threadsafe(wait.again)):
                await self._answer(request, send, stream, wait)

    async def _answer(self, request: RequestBody, send: Send, stream: _Stream, wait: NewsWait) -> None:
        first = await stream.look()
        if stream.place.ended and not first:
            request.answering = True
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        await answer_events(request, send, first, lambda: self._go_on(stream, send, wait))

    async def _go_on(self, stream: _Stream, send: Send, wait: NewsWait) -> None:
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while not (stream.place.ended or wait.is_cut_off()):
            if not stream.more:
                if not await wait.hinted(HEARTBEAT):
                    await write_live(send, KEEP_ALIVE)
                    continue
                if (now := loop.time()) < looked + BETWEEN:
                    await asyncio.sleep(BETWEEN - now % BETWEEN)  # to moments that all have in common, to look together
            wait.look()
            looked = loop.time()
            interim = stream.interim(self._interim)  # before the store: what it has ended is not shown behind its end
            try:
                if text := interim + await stream.look():
                    await write_live(send, text)
            except Unavailable:
                loop.call_later(_AGAIN, wait.again)
            except Conflict as error:
                await write_live(send, event(*reset_of(stream.resource_id, error.detail)))
                return

    @contextmanager
    def hints(self, resource_id: str) -> Iterator[asyncio.Event]:
        """An event that is set with each piece of news of a resource, interim outputs too; who waits clears it."""
        loop = asyncio.get_running_loop()
        with self._ledger.hint(resource_id) as hint:

            def shown() -> None:
                loop.call_soon_threadsafe(hint.set)

            with self._interim.follow(resource_id, shown):
                yield hint

    def interim(self, resource_id: str, *, after: int) -> Sequence[Interim]:
        """The latest interim outputs of a resource behind the number *after*."""
        return self._interim.latest(resource_id, after=after)

    async def look(self, wanted: _Wanted) -> EventPage | None:
        """The events of a resource behind a place, for all who ask together; `None` where nothing is known of it."""
        look = self._looks.get(wanted)
        if look is None:
            look = self._looks[wanted] = asyncio.create_task(self._read(wanted))
            look.add_done_callback(_noticed)
        return await asyncio.shield(look)

    async def _read(self, wanted: _Wanted) -> EventPage | None:
        del self._looks[wanted]  # who comes once it has begun may know of more than it will find
        resource_id, order, place, webhook_id = wanted
        try:
            if order is Order.SEQ:
                page = await self._ledger.outcomes(
                    resource_id, after_seq=place.number, limit=_MOST, size=_PAGE, webhook_id=webhook_id
                )
            else:
                page = await self._ledger.outputs(
                    resource_id, after=place.number, limit=_MOST, size=_PAGE, webhook_id=webhook_id
                )
        except Removed:
            raise
        except Unknown:
            return None
        return page_of(resource_id, order, place, page)


class _Stream:
    """How far one reader is."""

    def __init__(self, events: Events, resource_id: str, order: Order, place: Place, webhook_id: str | None) -> None:
        self.resource_id, self.place = resource_id, place
        self.more = False  # whether more is there than was read
        self._events = events
        self._order = order
        self._webhook_id, self._pinned = webhook_id, webhook_id is not None
        self._shown = 0  # the number of the last interim output that was told

    def interim(self, outputs: InterimOutputs) -> bytes:
        """The interim outputs that were not told yet as events."""
        latest = outputs.latest(self.resource_id, after=self._shown)
        if latest:
            self._shown = latest[-1].number
        return b"".join(event(*interim_of(self.resource_id, one)) for one in latest)

    async def look(self) -> bytes:
        """The next events as text, which may be empty. `Conflict` where only one generation is wanted."""
        try:
            page = await self._events.look((self.resource_id, self._order, self.place, self._webhook_id))
        except Conflict as error:
            return self._begin_anew(error)
        if page is None and self._webhook_id is not None:
            return self._begin_anew(Conflict(f"resource {self.resource_id!r} was purged since it had that webhook id"))
        self.more = page is not None and page.more
        if page is None:
            return b""
        self.place, self._webhook_id = page.place, page.webhook_id
        return page.text

    def _begin_anew(self, error: Conflict) -> bytes:
        if self._pinned:
            raise error
        self.place, self._webhook_id, self.more = Place(self._order.beginning), None, True
        return event(*reset_of(self.resource_id, error.detail))


def _noticed(look: asyncio.Task[EventPage | None]) -> None:
    """Take note of an error of *look*, for which nobody may wait any more."""
    if not look.cancelled():
        look.exception()
