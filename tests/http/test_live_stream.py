"""`Client.stream`: the packets of a live source over WebSocket, once each, whatever cuts it off (R5)."""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Any

import anyio.to_thread
import pytest

from collator.client import Client, Rejected, SyncClient, Unreachable, live_stream
from collator.errors import CollatorError, Denied, Malformed
from collator.tokens import Role, generate_token, line_for
from tests.harness.tcp_proxy import TcpProxy
from tests.http.service import Running, running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(live_stream, "LONGEST_PAUSE", 0.01)


class CuttingProxy(TcpProxy):
    """Cuts each connection off after some bytes, in either direction, the head of the request among them."""

    random = Random(7)
    cuts = 0
    cutting = True

    def ways(
        self, reader: StreamReader, back: StreamWriter, there: StreamReader, writer: StreamWriter
    ) -> Sequence[Coroutine[Any, Any, None]]:
        self.cuts += 1
        most = self.random.randrange(300, 3000) if self.cutting else 1 << 30
        return [passed_on(reader, back, most), passed_on(there, writer, most)]


async def passed_on(source: StreamReader, sink: StreamWriter, most: int) -> None:
    while most and (data := await source.read(most)):
        sink.write(data)
        await sink.drain()
        most -= len(data)


def url_through(proxy: TcpProxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"


def port_of(it: Running) -> int:
    return int(it.service.url.rpartition(":")[2])


async def sent(client: Client, *packets: tuple[object, int]) -> None:
    """Send payloads under their indexes, of `r`, and wait until all are decided."""
    async with client.stream("r") as stream:
        for payload, index in packets:
            await stream.send(payload, index=index)


async def test_packets_go_in_as_they_come_and_the_resource_is_ended(tmp_path: Path) -> None:
    async with running(tmp_path) as it, Client(it.service.url) as client:
        async with client.stream("r", metadata={"of": "a call"}) as stream:
            assert [await stream.send(payload) for payload in ("one", b"\xff", None)] == [0, 1, 2]
            tally = await stream.flush()
            assert (tally.sent, tally.acknowledged, stream.through, [*tally.resources]) == (3, 3, 2, ["r"])
            await stream.send({"n": 4}, index=4)
            assert (await stream.flush()).acknowledged == 4
            assert (stream.through, stream.next_index) == (2, 5)
            with pytest.raises(Malformed, match="payload: not JSON"):
                await stream.send(object())
        async with client.stream("r") as stream:  # another program goes on at the gap
            assert (stream.next_index, await stream.send("three")) == (3, 3)
            await stream.stop(total=5)
            with pytest.raises(CollatorError, match="has ended: open another"):
                await stream.send("too late")
        (webhook,) = await it.webhooks(1)
        assert webhook["data"]["outputs"] == ["one", "/w==", None, "three", {"n": 4}]
        assert webhook["data"]["metadata"] == {"of": "a call"}


async def test_r5_each_packet_is_there_once_wherever_a_connection_is_cut(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        proxy = await CuttingProxy.start(port_of(it))
        async with Client(url_through(proxy)) as client, client.stream("r") as stream:
            payloads = ["x" * (37 * index % 101) for index in range(150)]
            for payload in payloads:
                await stream.send(payload)
            tally = await stream.stop()
        await proxy.stop()
        (webhook,) = await it.webhooks(1)
        assert webhook["data"]["outputs"] == payloads
        assert (tally.sent, tally.acknowledged, tally.rejected) == (150, 150, [])
        assert proxy.cuts > 5


async def test_what_is_never_taken_is_told_at_the_end_and_all_else_is_stored(tmp_path: Path) -> None:
    async with running(tmp_path, max_payload=100) as it, Client(it.service.url) as client:
        with pytest.raises(Rejected, match="2 packets rejected, 2 acknowledged") as error:
            await sent(client, ("one", 0), ("x" * 200, 1), ("two", 0), ("three", 2))
        rejected = error.value.tally.rejected
        assert [one.number for one in rejected] == [2, 1]  # of two for one index, which is the wrong one is not told
        assert "max_payload" in rejected[0].reason
        assert (await it.resource())["received"] == 2


async def test_send_waits_while_too_much_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "CREDIT", 3)
    async with running(tmp_path) as it, Client(it.service.url) as client:
        most = 0
        async with client.stream("r") as stream:
            for index in range(20):
                await stream.send(index)
                most = max(most, len(stream._kept))
        assert most == 3
        assert (await it.resource())["received"] == 20


async def test_a_refusal_is_told_in_the_words_of_the_service(tmp_path: Path) -> None:
    token = generate_token()
    (tmp_path / "tokens").write_text(line_for(token, roles={Role.READ}, name="reader") + "\n")
    async with (
        running(tmp_path / "data", tokens_file=tmp_path / "tokens") as it,
        Client(it.service.url, token=token) as client,
    ):
        with pytest.raises(Denied, match="HTTP 403: "):
            async with client.stream("r"):
                pass
    with pytest.raises(CollatorError, match="Client is not open"):
        async with client.stream("r"):
            pass


async def test_it_gives_up_after_its_patience(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        proxy = await CuttingProxy.start(port_of(it))
        proxy.cutting = False
        async with Client(url_through(proxy), patience=0.05) as client:
            stream = await client.stream("r").__aenter__()
            await stream.send("one")
            await stream.flush()
            await proxy.stop()
            await stream.send("two")
            with pytest.raises(Unreachable, match="connection refused"):
                await stream.flush()
            with pytest.raises(Unreachable, match="connection refused"):
                await stream.send("three")
            with pytest.raises(Unreachable, match="connection refused"):
                await stream.__aexit__(None, None, None)
        assert (await it.resource())["received"] == 1


def threads(url: str) -> tuple[int, int]:
    with SyncClient(url) as client, client.stream("r") as stream:
        for word in ("one", "two"):
            stream.send(word)
        assert stream.flush().acknowledged == stream.next_index == stream.through + 1
        stream.stop()
        return stream.tally.sent, client.resource("r")["received"]


async def test_without_an_event_loop_it_is_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        assert await anyio.to_thread.run_sync(threads, it.service.url) == (2, 2)
        await it.webhooks(1)
