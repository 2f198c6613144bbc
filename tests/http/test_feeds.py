"""The feed of a resource: what is read once for all who wait, and what happens to who does not (R26)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collator.errors import Conflict
from collator.interim import InterimOutputs
from collator.web import resource_feed
from collator.web.event_text import KEEP_ALIVE, Order, Place
from collator.web.feeds import Feeds
from collator.web.resource_feed import FeedFollower, News, Position, ResourceFeed
from tests.http.followers import followed, record
from tests.http.listener import Harness, packet
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger")
BEGINNING = Position(Place(0))


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with followed(tmp_path) as listener:
        yield listener


@pytest.fixture
def feeds(listener: Harness) -> Feeds:
    return Feeds(listener.ledger, InterimOutputs())


class Reads:
    """Counts the pages of outcomes that are read; not those that are empty, as a hint may come late."""

    def __init__(self, listener: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        self._outcomes = listener.ledger._ledger.outcomes
        monkeypatch.setattr(listener.ledger, "outcomes", self, raising=False)

    async def __call__(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the ledger takes and gives
        page = await self._outcomes(*args, **options)
        self.number += bool(page.outcomes)
        return page


async def some(follower: FeedFollower) -> News:
    """The next news that tell of something."""
    while not (news := await follower.news()).events:
        pass
    return news


def waits(feeds: Feeds, number: int) -> bool:
    """Whether so many followers of `r` wait."""
    feed, _ = feeds._open["r"]
    return sum(map(len, feed._waiting.values())) == number


@asynccontextmanager
async def two_who_wait(
    listener: Harness, feeds: Feeds
) -> AsyncIterator[tuple[tuple[FeedFollower, FeedFollower], Sequence[asyncio.Task[News]]]]:
    """Two followers of `r`, which has packets and no outcome, and their waits for some news."""
    await listener.post([packet(0), packet(1)])
    with feeds.follow("r", BEGINNING) as one, feeds.follow("r", BEGINNING) as other:
        tasks = [asyncio.create_task(some(follower)) for follower in (one, other)]
        await until(lambda: waits(feeds, 2))
        yield (one, other), tasks


async def test_what_comes_is_read_once_for_all_who_wait(
    listener: Harness, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_who_wait(listener, feeds) as ((one, other), tasks):
        reads = Reads(listener, monkeypatch)
        await record(listener, 1)
        (first, second) = await asyncio.gather(*tasks)
        assert first is second
        assert (one.position, reads.number) == (other.position, 1)
    assert not feeds._open


async def test_who_does_not_wait_when_something_comes_reads_it_afterwards(listener: Harness, feeds: Feeds) -> None:
    await listener.post([packet(i) for i in range(3)])
    with feeds.follow("r", BEGINNING) as slow, feeds.follow("r", BEGINNING) as other:
        assert (await slow.look()).events == []
        for index in range(3):
            await record(listener, index)
            await some(other)
        news = await slow.news()
        assert [event.id for event in news.events] == [b"1", b"2", b"3"]
        assert slow.position == other.position


async def test_one_who_has_gone_is_looked_for_no_more(
    listener: Harness, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    await listener.post([packet(0), packet(1)])
    with feeds.follow("r", BEGINNING) as follower:
        with feeds.follow("r", BEGINNING) as gone:
            await gone.look()
            waiting = asyncio.create_task(gone.news())
            await until(lambda: waits(feeds, 1))
            gone.woken.set()
            assert (await waiting).events == ()
        reads = Reads(listener, monkeypatch)
        await record(listener, 0)
        assert [event.id for event in (await some(follower)).events] == [b"1"]
        await until(lambda: feeds._open["r"][0].looks)
        assert reads.number == 1


async def test_an_error_of_a_look_reaches_each_who_waits(
    listener: Harness, feeds: Feeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_who_wait(listener, feeds) as (_, tasks):

        async def broken(*_: Any, **__: Any) -> None:  # noqa: ANN401 - whatever the ledger takes
            raise ArithmeticError

        monkeypatch.setattr(listener.ledger, "outcomes", broken, raising=False)
        await record(listener, 0)
        assert [type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == [ArithmeticError] * 2


async def test_who_wants_one_generation_is_told_that_it_is_another_and_all_others_begin_anew(
    listener: Harness, feeds: Feeds
) -> None:
    await listener.post([packet(0), packet(1)])
    webhook_id = (await listener.ask("GET", "/v1/resources/r")).json["webhook_id"]
    pinned = BEGINNING._replace(webhook_id=webhook_id)
    with feeds.follow("r", pinned) as one, feeds.follow("r", BEGINNING) as other:
        await record(listener, 0)
        assert (await some(one)).position == (await some(other)).position
        await listener.ask("POST", "/v1/resources/r/cancel")
        assert (await listener.ask("DELETE", "/v1/resources/r")).status == 200
        await listener.post(packet(5))
        await record(listener, 5)
        with pytest.raises(Conflict):
            await some(one)
        assert [event.name for event in (await some(other)).events] == [b"reset"]
        assert [event.id for event in (await some(other)).events] == [b"1"]


async def test_hints_without_news_are_no_sign_of_life(listener: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_feed, "HEARTBEAT", 0.05)
    monkeypatch.setattr(resource_feed, "BETWEEN", 0.01)
    await listener.post([packet(0), packet(1)])
    await record(listener, 1)

    class Restless(asyncio.Event):
        def clear(self) -> None:
            """Stay set."""

    hint = Restless()
    hint.set()
    feed = ResourceFeed(listener.ledger, InterimOutputs(), "r", hint)
    follower = FeedFollower(feed, Position(Place(-1), Order.INDEX))
    feed.followers.add(follower)
    running = asyncio.create_task(feed.run())
    while not (news := await follower.news()).text:
        pass
    running.cancel()
    assert news.text == KEEP_ALIVE


class Line:
    """A connection whose client takes what is written, or not."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.free = True

    def write_live(self, chunk: bytes, _events: object) -> bool:
        if self.free:
            self.chunks.append(chunk)
        return self.free


async def test_who_can_be_written_to_is_not_woken_until_his_client_is_full_or_the_resource_ends(
    listener: Harness, feeds: Feeds
) -> None:
    await listener.post([packet(index, last=index == 3) for index in range(4)])
    with feeds.follow("r", BEGINNING) as follower, feeds.follow("r", BEGINNING) as other:
        line = follower.connection = Line()
        following = asyncio.create_task(some(follower))
        for index in range(2):
            news = asyncio.create_task(some(other))
            await until(lambda: waits(feeds, 2))
            await record(listener, index)
            text = (await news).text
            assert line.chunks.pop() == b"%x\r\n%b\r\n" % (len(text), text)
            assert follower.position == other.position
        assert not following.done()
        line.free = False
        await record(listener, 2)
        assert [event.id for event in (await following).events] == [b"3"]
        line.free = True
        following = asyncio.create_task(some(follower))
        await until(lambda: waits(feeds, 1))
        await record(listener, 3)
        assert [event.name for event in (await following).events] == [b"output", b"end"]
        assert not line.chunks
