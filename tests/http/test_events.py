"""Who follows a resource by server-sent events: each outcome once, in order, whatever cuts him off (R26)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from collator.errors import Unavailable
from collator.interim import InterimOutputs
from collator.messages import Failure, Output
from collator.rules.resource import LedgerLimits
from collator.web import resource_feed
from collator.web.event_text import Place
from collator.web.request_feed import RequestProgress
from collator.web.resource_feed import Position, ResourceFeed
from tests.conformance.steps import claim
from tests.harness.event_stream import Event, EventReader, events_of
from tests.http.followers import followed, record
from tests.http.listener import Harness, Wire, open_door, packet, request
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger")


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with followed(tmp_path) as listener:
        yield listener


@asynccontextmanager
async def follow(
    listener: Harness, query: str = "", *, last_id: str = "", resource_id: str = "r"
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a resource, as they come."""
    async with listener.wire() as wire:
        yield await begin(wire, query, last_id=last_id, resource_id=resource_id)


async def begin(wire: Wire, query: str = "", *, last_id: str = "", resource_id: str = "r") -> AsyncIterator[Event]:
    more = {"last_event_id": last_id} if last_id else {}
    await wire.send(request("GET", f"/v1/resources/{resource_id}/events{query}", None, **more))
    status, headers = await wire.head()
    assert (status, headers["content-type"], headers["x-accel-buffering"]) == (200, "text/event-stream", "no")
    return events_of(wire.chunks())


async def whole(listener: Harness, query: str = "", *, last_id: str = "") -> list[Event]:
    """All events until the stream ends."""
    async with follow(listener, query, last_id=last_id) as events:
        return [event async for event in events]


def told(events: list[Event]) -> list[Any]:
    """The index of each outcome, and the names of all other events."""
    return [event.data.get("index", event.kind) for event in events]


async def some(events: AsyncIterator[Event], number: int) -> list[Event]:
    return [await anext(events) for _ in range(number)]


async def test_r26_each_outcome_is_told_once_as_it_comes_and_then_the_end(listener: Harness) -> None:
    async with follow(listener) as events:  # before its first packet
        await listener.post([packet(i, payload=[i], last=i == 3) for i in range(4)])
        await record(listener, 3)
        (first,) = await some(events, 1)
        assert first == Event("output", {"resource_id": "r", "seq": 1, "index": 3, "output": [3]}, "1")
        await record(listener, 1, 0)
        assert told(await some(events, 2)) == [1, 0]
        await record(listener, 2)
        *_, end = rest = [event async for event in events]
        assert told(rest) == [2, "end"]
        report = (await listener.ask("GET", "/v1/resources/r")).json
        wanted = {name: report[name] for name in ("resource_id", "state", "completed_by", "total", "webhook_id")}
        assert end == Event("end", wanted, "4.end")
    assert listener.app._load.waits.used == 0


async def test_r26_who_comes_again_goes_on_behind_what_he_has_and_who_has_the_end_is_told_that_there_is_no_more(
    listener: Harness,
) -> None:
    await listener.post([packet(i, last=i == 2) for i in range(3)])
    await record(listener, 2, 1, 0)
    assert told(await whole(listener)) == [2, 1, 0, "end"]
    assert told(await whole(listener, "?after_seq=1")) == [1, 0, "end"]
    assert told(await whole(listener, "?after_seq=1", last_id="2")) == [0, "end"]
    assert told(await whole(listener, last_id="3")) == ["end"]
    reply = await listener.ask("GET", "/v1/resources/r/events", last_event_id="3.end")
    assert (reply.status, reply.body) == (204, b"")


async def test_r26_in_the_order_of_indexes_what_has_no_gap_before_it_is_told(listener: Harness) -> None:
    await listener.post([packet(i, payload=i, last=i == 4) for i in range(5)])
    async with follow(listener, "?order=index") as events:
        await record(listener, 1, 0, 3)
        assert [(event.data["index"], event.id) for event in await some(events, 2)] == [(0, "0"), (1, "1")]
        await record(listener, 4, 2)
        rest = [event async for event in events]
        assert [(event.data.get("output"), event.id) for event in rest] == [
            (2, "2"),
            (3, "3"),
            (4, "4"),
            (None, "4.end"),
        ]
    assert told(await whole(listener, "?order=index&cursor=2")) == [3, 4, "end"]
    assert told(await whole(listener, "?order=index", last_id="3")) == [4, "end"]


