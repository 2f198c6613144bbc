"""`GET /v1/resources/{id}/events`: what becomes of a resource, as server-sent events, while it happens (R26).

The store is the truth, also here: a hint wakes who follows, and what he is told is read from the store. So nothing is
kept for a reader but his place, and who was cut off goes on at it. What many want to know at the same moment is read
once. Who reads slowly is read for slowly; the guard closes who does not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import Send

from collator.errors import Conflict, Removed, Unavailable, Unknown
from collator.seams.ledger import Ledger
from collator.web.event_text import EventPage, Order, Place, page_of, reset
from collator.web.load import Load
from collator.web.request_body import HALF_CLOSED, RequestBody

HEARTBEAT = 15.0
"""Seconds after which a stream that has nothing to say sends a comment, so that no proxy takes it for dead."""
BETWEEN = 0.05
"""Seconds between two looks of a stream at least: what happens meanwhile is told together."""
_RETRY = b"retry: 2000\n\n"  # milliseconds until a client that was cut off comes again
_AGAIN = 1.0  # seconds until the store is looked at again where it could not be
_PAGE = 64 * 1024  # bytes of outputs that are read at once, or one that is larger
_MOST = 1000  # outcomes that are
_FIELDS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

_Wanted = tuple[str, Order, Place, str | None]


class Events:
    """The streams of events."""

    def __init__(self, ledger: Ledger, *, draining: asyncio.Event, load: Load) -> None:
        """Read from *ledger*; as many at a time as *load* has places for waits, and none once it is *draining*."""
        self._ledger = ledger
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
    ) -> None:
        """Write the events of a resource behind the place that *request* says, until the resource has ended.

        It may be one of which nothing came yet. `Conflict` where it is another generation than that of *webhook_id*;
        `Removed`, `Malformed`, `Unavailable`, `HttpProblem`, `ClientGone`.
        """
        if self._draining.is_set():
            raise Unavailable("the service is stopping; try again later", retry_after=5.0)
        order = order or Order.SEQ
        place = Place.of(request.headers.get(b"last-event-id"), order, after_seq if order is Order.SEQ else cursor)
        with (
            self._load.instead(self._load.waits, request.who, retry_after=1.0),
            self._ledger.hint(resource_id) as hint,  # before the look, so that nothing is missed
        ):
            stream = _Stream(self, resource_id, order, place, webhook_id)
            first = await stream.look()
            request.answering = True
            if stream.place.ended and not first:
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body"})
                return
            await send({"type": "http.response.start", "status": 200, "headers": _FIELDS})
            if request.scope["method"] != "HEAD":
                await _write(send, _RETRY + first)
                async with _woken_where_cut_off(request, self._draining, hint) as is_cut_off:
                    await self._go_on(stream, send, hint, is_cut_off)
            await send({"type": "http.response.body"})

    async def _go_on(self, stream: _Stream, send: Send, hint: asyncio.Event, is_cut_off: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while not (stream.is_over or is_cut_off()):
            if not stream.more:
                if not await _set_within(hint, HEARTBEAT):
                    await _write(send, b": keep-alive\n\n")
                    continue
                if (now := loop.time()) < looked + BETWEEN:
                    await asyncio.sleep(BETWEEN - now % BETWEEN)  # to moments that all have in common, to look together
            hint.clear()
            looked = loop.time()
            try:
                await _write(send, await stream.look())
            except Unavailable:
                loop.call_later(_AGAIN, hint.set)
            except Conflict as error:
                await _write(send, reset(stream.resource_id, error.detail))
                return

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
        self.is_over = False
        self._events = events
        self._order = order
        self._webhook_id, self._pinned = webhook_id, webhook_id is not None

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
        self.place, self._webhook_id, self.is_over = page.place, page.webhook_id, page.place.ended
        return page.text

    def _begin_anew(self, error: Conflict) -> bytes:
        if self._pinned:
            raise error
        self.place, self._webhook_id, self.more = Place(self._order.beginning), None, True
        return reset(self.resource_id, error.detail)


@asynccontextmanager
async def _woken_where_cut_off(
    request: RequestBody, draining: asyncio.Event, hint: asyncio.Event
) -> AsyncIterator[Callable[[], bool]]:
    """A way to ask whether the client has gone or the service stops; *hint* is set when that happens."""
    half_closed = request.scope.setdefault(HALF_CLOSED, asyncio.Event())
    ends = [asyncio.create_task(end) for end in (request.gone(), half_closed.wait(), draining.wait())]
    for end in ends:
        end.add_done_callback(lambda _: hint.set())
    try:
        yield lambda: any(end.done() for end in ends)
    finally:
        for end in ends:
            end.cancel()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def _write(send: Send, text: bytes) -> None:
    """Write *text*, and wait until the client has taken what is much."""
    if text:
        await send({"type": "http.response.body", "body": text, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": True})


def _noticed(look: asyncio.Task[EventPage | None]) -> None:
    """Take note of an error of *look*, for which nobody may wait any more."""
    if not look.cancelled():
        look.exception()
