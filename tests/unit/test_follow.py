"""Following a resource: each outcome once, as it is recorded, whatever becomes of the service meanwhile (R26)."""

from __future__ import annotations

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from collator import Client, Collator, Permanent, SyncClient, Unreachable
from collator.client import poll
from collator.client.outcome_stream import follow_outcomes
from collator.client.replies import OutcomeReply
from collator.errors import CollatorError, Conflict, Unknown
from collator.service import open_service
from collator.settings import from_keywords
from tests.harness.tcp_proxy import TcpProxy
from tests.unit.test_sync_client import serving
from tests.wait import until

pytestmark = pytest.mark.anyio
Page = dict[str, Any]


def packet(index: int, payload: object = "x", *, last: bool = False) -> dict[str, Any]:
    return {"resource_id": "r", "index": index, "payload": payload, "last": last}


def page(*seqs: int, after: int, more: bool = True) -> Page:
    outputs = [{"seq": seq, "index": seq, "output": seq} for seq in seqs]
    return {"outputs": outputs, "after_seq": seqs[-1] if seqs else after, "webhook_id": "msg_a", "more": more}


def events(*seqs: int, end: bool = False) -> bytes:
    told = [
        b'id: %d\nevent: output\ndata: {"seq":%d,"index":%d,\ndata: "output":%d}\n\n' % (seq, seq, seq, seq)
        for seq in seqs
    ]
    return (
        b"retry: 2000\n\n" + b"".join(told) + (b"id: 9.end\nevent: end\ndata: {}\n\n" if end else b": keep-alive\n\n")
    )


Step = Page | Exception | list[bytes | Exception]


class FakeService:
    """Answers each request with the next step of a script: a page, a stream, or an error; a stream may be cut off."""

    def __init__(self, *script: Step) -> None:
        self.script = [*script]
        self.asked: list[tuple[str, str] | None] = []
        self.pieces: list[bytes | Exception] = []
        self.opened = 0

    async def look(self) -> Any:  # noqa: ANN401 - JSON may be anything
        self.asked.append(None)
        return self._next()

    async def stream(self, webhook_id: str, last_event_id: str) -> FakeService:
        self.asked.append((webhook_id, last_event_id))
        self.pieces = [*self._next()]
        self.opened += 1
        return self

    async def read(self) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.opened -= 1

    def _next(self) -> Any:  # noqa: ANN401 - as scripted
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


async def seqs(service: FakeService, *, patience: float | None = 60.0) -> list[int]:
    following = follow_outcomes(service.look, service.stream, patience=patience)
    try:
        return [outcome["seq"] async for outcome in following]
    finally:
        assert service.opened == 0


async def test_a_resource_is_followed_to_its_end() -> None:
    service = FakeService(page(1, 2, after=0), [events(3), events(), events(4, 5, end=True)])
    assert await seqs(service) == [1, 2, 3, 4, 5]
    assert service.asked == [None, ("msg_a", "2")]


async def test_one_that_has_ended_is_one_request() -> None:
    service = FakeService(page(1, 2, after=0, more=False))
    assert await seqs(service) == [1, 2]


async def test_who_is_cut_off_comes_again_behind_what_he_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "LATEST", 0.001)
    service = FakeService(
        Unreachable("away"),
        page(after=0),
        [events(1), Unreachable("cut off")],
        Unreachable("away"),
        [events(2), events(3)[:-40]],
        [events(3, end=True)],
    )
    assert await seqs(service) == [1, 2, 3]
    assert service.asked == [None, None, ("msg_a", "0"), ("msg_a", "1"), ("msg_a", "1"), ("msg_a", "2")]


async def test_a_stream_is_read_wherever_it_is_cut_into_pieces() -> None:
    text = events(1, 2, 3, end=True)
    for size in range(1, 40):
        pieces: list[bytes | Exception] = [text[at : at + size] for at in range(0, len(text), size)]
        assert await seqs(FakeService(page(after=0), pieces)) == [1, 2, 3]


async def test_patience_ends_where_nothing_answers() -> None:
    service = FakeService(page(1, after=0), [events(2)], Unreachable("away"))
    with pytest.raises(Unreachable, match="away"):
        await seqs(service, patience=0)


@pytest.mark.parametrize("error", [Conflict("opened anew"), Unknown("purged")])
async def test_what_the_service_says_of_the_resource_is_raised(error: CollatorError) -> None:
    with pytest.raises(type(error)):
        await seqs(FakeService(error))
    with pytest.raises(type(error)):
        await seqs(FakeService(page(1, after=0), error))


async def test_another_generation_is_a_conflict() -> None:
    reset = b'id: \nevent: reset\ndata: {"resource_id":"r","detail":"opened again"}\n\n'
    with pytest.raises(Conflict, match="opened again"):
        await seqs(FakeService(page(1, after=0), [reset]))


class CuttingProxy(TcpProxy):
    """Cuts each connection off after some bytes of the answers on it."""

    random = Random(1)
    cuts = 0

    def ways(
        self, reader: StreamReader, back: StreamWriter, there: StreamReader, writer: StreamWriter
    ) -> Sequence[Coroutine[Any, Any, None]]:
        return passed_on(reader, back, 1_000_000), passed_on(there, writer, self.random.randrange(600, 3000))