async def test_r26_at_the_end_gaps_are_passed_over(listener: Harness) -> None:
    await listener.post([packet(0), packet(1), packet(3)])
    (zero, one, three) = sorted(await claim(listener.ledger._ledger), key=lambda task: task.key.index)
    await listener.ledger.record(
        [Output(three.lease, b"3"), Failure(one.lease, "no such word"), Output(zero.lease, b"0")], capacity={}
    )
    async with follow(listener, "?order=index") as events, follow(listener) as by_seq:
        assert told(await some(events, 1)) == [0]
        failed = (await some(by_seq, 2))[1]
        assert (failed.kind, failed.data["reason"], failed.data["attempts"]) == ("failed", "no such word", 1)
        await listener.ask("POST", "/v1/resources/r/complete", b'{"force": true}')
        assert told([event async for event in events]) == [3, "end"]
        assert [event.kind async for event in by_seq] == ["output", "end"]


@pytest.mark.parametrize("order", ["seq", "index"])
async def test_r26_who_is_cut_off_at_any_byte_sees_each_outcome_once(listener: Harness, order: str) -> None:
    random = Random(order)
    await listener.post([packet(i, payload="x" * random.randrange(200), last=i == 59) for i in range(60)])
    left = [*range(60)]
    random.shuffle(left)
    seen: list[Event] = []
    last_id = ""
    while not (seen and seen[-1].kind == "end"):
        await record(listener, *[left.pop() for _ in range(min(len(left), random.randrange(1, 12)))])
        await until(lambda: listener.app._load.waits.used < 3)  # a cut is not seen at once
        async with listener.wire() as wire:
            await begin(wire, f"?order={order}", last_id=last_id)
            reader, most = EventReader(), random.randrange(1, 3000)
            reader.last_id = last_id
            async for chunk in wire.chunks():
                seen += reader.feed(chunk[:most])
                most -= len(chunk)
                if most <= 0 or (left and seen):
                    break
            last_id = seen[-1].id if seen else ""
    outcomes = seen[:-1]
    numbers = [event.data["seq" if order == "seq" else "index"] for event in outcomes]
    assert numbers == [*range(numbers[0], numbers[0] + 60)]
    assert sorted(event.data["index"] for event in outcomes) == [*range(60)]


async def test_r26_an_id_that_was_opened_again_is_told_anew(listener: Harness) -> None:
    await listener.post([packet(0), packet(1)])
    await record(listener, 0, 1)
    old = (await listener.ask("GET", "/v1/resources/r")).json["webhook_id"]
    await listener.ask("POST", "/v1/resources/r/cancel")
    assert (await listener.ask("DELETE", "/v1/resources/r")).status == 200
    await listener.post(packet(0, payload="new", last=True))
    await record(listener, 0)
    first, *events = await whole(listener, last_id="2")
    assert (first.kind, first.id) == ("reset", "")
    assert "opened again" in first.data["detail"]
    assert (told(events), events[0].data["output"]) == ([0, "end"], "new")
    reply = await listener.ask("GET", f"/v1/resources/r/events?webhook_id={old}")
    assert (reply.status, reply.problem["code"]) == (409, "conflict")


async def test_r26_a_generation_that_goes_while_it_is_followed_is_told(listener: Harness) -> None:
    await listener.post([packet(0), packet(1)])
    await record(listener, 1)
    old = (await listener.ask("GET", "/v1/resources/r")).json["webhook_id"]
    async with follow(listener) as events, follow(listener, f"?webhook_id={old}") as pinned:
        assert told(await some(events, 1)) == told(await some(pinned, 1)) == [1]
        ledger = listener.ledger._ledger
        await asyncio.gather(ledger.cancel("r"), ledger.purge(limit=10, resource_id="r"))
        await listener.post(packet(0, payload="new", last=True))
        await record(listener, 0)
        rest = told([event async for event in events])
        assert rest in (["reset", 0, "end"], ["end"])  # as it came to look in between
        assert told([event async for event in pinned]) in (["reset"], ["end"])


async def test_what_is_gone_after_its_retention_is_not_waited_for(tmp_path: Path) -> None:
    async with open_door(tmp_path, ledger_limits=LedgerLimits(retention=60.0), endpoints=()) as listener:
        await listener.post(packet(0, last=True))
        await record(listener, 0)
        listener.clock.advance(61)
        assert await listener.ledger.purge(limit=100)
        reply = await listener.ask("GET", "/v1/resources/r/events")
        assert (reply.status, reply.problem["code"]) == (404, "unknown")


async def test_p5_streams_are_bounded_and_who_has_gone_has_no_place(listener: Harness) -> None:
    await listener.post(packet(0))
    async with follow(listener), follow(listener):
        async with follow(listener):
            reply = await listener.ask("GET", "/v1/resources/r/events")
            assert (reply.status, reply.problem["code"], reply.headers["retry-after"]) == (503, "busy", "1")
        await until(lambda: listener.app._load.waits.used == 2)
        async with listener.wire() as wire:
            events = await begin(wire)
            wire.half_close()
            assert [event async for event in events] == []
    await until(lambda: listener.app._load.waits.used == 0)


