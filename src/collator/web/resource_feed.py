"""What becomes of one resource, for all who follow it: read once for those who are equally far (R26).

Theory. The store is the truth, also here: a hint wakes the feed, and what is told is read from the store, behind the
place of a follower. Those who have all that there was wait, and a look of the feed is for all of them: they get the
same bytes. Who does not wait at that moment, as he is new, or his client has not taken what was written, has missed the
look, and looks for himself when he comes back. So nothing is kept for a follower but his place, and who reads slowly is
read for slowly.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import NamedTuple

from collator.errors import Conflict, Removed, Unavailable, Unknown
from collator.interim import InterimOutputs
from collator.seams.ledger import Ledger
from collator.web.event_text import (
    HEARTBEAT,
    KEEP_ALIVE,
    EventPage,
    Order,
    Place,
    ResourceEvent,
    event,
    interim_of,
    page_of,
    reset_of,
)
from collator.web.live_answer import LiveConnection, chunk_of

BETWEEN = 0.05
"""Seconds between two looks of a feed at least: what happens meanwhile is told together."""
_AGAIN = 1.0  # seconds until the store is looked at again where it could not be
_PAGE = 64 * 1024  # bytes of outputs that are read at once, or one that is larger
_MOST = 1000  # outcomes that are


class Position(NamedTuple):
    """How far a follower is."""

    place: Place
    order: Order = Order.SEQ
    webhook_id: str | None = None
    """The generation; `None` as long as there is none, or any is wanted."""
    shown: int = 0
    """The number of the last interim output that he was told."""


class News(NamedTuple):
    """What a follower is told."""

    position: Position
    """Behind it."""
    events: Sequence[ResourceEvent] = ()
    text: bytes = b""
    """The same as server-sent events."""
    more: bool = False
    """Whether more is there already."""


class ResourceFeed:
    """The feed of one resource. It `run`s as long as there is a follower."""

    def __init__(self, ledger: Ledger, interim: InterimOutputs, resource_id: str, hint: asyncio.Event) -> None:
        """Tell what *ledger* and *interim* have of the resource, when *hint* is set."""
        self.resource_id = resource_id
        self.followers: set[FeedFollower] = set()
        self.looks = 0
        """The number of looks that have begun: a follower who was not among those who wait has missed the last one."""
        self._ledger, self._interim, self._hint = ledger, interim, hint
        self._waiting: dict[Position, set[FeedFollower]] = {}
        self._beat_due = False  # whether a sign of life is due
        self._reads: dict[Position, asyncio.Task[EventPage | None]] = {}

    async def run(self) -> None:
        """Tell who waits of what comes."""
        loop = asyncio.get_running_loop()
        looked, beat = -math.inf, loop.call_later(HEARTBEAT, self._beat)
        try:
            while True:
                await self._hint.wait()
                if (pause := looked + BETWEEN - loop.time()) > 0:
                    await asyncio.sleep(pause)
                self._hint.clear()
                looked = loop.time()
                self.looks += 1
                for position, followers in self._taken():
                    await self._look_for(followers, position)
                if self._beat_due:
                    beat = loop.call_later(HEARTBEAT, self._beat)
                    self._give_sign_of_life()
        finally:
            beat.cancel()

    def wait(self, follower: FeedFollower) -> None:
        """Look for *follower* from now on."""
        self._waiting.setdefault(follower.position, set()).add(follower)

    def stop_waiting(self, follower: FeedFollower) -> None:
        """Do not look for *follower* any more."""
        self._waiting.get(follower.position, set()).discard(follower)

    def look_later(self) -> None:
        """Look again in a while, as the store cannot be read now."""
        asyncio.get_running_loop().call_later(_AGAIN, self._hint.set)

    async def read(self, position: Position, *, shared: bool = True) -> News:
        """Read behind *position*; *shared*: with others who ask for the same, before the read has begun.

        `Conflict` where that is of another generation; `Removed`, `Unavailable`.
        """
        # Before the store: what that has ended is not shown behind its end.
        latest = self._interim.latest(self.resource_id, after=position.shown)
        interim = [interim_of(self.resource_id, one) for one in latest]
        page = await (self._shared(position._replace(shown=0)) if shared else self._read(position))
        if latest:
            position = position._replace(shown=latest[-1].number)
        text = b"".join([event(*one) for one in interim])
        if page is not None:
            position = Position(page.place, position.order, page.webhook_id, position.shown)
            return News(position, [*interim, *page.events], text + page.text, page.more)
        if position.webhook_id is not None:
            raise Conflict(f"resource {self.resource_id!r} was purged since it had that webhook id")
        return News(position, interim, text)

    def _beat(self) -> None:
        """Have a sign of life given behind the next look, which is now."""
        self._beat_due = True
        self._hint.set()

    def _give_sign_of_life(self) -> None:
        """Write a comment to those for whom there was nothing else."""
        self._beat_due = False
        for position, followers in self._taken():
            self._tell(followers, News(position, text=KEEP_ALIVE))

    def _taken(self) -> list[tuple[Position, set[FeedFollower]]]:
        """Take those who wait, by how far they are: none of them waits any more."""
        waiting, self._waiting = self._waiting, {}
        return [(position, followers) for position, followers in waiting.items() if followers]

    async def _look_for(self, followers: set[FeedFollower], position: Position) -> None:
        try:
            news = await self.read(position, shared=False)
        except Unavailable:
            self.look_later()
        except Exception:  # noqa: BLE001 - each of them meets it, or another generation, by a look of his own
            self._tell(followers, News(position, more=True))
            return
        else:
            if news.events:
                self._tell(followers, news)
                return
        for follower in followers & self.followers:
            self.wait(follower)

    def _tell(self, followers: set[FeedFollower], news: News) -> None:
        """Tell *followers*, but those who have gone. Who can be written to at once goes on waiting, behind *news*."""
        chunk = b"" if news.more or news.position.place.ended else chunk_of(news.text)
        waiting = self._waiting.setdefault(news.position, set())
        for follower in followers & self.followers:
            if chunk and follower.connection is not None and follower.connection.write_live(chunk, news.events):
                follower.position, follower.looked = news.position, self.looks
                waiting.add(follower)
            else:
                follower.tell(news, self.looks)

    async def _shared(self, position: Position) -> EventPage | None:
        """Read what the store has behind *position*, once for all who ask together; `None` where it knows nothing."""
        read = self._reads.get(position)
        if read is None:
            read = self._reads[position] = asyncio.create_task(self._begin(position))
            read.add_done_callback(_noticed)
        return await asyncio.shield(read)

    async def _begin(self, position: Position) -> EventPage | None:
        del self._reads[position]  # who comes once it has begun may know of more than it will find
        return await self._read(position)

    async def _read(self, position: Position) -> EventPage | None:
        place, order, webhook_id, _ = position
        try:
            if order is Order.SEQ:
                page = await self._ledger.outcomes(
                    self.resource_id, after_seq=place.number, limit=_MOST, size=_PAGE, webhook_id=webhook_id
                )
            else:
                page = await self._ledger.outputs(
                    self.resource_id, after=place.number, limit=_MOST, size=_PAGE, webhook_id=webhook_id
                )
        except Removed:
            raise
        except Unknown:
            return None
        return page_of(self.resource_id, order, place, page)


class FeedFollower:
    """One who follows a resource."""

    def __init__(self, feed: ResourceFeed, position: Position) -> None:
        """Follow *feed* from *position* on; a generation that it names is the only one that is wanted."""
        self.position = position
        self.woken = asyncio.Event()
        """Ends a wait for news, whoever sets it."""
        self._feed = feed
        self._pinned = position.webhook_id is not None
        self.connection: LiveConnection | None = None
        """Where news are written past his task, which sleeps meanwhile."""
        self.looked = -1
        """The looks of the feed that had begun before the last look for him."""
        self._more = False
        self._told: News | None = None

    @property
    def ended(self) -> bool:
        """Whether he has all that will ever be."""
        return self.position.place.ended

    async def news(self) -> News:
        """Wait for what comes next. It may be nothing, where he was woken, or the store could not be read.

        `Conflict` where the only generation that he wants is no more; `Removed`.
        """
        if self._more or self.looked != self._feed.looks:
            try:
                return await self.look()
            except Unavailable:
                self._feed.look_later()
                return News(self.position)
        self._feed.wait(self)
        await self.woken.wait()
        self.woken.clear()
        told, self._told = self._told, None
        return told or News(self.position)

    async def look(self) -> News:
        """Read what is there now, which may be nothing. As `news`, and `Unavailable`."""
        self.looked = self._feed.looks
        try:
            news = await self._feed.read(self.position)
        except Conflict as error:
            if self._pinned:
                raise
            reset = reset_of(self._feed.resource_id, error.detail)
            beginning = Position(Place(self.position.order.beginning), self.position.order, shown=self.position.shown)
            news = News(beginning, [reset], event(*reset), more=True)
        self.position, self._more = news.position, news.more
        return news

    def tell(self, news: News, looks: int) -> None:
        """End his wait by *news*, of that many *looks* of the feed."""
        self._told, self.looked = news, looks
        self.position, self._more = news.position, news.more
        self.woken.set()


def _noticed(read: asyncio.Task[EventPage | None]) -> None:
    """Take note of an error of *read*, for which nobody may wait any more."""
    if not read.cancelled():
        read.exception()
