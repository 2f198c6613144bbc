"""Who follows the service: counts that add up, notices that are told once, and nothing kept while nobody follows."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collator.backoff import SCHEDULE
from collator.delivery import Circuits
from collator.notices import EventKind, Notices
from collator.web import service_events
from collator.web.limits import HttpLimits
from tests.harness.event_stream import Event, EventReader, events_of
from tests.http.listener import PATIENCE, Wire, connect, open_door, packet, request
from tests.http.listeners import TOKENS, known_tokens
from tests.http.service import Running, running
from tests.http.stage import Stage
from tests.receiver import Receiver, reply
from tests.wait import until

COUNTS = ("accepted", "processed", "failed", "ended", "delivered", "attempts_failed", "refused")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_events, "TICK", 0.05)
    monkeypatch.setattr(service_events, "BETWEEN", 0.01)


async def begin(wire: Wire, query: str = "", **more: str) -> AsyncIterator[Event]:
    await wire.send(request("GET", f"/v1/events{query}", None, **more))
    status, headers = await wire.head()
    assert (status, headers["content-type"], headers["x-accel-buffering"]) == (200, "text/event-stream", "no")
    return events_of(wire.chunks())


@asynccontextmanager
async def follow(it: Running, query: str = "") -> AsyncIterator[AsyncIterator[Event]]:
    """The events of the service, as they come."""
    wire = await connect(int(it.service.url.rpartition(":")[2]))
    try:
        yield await begin(wire, query)
    finally:
        await wire.aclose()


async def sums(events: AsyncIterator[Event], **wanted: int) -> Counter[str]:
    """What ticks count, until they have counted what is *wanted*."""
    found: Counter[str] = Counter()
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            assert event.kind == "tick"
            found.update({name: event.data[name] for name in COUNTS})
            if all(found[name] >= number for name, number in wanted.items()):
                return found
    raise AssertionError(found)


async def first(events: AsyncIterator[Event], kind: str) -> Any:  # noqa: ANN401 - JSON may be anything
    """What the next event of a *kind* says."""
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if event.kind == kind:
                assert event.id == ""
                return event.data
    raise AssertionError(kind)


@pytest.mark.usefixtures("each_ledger")
async def test_ticks_count_all_that_happens_and_nothing_of_before(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.post(packet(resource_id="before", last=True))
        await it.quiet()
        async with follow(it, "?kinds=tick") as events, follow(it, "?kinds=tick") as others:
            await it.post([packet(0), packet(1), packet(2, payload={"fail": "no such word"}, last=True)])
            await it.quiet()
            await it.post(b"{}")
            wanted = {"accepted": 3, "processed": 2, "failed": 1, "ended": 1, "delivered": 1, "refused": 1}
            for stream in (events, others):
                assert await sums(stream, **wanted) == {**wanted, "attempts_failed": 0}


async def test_a_tick_says_of_how_long_it_counts(tmp_path: Path) -> None:
    async with running(tmp_path) as it, follow(it, "?kinds=tick") as events:
        began = asyncio.get_running_loop().time()
        seconds = sum([(await anext(events)).data["seconds"] for _ in range(10)])
        assert 0.4 <= seconds <= asyncio.get_running_loop().time() - began + 0.1


async def test_packets_that_fail_alike_are_one_event_with_their_number(tmp_path: Path) -> None:
    async with running(tmp_path) as it, follow(it, "?kinds=failed") as events:
        await it.post([packet(index, payload={"fail": f"no word {index}"}) for index in range(20)])
        count, data = 0, {}
        while count < 20:
            data = await first(events, "failed")
            count += data["count"]
        assert (count, data["resource_id"]) == (20, "r")
        assert data["reason"].startswith("no word")
        assert {*data} == {"at", "count", "reason", "resource_id", "index"}


async def test_refused_requests_are_told_by_code(tmp_path: Path) -> None:
    async with running(tmp_path) as it, follow(it, "?kinds=refused") as events:
        for _ in range(2):
            await it.ask("GET", "/v1/resources/nobody")
        await it.ask("GET", "/v1/resources/r?x=1")
        await it.ask("GET", "/v1/nowhere")
        found: Counter[str] = Counter()
        while found.total() < 4:
            data = await first(events, "refused")
            found[data["code"]] += data["count"]
        assert found == {"unknown": 2, "malformed": 1, "not_found": 1}


@pytest.mark.usefixtures("each_ledger")
async def test_actions_and_pauses_are_told(tmp_path: Path) -> None:
    async with running(tmp_path) as it, follow(it, "?kinds=action,paused,resumed") as events:
        await it.ask("POST", "/v1/endpoints/default/pause")
        action = await first(events, "action")
        assert {name: action[name] for name in ("who", "verb", "target", "changed")} == {
            "who": "a person",
            "verb": "pause",
            "target": "default",
            "changed": 1,
        }
        paused = await first(events, "paused")
        assert (paused["endpoint"], "a person" in paused["reason"]) == ("default", True)
        await it.ask("POST", "/v1/endpoints/default/resume")
        assert (await first(events, "resumed"))["endpoint"] == "default"


async def test_a_breaker_is_told_for_each_endpoint_behind_it(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for name in "ab":
        stage.endpoint(f"http://127.0.0.1:{port}/{name}", name=name)
    notices = stage.metrics.notices
    with notices.followed():
        async with stage.dispatcher(circuits=Circuits(failures=2)) as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await until(lambda: notices.number == 2)
            told = notices.after(0)[1]
            assert [(one.kind, one.facts["endpoint"]) for one in told] == [
                (EventKind.BREAKER_OPENED, "a"),
                (EventKind.BREAKER_OPENED, "b"),
            ]
            assert "connection refused" in str(told[0].facts["reason"])
            async with Receiver(port=port):
                stage.clock.advance(2.0)
                await until(lambda: notices.number == 4)
            closed = notices.after(2)[1]
            assert {one.kind for one in closed} == {EventKind.BREAKER_CLOSED}


async def test_a_delivery_that_is_dead_is_told(stage: Stage) -> None:
    notices = stage.metrics.notices
    async with Receiver(reply(500)) as receiver:
        stage.endpoint(receiver.url)
        with notices.followed():
            async with stage.dispatcher(poll=0.005, circuits=Circuits(failures=100)) as dispatcher:
                await stage.finish("r", dispatcher=dispatcher)
                for number, delay in enumerate(SCHEDULE[1:], 1):
                    await stage.settled(number)
                    assert notices.number == 0
                    stage.clock.advance(delay)
                await stage.settled(len(SCHEDULE))
            (notice,) = notices.after(0)[1]
    (report,) = await stage.reports()
    assert (notice.kind, notice.count) == (EventKind.DEAD, 1)
    assert notice.facts == {
        "endpoint": "default",
        "webhook_id": report.webhook_id,
        "resource_id": "r",
        "attempt": len(SCHEDULE),
        "reason": "HTTP 500; no attempts are left",
    }


def test_what_is_alike_is_one_notice_until_it_is_read() -> None:
    notices = Notices(most=3)
    notices.tell(EventKind.DEAD, "a", reason="nobody follows")
    assert (notices.number, notices.after(0)) == (0, (0, []))
    with notices.followed() as hint:
        for reason in ("x", "y"):
            notices.tell(EventKind.DEAD, "a", reason=reason)
        assert hint.is_set()
        missed, (notice,) = notices.after(0)
        assert (missed, notice.count, notice.facts) == (0, 2, {"reason": "y"})
        notices.tell(EventKind.DEAD, "a")
        assert (notice.count, notices.after(1)[1][0].count) == (2, 1)
        for name in "bcde":
            notices.tell(EventKind.FAILED, name)
        missed, there = notices.after(1)
        assert (missed, [one.number for one in there]) == (2, [4, 5, 6])
    assert notices.after(6) == (0, [])


async def test_who_reads_too_slowly_is_told_how_much_he_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_events, "BETWEEN", 0.2)
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        events = await begin(wire, "?kinds=failed,missed")
        notices = listener.metrics.notices
        for number in range(300):
            notices.tell(EventKind.FAILED, str(number))
        assert (await first(events, "missed"))["count"] == 300 - 256
        assert (await first(events, "failed"))["count"] == 1


async def test_only_administrators_are_told_who_did_what(tmp_path: Path) -> None:
    def caller(role: str) -> Any:  # noqa: ANN401 - fields
        return {"authorization": f"Bearer {TOKENS[role]}"}

    async with open_door(tmp_path, tokens=known_tokens) as listener:
        reply = await listener.ask("GET", "/v1/events?kinds=tick,action", **caller("read"))
        assert (reply.status, reply.problem["code"]) == (403, "forbidden")
        async with listener.wire() as reader, listener.wire() as admin:
            told, all_told = await begin(reader, **caller("read")), await begin(admin, **caller("admin"))
            await listener.ask("POST", "/v1/endpoints/default/pause", **caller("admin"))
            listener.metrics.notices.tell(EventKind.FAILED)
            assert (await first(all_told, "action"))["who"] == "admin"
            kinds = {(await anext(told)).kind}
            while "failed" not in kinds:
                kinds.add((await anext(told)).kind)
            assert kinds <= {"tick", "failed"}
        reply = await listener.ask("GET", "/v1/events", **caller("send"))
        assert reply.status == 403


@pytest.mark.parametrize("query", ["?kinds=", "?kinds=tick,x", "?kinds=tick,", "?after=1", "?kinds=tick&kinds=dead"])
async def test_what_cannot_be_asked_is_told(tmp_path: Path, query: str) -> None:
    async with open_door(tmp_path) as listener:
        reply = await listener.ask("GET", f"/v1/events{query}")
        assert (reply.status, reply.problem["code"]) == (422, "malformed")


async def test_p5_streams_are_bounded_and_leave_nothing(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_waits=2)) as listener:
        async with listener.wire() as one, listener.wire() as two:
            await begin(one)
            await begin(two)
            reply = await listener.ask("GET", "/v1/events")
            assert (reply.status, reply.problem["code"]) == (503, "busy")
        await until(lambda: listener.app._load.waits.used == 0)
        assert not listener.metrics.notices._hints


async def test_p5_a_client_that_does_not_read_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = HttpLimits(write_seconds=0.2)
    monkeypatch.setattr(service_events, "TICK", 0.001)
    async with open_door(tmp_path, limits=limits) as listener, listener.wire(unread=1024) as wire:
        await wire.send(request("GET", "/v1/events"))
        await until(lambda: listener.app._load.waits.used == 1)
        for number in range(10_000):
            listener.metrics.notices.tell(EventKind.FAILED, str(number), reason="x" * 10_000)
        await until(lambda: listener.app._load.waits.used == 0, PATIENCE)


async def test_p7_a_stop_ends_the_streams(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        events = await begin(wire)
        listener.intake.drain()
        assert {event.kind async for event in events} <= {"tick"}
        assert (await listener.ask("GET", "/v1/events")).status == 503


async def test_a_silent_stream_is_kept_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_events, "HEARTBEAT", 0.1)
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        await wire.send(request("GET", "/v1/events?kinds=dead"))
        await wire.head()
        reader = EventReader()
        async for chunk in wire.chunks():
            assert not [*reader.feed(chunk)]
            if len(reader.comments) == 3:
                break
    assert reader.comments[0] == "keep-alive"


async def test_head_tells_what_a_stream_would_be(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        await wire.send(request("HEAD", "/v1/events"))
        assert (await wire.head())[1]["content-type"] == "text/event-stream"
        await wire.send(request("GET", "/healthz"))
        assert (await wire.reply()).status == 200