async def test_p5_who_sends_no_more_while_the_first_events_are_read_is_not_missed(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, reading, half_closed = listener.ledger._ledger.outcomes, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the ledger takes and gives
        reading.set()
        await half_closed.wait()
        return await outcomes(*args, **options)

    monkeypatch.setattr(listener.ledger, "outcomes", slow, raising=False)
    await listener.post(packet(0))
    async with listener.wire() as wire:
        await wire.send(request("GET", "/v1/resources/r/events"))
        await reading.wait()
        wire.half_close()
        (guard,) = listener.server.state.connections
        await until(lambda: guard.reading is RequestProgress.ENDED)  # type: ignore[union-attr]  # it is a `Guard`
        half_closed.set()
        assert (await wire.head())[0] == 200
        assert [event async for event in events_of(wire.chunks())] == []


async def test_p7_a_stop_ends_the_streams(listener: Harness) -> None:
    await listener.post(packet(0))
    async with follow(listener) as events, follow(listener, resource_id="nobody") as nobody:
        listener.intake.drain()
        assert [event async for event in events] == [event async for event in nobody] == []
    reply = await listener.ask("GET", "/v1/resources/r/events")
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


async def test_a_silent_stream_is_kept_alive(listener: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_feed, "HEARTBEAT", 0.02)
    reader, text = EventReader(), b""
    async with listener.wire() as wire:
        await wire.send(request("GET", "/v1/resources/r/events"))
        await wire.head()
        async for chunk in wire.chunks():
            text += chunk
            if [*reader.feed(chunk)] == [] and len(reader.comments) == 3:
                await listener.post([packet(0, payload=0, last=True)])
                await record(listener, 0)
    assert (reader.comments[0], reader.retry) == ("keep-alive", 2000)
    *blocks, rest = text.split(b"\n\n")  # httpx-sse 0.4.3 makes an event of each, even of one without data
    assert [b"\ndata: " in block for block in blocks] == [True, True]
    assert rest == b""


async def test_who_asks_before_a_look_has_begun_shares_it_and_nobody_else(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, looks, may_read = listener.ledger._ledger.outcomes, 0, asyncio.Event()

    async def counted(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the ledger takes and gives
        nonlocal looks
        looks += 1
        await may_read.wait()
        return await outcomes(*args, **options)

    monkeypatch.setattr(listener.ledger, "outcomes", counted, raising=False)
    await listener.post([packet(0), packet(1)])
    feed = ResourceFeed(listener.ledger, InterimOutputs(), "r", asyncio.Event())
    readers = [asyncio.create_task(feed.read(Position(Place(0)))) for _ in range(3)]
    await until(lambda: looks)
    late = asyncio.create_task(feed.read(Position(Place(0))))
    await until(lambda: looks == 2)
    may_read.set()
    assert len({(await reader).text for reader in readers} | {(await late).text}) == 1
    assert looks == 2


async def test_a_store_that_cannot_be_read_for_a_while_loses_nothing(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource_feed, "_AGAIN", 0.01)
    outcomes, fails = listener.ledger._ledger.outcomes, 0

    async def failing(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the ledger takes and gives
        nonlocal fails
        if fails:
            fails -= 1
            raise Unavailable("the store cannot be read at the moment")
        return await outcomes(*args, **options)

    monkeypatch.setattr(listener.ledger, "outcomes", failing, raising=False)
    await listener.post(packet(0))
    async with follow(listener) as events:
        fails = 3
        await record(listener, 0)
        assert told(await some(events, 1)) == [0]
    assert fails == 0


@pytest.mark.parametrize("query", ["?order=x", "?after_seq=-1", "?cursor=x", "?wait=1", "?last=1"])
async def test_what_cannot_be_asked_is_told(listener: Harness, query: str) -> None:
    reply = await listener.ask("GET", f"/v1/resources/r/events{query}")
    assert (reply.status, reply.problem["code"]) == (422, "malformed")


async def test_an_id_that_no_event_has_is_told(listener: Harness) -> None:
    reply = await listener.ask("GET", "/v1/resources/r/events", last_event_id="msg_a")
    assert (reply.status, reply.problem["code"]) == (422, "malformed")
    assert "Last-Event-ID" in reply.problem["detail"]


async def test_head_tells_what_a_stream_would_be(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(request("HEAD", "/v1/resources/r/events"))
        assert (await wire.head())[1]["content-type"] == "text/event-stream"
        await wire.send(request("GET", "/healthz"))
        assert (await wire.reply()).status == 200
