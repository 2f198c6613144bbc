"""Clients that mean no good, beside one that does: floods, endless messages, sockets that say or read nothing (P5)."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from websockets.frames import Opcode

from collator.web.guard import Guard
from collator.web.limits import KIB, HttpLimits
from tests.harness.event_stream import Event, events_of
from tests.http.followers import record
from tests.http.listener import Harness, open_door, packet, request
from tests.http.sockets import frame, handshake, offered, socket
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
async def test_a_flood_of_small_frames_keeps_nobody_waiting(tmp_path: Path, name: str) -> None:
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
