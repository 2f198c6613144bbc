"""Clients that mean no good, beside one that does: floods, endless messages, sockets that say or read nothing (P5)."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Opcode

from collator.web import app
from collator.web.guard import Guard
from collator.web.limits import KIB, HttpLimits
from tests.harness.event_stream import Event, events_of
from tests.http.followers import record
from tests.http.listener import Harness, Wire, open_door, packet, request
from tests.http.sockets import frame, handshake, offered, read_close, read_frame, socket
from tests.http.test_cost import LONGEST, NOISE, slowness, watch
from tests.wait import until

START = frame({"type": "start", "resource_id": "r"})
END = frame({"type": "start", "resource_id": "the-end"})
FLOODS: Mapping[str, tuple[bytes, bytes, bytes]] = {
    "pings": (b"", frame(b"", Opcode.PING), b""),
    "fragments": (frame(b"{", fin=False), frame(b"", Opcode.CONT, fin=False), frame(b"}", Opcode.CONT)),
    "messages": (b"", frame(b"{}"), b""),
    "packets": (START, frame(b"1", Opcode.BINARY), b""),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_of_small_frames_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whether or not pauses limit it."""
    monkeypatch.setattr(app, "OVERHEAD_PAUSE", 0.0)
    begin, small, end = FLOODS[name]
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        await offered(wire)
        slow, watching = slowness(), asyncio.create_task(watch())
        await wire.send(begin + small * (32 * KIB // len(small)) + end + END)
        heard = b""
        while b"the-end" not in heard:
            piece = await wire.reader.read(64 * KIB)
            assert piece
            heard = heard[-100:] + piece
        watching.cancel()
        assert await watching <= LONGEST * NOISE * max(slow, slowness())


async def test_messages_of_one_who_has_gone_keep_nobody_waiting(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener:
        slow, watching = slowness(), asyncio.create_task(watch())
        async with listener.wire() as wire:
            await offered(wire)
            await wire.send(frame(b"{}") * (64 * KIB // 8))
        await until(lambda: (listener.app._load.streams.used, listener.server.connections) == (0, 0))
        watching.cancel()
        assert await watching <= LONGEST * NOISE * max(slow, slowness())


class Gate:
    """Turns for overhead, each of which the test grants."""

    def __init__(self, listener: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
        self.turns = 0
        """Those that were asked for."""
        self._granted = asyncio.Semaphore(0)
        monkeypatch.setattr(listener.app._overhead_turns, "turn", self._turn)

    async def _turn(self, _who: str) -> None:
        self.turns += 1
        await self._granted.acquire()

    async def grant(self, turns: int) -> None:
        """Let *turns* run, and wait until one more is asked for; the first one has to be asked for already, or soon."""
        await until(lambda: self.turns)
        asked = self.turns + turns
        for _ in range(turns):
            self._granted.release()
        await until(lambda: self.turns == asked)

    def open(self) -> None:
        """Let all run."""
        for _ in range(10_000):
            self._granted.release()


def numbered(number: int) -> bytes:
    return frame({"type": "start", "resource_id": f"r{number}"})


async def answers(wire: Wire, number: int) -> list[dict[str, Any]]:
    """The next messages of the service; pongs are left out."""
    heard: list[dict[str, Any]] = []
    while len(heard) < number:
        opcode, data = await read_frame(wire)
        heard += [json.loads(data)] if opcode is Opcode.TEXT else []
    return heard


@pytest.mark.parametrize("name", ["pings", "fragments"])
async def test_frames_without_a_message_are_read_by_the_turn_and_messages_among_them_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """160 such frames a turn, and those of the KiB in which they came; a `start` stands behind each 1,000."""
    begin, small, end = FLOODS[name]
    flood = b"".join(begin + small * 999 + end + numbered(number) for number in range(30))
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        gate = Gate(listener, monkeypatch)
        await offered(wire)
        await wire.send(numbered(100) + flood)
        await gate.grant(12)  # 13 times 170 frames were read
        assert listener.app._buffer_memory.used > 100 * KIB
        async with socket(listener.port) as honest:
            await honest.start()
            await honest.binary(b"x")
            await honest.stored(0)
        begun: list[str] = []
        while begun != ["r100", "r0", "r1"]:
            begun += [message["resource_id"] for message in await answers(wire, 1) if message["type"] == "begin"]
        assert [message async for message in there(wire)] == []
        gate.open()


async def there(wire: Wire) -> AsyncIterator[dict[str, Any]]:
    """The messages that have come already."""
    buffer = wire.reader._buffer  # type: ignore[attr-defined]  # nothing else tells whether a read would wait
    while buffer:
        opcode, data = await read_frame(wire)
        if opcode is Opcode.TEXT:
            yield json.loads(data)


async def test_wrong_messages_are_answered_by_the_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        gate = Gate(listener, monkeypatch)
        await offered(wire)
        await wire.send(frame(b"{}") * 100 + START)
        await gate.grant(2)
        async with socket(listener.port) as honest:
            await honest.start()
        assert {message["type"] for message in await answers(wire, 30)} == {"error"}
        assert [message async for message in there(wire)] == []
        await gate.grant(7)
        gate.open()
        assert [message["type"] for message in await answers(wire, 71)][-2:] == ["error", "begin"]


@pytest.mark.parametrize("name", ["pings", "messages"])
async def test_a_flood_that_waits_ends_with_its_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async with open_door(tmp_path) as listener:
        gate = Gate(listener, monkeypatch)
        async with listener.wire() as wire:
            await offered(wire)
            await wire.send(FLOODS[name][1] * 5_000)
            await until(lambda: gate.turns == 1)
        gate.open()
        await until(lambda: (listener.app._load.streams.used, listener.server.connections) == (0, 0))
        assert listener.app._buffer_memory.used == 0


@pytest.mark.parametrize("name", ["pings", "messages"])
async def test_a_flood_that_waits_ends_with_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        gate = Gate(listener, monkeypatch)
        await offered(wire)
        await wire.send(FLOODS[name][1] * 5_000)
        await until(lambda: gate.turns == 1)
        listener.intake.drain()
        gate._granted.release()
        assert (await read_close(wire))[0] == 1013
        await until(lambda: listener.app._buffer_memory.used == 0)


async def test_who_is_not_read_from_is_not_taken_for_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_door(tmp_path, limits=HttpLimits(ping_seconds=0.05)) as listener, listener.wire() as wire:
        gate = Gate(listener, monkeypatch)
        await offered(wire)
        await wire.send(frame(b"", Opcode.PONG) * 5_000 + START)
        await until(lambda: gate.turns == 1)
        async with listener.wire() as silent:
            await offered(silent)
            await silent.end()  # it was pinged, and given up
        gate.open()
        opcode, data = await read_frame(wire)
        assert (opcode, json.loads(data)["type"]) == (Opcode.TEXT, "begin")


async def test_a_message_of_endless_fragments_ends_the_stream(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        await offered(wire)
        fragment = frame(b"x" * KIB, Opcode.CONT, fin=False)
        wire.write(START + frame(b"{", fin=False) + fragment * 5_000)
        assert (1009).to_bytes(2) in await wire.end()
        assert listener.app._buffer_memory.used == 0


async def test_hundreds_of_silent_sockets_hold_up_nobody_and_leave_nothing_behind(tmp_path: Path) -> None:
    limits = HttpLimits(max_streams=120, max_waits=120)
    async with open_door(tmp_path, limits=limits) as listener:
        load = listener.app._load
        async with AsyncExitStack() as silent:
            for number in range(60):
                plain, follower, sender = [await silent.enter_async_context(listener.wire()) for _ in range(3)]
                await follower.send(request("GET", f"/v1/resources/silent-{number}/events", None))
                await sender.send(handshake())
                await plain.send(b"POST")
            await until(lambda: (load.waits.used, load.streams.used, listener.server.connections) == (60, 60, 180))
            async with following(listener) as events, socket(listener.port) as honest:
                await honest.start()
                await honest.binary(b"x")
                await honest.stored(0)
                await record(listener, 0)
                assert (await anext(events)).data["index"] == 0
            assert listener.app._buffer_memory.used == 0
        await until(lambda: (load.waits.used, load.streams.used, listener.server.connections) == (0, 0, 0))


async def test_readers_that_never_read_are_closed_and_hold_up_nobody(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(write_seconds=0.5)) as listener, following(listener) as events:
        with ExitStack() as deaf:
            for _ in range(10):
                one = deaf.enter_context(sockets.socket())
                one.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
                one.connect(("127.0.0.1", listener.port))
                one.sendall(request("GET", "/v1/resources/r/events", None))
            await until(lambda: listener.app._load.waits.used == 11)
            for index in range(20):
                await listener.post(packet(index, payload="x" * 100_000))
            await record(listener, *range(20))
            most = 0
            for index in range(20):
                assert (await anext(events)).data["index"] == index
                most = max(most, *map(unsent, listener.server.state.connections))
            await until(lambda: listener.app._load.waits.used == 1)
            assert most < 400 * KIB  # two pages, and what the system takes at once


@asynccontextmanager
async def following(listener: Harness) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of `r`, for one who reads them."""
    async with listener.wire() as wire:
        await wire.send(request("GET", "/v1/resources/r/events", None))
        await wire.head()
        yield events_of(wire.chunks())


def unsent(connection: object) -> int:
    """Bytes that wait for a client to take them."""
    assert isinstance(connection, Guard)
    return connection.transport._transport.get_write_buffer_size()