async def passed_on(source: StreamReader, sink: StreamWriter, most: int) -> None:
    while most and (data := await source.read(most)):
        sink.write(data)
        await sink.drain()
        most -= len(data)


async def test_r26_each_outcome_comes_once_whatever_is_cut_off(tmp_path: Path) -> None:
    settings = from_keywords({"data_dir": tmp_path, "webhook": "none", "port": 0})
    async with open_service(settings) as service, Client(service.url) as sender:
        proxy = await CuttingProxy.start(int(service.url.rpartition(":")[2]))
        async with Client(f"http://127.0.0.1:{proxy.port}") as client:
            found = []
            await sender.send([packet(0)])
            async for outcome in client.follow("r"):
                found.append(outcome)
                if len(found) <= 40:
                    await sender.send([packet(len(found), "x" * 100 * (len(found) % 9), last=len(found) == 40)])
        await proxy.stop()
    assert [one["seq"] for one in found] == [*range(1, 42)]
    assert sorted(one["index"] for one in found) == [*range(41)]


async def test_a_follower_that_leaves_early_leaves_no_stream(tmp_path: Path) -> None:
    settings = from_keywords({"data_dir": tmp_path / "s", "webhook": "none", "port": 0, "max_waits": 1})
    async with open_service(settings) as service, Client(service.url) as client:
        ledger: Any = service.ledger
        await client.send([packet(0)])
        for _ in range(3):
            async with aclosing(client.follow("r")) as following:
                assert (await anext(following))["seq"] == 1
                news = asyncio.ensure_future(anext(following))
                await until(lambda: ledger._store.hints._waiting)
                news.cancel()
                await asyncio.wait([news])
            await until(lambda: not ledger._store.hints._waiting)
    async with Collator(tmp_path / "c", processor=str.upper, max_waits=1) as collator:
        await collator.send([packet(0)])
        app = collator._connection._app  # type: ignore[attr-defined]
        for _ in range(3):
            async with aclosing(collator.follow("r")) as following:
                assert (await anext(following))["seq"] == 1
                news = asyncio.ensure_future(anext(following))
                await until(lambda: app._load.waits.used == 1)
                news.cancel()
                await asyncio.wait([news])
            await until(lambda: app._load.waits.used == 0)


async def test_outcomes_are_followed_as_they_come_in_any_order(tmp_path: Path) -> None:
    slow = asyncio.Event()

    async def process(payload: str) -> str:
        if payload == "slow":
            await asyncio.to_thread(finish.wait)
        if payload == "bad":
            raise Permanent("no such word")
        return payload

    finish = threading.Event()
    async with Collator(tmp_path, processor=process) as collator:
        found: list[OutcomeReply] = []

        async def follow() -> None:
            async for outcome in collator.follow("r"):
                found.append(outcome)
                slow.set()

        await collator.send([packet(0, "slow")])
        following = asyncio.create_task(follow())
        await collator.send([packet(2)])
        await slow.wait()
        await collator.send([packet(1, "bad")])
        await until(lambda: len(found) == 2)
        finish.set()
        await collator.complete("r", total=3)
        await asyncio.wait_for(following, 10)
        assert [(one["seq"], one["index"]) for one in found] == [(1, 2), (2, 1), (3, 0)]
        assert found[1] == {"seq": 2, "index": 1, "failed": {"reason": "no such word", "attempts": 1}}
        assert [one["seq"] async for one in collator.follow("r", after_seq=2)] == [3]


async def test_r10_what_has_no_packets_is_followed_to_its_end(tmp_path: Path) -> None:
    async with Collator(tmp_path, processor=str.upper) as collator:
        with pytest.raises(Unknown):
            await anext(collator.follow("r"))
        assert (await collator.complete("r", total=0))["state"] == "collated"
        assert [one async for one in collator.follow("r")] == []
        assert (await collator.result("r"))["outputs"] == []


async def test_p7_a_follower_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    settings = from_keywords({"data_dir": tmp_path, "webhook": "none", "port": 0, "drain_timeout": 60})
    async with open_service(settings) as service, Client(service.url, patience=0) as client:
        ledger: Any = service.ledger
        await client.send([packet(0)])
        follower = client.follow("r")
        assert (await anext(follower))["index"] == 0
        waits = asyncio.ensure_future(anext(follower))
        await until(lambda: ledger._store.hints._waiting)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 10
    with pytest.raises((Unreachable, CollatorError)):
        await waits


def test_programs_without_an_event_loop_follow_too(tmp_path: Path) -> None:
    with serving(tmp_path) as url, SyncClient(url) as client:
        client.send([packet(0), packet(1)])
        follower = client.follow("r")
        first = next(follower)
        client.send([packet(2, last=True)])
        found = [first, *follower]
        assert [one["seq"] for one in found] == [1, 2, 3]
        assert sorted(one["index"] for one in found) == [0, 1, 2]
        for outcome in client.follow("r"):  # one that is left early
            assert outcome["seq"] == 1
            break
        assert client.status()["ready"]
        with pytest.raises(Unknown):
            next(client.follow("nobody"))
