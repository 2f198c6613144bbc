"""`GET /v1/resources/{id}/events`: what becomes of a resource, as server-sent events, while it happens (R26).

What is told is that of its feed (`resource_feed`). Who was cut off goes on at his place, which is the id of the last
event that he has. The guard closes who does not read.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from starlette.types import Send

from collator.errors import Conflict
from collator.web.event_answer import answer_events
from collator.web.event_text import Order, Place, event, reset_of
from collator.web.feeds import Feeds
from collator.web.live_answer import write_live
from collator.web.load import Load
from collator.web.news_wait import NewsWait, stopping, waiting
from collator.web.request_body import LIVE, RequestBody
from collator.web.resource_feed import FeedFollower, Position


class Events:
    """The streams of events."""

    def __init__(self, feeds: Feeds, *, draining: asyncio.Event, load: Load) -> None:
        """Tell what *feeds* tell; as many at a time as *load* has places for waits, and none once it is *draining*."""
        self._feeds = feeds
        self._draining = draining
        self._load = load

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
        with self._feeds.follow(resource_id, Position(place, order, webhook_id)) as follower:
            in_wait = waiting(request, nullcontext(follower.woken), load=self._load, draining=self._draining)
            async with in_wait as wait:
                await _answer(request, send, resource_id, follower, wait)


async def _answer(request: RequestBody, send: Send, resource_id: str, follower: FeedFollower, wait: NewsWait) -> None:
    first = await follower.look()
    if follower.ended and not first.events:
        request.answering = True
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        return
    await answer_events(request, send, first.text, lambda: _go_on(request, send, resource_id, follower, wait))


async def _go_on(request: RequestBody, send: Send, resource_id: str, follower: FeedFollower, wait: NewsWait) -> None:
    follower.connection = request.scope.get(LIVE)
    try:
        while not (follower.ended or wait.is_cut_off()):
            if text := (await follower.news()).text:
                await write_live(send, text)
    except Conflict as error:
        await write_live(send, event(*reset_of(resource_id, error.detail)))
    finally:
        follower.connection = None
