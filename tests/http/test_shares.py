"""One takes all: whatever a greedy caller holds, another is served, and who looks after the service gets in (P5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from collator.tokens import Role, generate_token, line_for, parse_tokens
from collator.web.connections import KEPT
from collator.web.guard import Guard
from collator.web.limits import HttpLimits
from tests.http.listener import Harness, Reply, Wire, chunk, connect, ndjson, open_door, packet, request, stream_head
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

TOKENS = {name: generate_token() for name in ("greedy", "honest", "admin")}
ROLES = {"admin": [Role.ADMIN]}
LIMITS = HttpLimits(max_connections=60, max_requests=40, max_streams=20, max_waits=20)


def known() -> str:
    """The file of the tokens."""
    return "\n".join(
        line_for(token, roles=ROLES.get(name, [Role.SEND, Role.READ]), name=name) for name, token in TOKENS.items()
    )


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    tokens = parse_tokens(known())
    async with open_door(tmp_path, limits=LIMITS, tokens=lambda: tokens) as listener:
        yield listener


def by(name: str) -> dict[str, Any]:
    """The field that says who asks."""
    return {"authorization": f"Bearer {TOKENS[name]}"}


def body(index: int = 0) -> bytes:
    return json.dumps(packet(index, "honest")).encode()


def asked(method: str, path: str, **fields: Any) -> bytes:  # noqa: ANN401 - whatever `request` takes
    """A request of the greedy one."""
    return request(method, path, **by("greedy"), **fields)


class Greedy:
    """A client that opens as many connections as it gets, and does the same on each."""

    def __init__(self, listener: Harness, stack: AsyncExitStack) -> None:
        self.listener = listener
        self.stack = stack
        self.wires: list[Wire] = []

    async def open(self, number: int, data: bytes = b"") -> None:
        for _ in range(number):
            wire = await connect(self.listener.port)
            self.stack.push_async_callback(wire.aclose)
            self.wires.append(wire)
            if data:
                await wire.send(data)


async def silent(greedy: Greedy) -> None:
    """Connections that never say a word."""
    await greedy.open(100)


async def half_heads(greedy: Greedy) -> None:
    """Heads that do not end."""
    await greedy.open(100, b"GET /healthz HTTP/1.1\r\nhost: ")


async def idle(greedy: Greedy) -> None:
    """Connections that have asked for something, and are kept."""
    for _ in range(100):
        await greedy.open(1, request("GET", "/healthz"))
        await greedy.wires[-1].reply()


async def slow_bodies(greedy: Greedy) -> None:
    """Bodies that hardly come."""
    await greedy.open(
        100, request("POST", "/v1/packets", content_length="9", content_type="application/json", **GREEDY)
    )


async def streams(greedy: Greedy) -> None:
    """Streams that stay open."""
    await greedy.open(100, stream_head(**GREEDY) + chunk(ndjson(packet(0, "greedy"))))


async def waits(greedy: Greedy) -> None:
    """Requests that wait for what never comes."""
    await greedy.listener.post(packet(0, "greedy"), **GREEDY)
    await greedy.open(100, asked("GET", "/v1/resources/greedy/outputs?after_seq=0&wait=60"))


async def everything(greedy: Greedy) -> None:
    """All of these."""
    for some in (streams, waits, slow_bodies, silent):
        await some(greedy)


GREEDY = by("greedy")
every = pytest.mark.parametrize("take", [silent, half_heads, idle, slow_bodies, streams, waits, everything])


@every
async def test_another_is_served_beside_a_greedy_one(
    listener: Harness, take: Callable[[Greedy], Awaitable[None]]
) -> None:
    async with AsyncExitStack() as stack:
        await take(Greedy(listener, stack))
        assert (await listener.ask("GET", "/healthz")).status == 200
        async with listener.wire() as first, listener.wire() as second:  # at the same time
            await first.send(request("POST", "/v1/packets", body(), **by("honest")))
            assert (await first.reply()).status == 202
            await second.send(stream_head(**by("honest")) + chunk(ndjson(packet(1, "honest"))))
            await first.send(request("GET", "/v1/resources/honest/outputs?after_seq=0&wait=0.01", **by("honest")))
            assert (await first.reply()).status == 200
            await second.send(chunk(b""))
            assert (await second.reply()).json["accepted"] == 1
        assert (await listener.ask("GET", "/metrics", **by("admin"))).status == 200


@pytest.mark.parametrize(
    ("take", "setting", "most"), [(slow_bodies, "requests", 40), (streams, "streams", 20), (waits, "waits", 20)]
)
async def test_the_greedy_one_is_told_whose_share_is_exhausted_and_when_to_come_again(
    listener: Harness, take: Callable[[Greedy], Awaitable[None]], setting: str, most: int
) -> None:
    async with AsyncExitStack() as stack:
        greedy = Greedy(listener, stack)
        await take(greedy)
        shared = getattr(listener.app._load, setting)
        reply = await greedy.wires[-1].reply()
    assert (reply.status, reply.problem["code"]) == (503, "busy")
    assert int(reply.headers["retry-after"]) >= 1
    assert f"'greedy' has used its share, {most * 8 // 9 + 1} of {most} (max_{setting})" in reply.problem["detail"]
    await until(lambda: shared.used == 0)


async def test_without_tokens_an_address_has_a_share(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=LIMITS) as listener, AsyncExitStack() as stack:
        greedy = Greedy(listener, stack)
        await greedy.open(100, stream_head() + chunk(ndjson(packet())))
        reply = await greedy.wires[-1].reply()
        assert "'127.0.0.1' has used its share, 18 of 20 (max_streams)" in reply.problem["detail"]
        wire = Wire(*await asyncio.open_connection("127.0.0.1", listener.port, local_addr=("127.0.0.2", 0)))
        stack.push_async_callback(wire.aclose)
        await wire.send(stream_head() + chunk(ndjson(packet(1))) + chunk(b""))
        assert (await wire.reply()).json["accepted"] == 1


async def full(listener: Harness, stack: AsyncExitStack) -> list[Wire]:
    """Let every connection have a request under way."""
    listener.ledger.open.clear()
    wires = [await stack.enter_async_context(listener.wire()) for _ in range(listener.app._load._connections.most)]
    for wire in wires:
        await wire.send(request("POST", "/v1/packets", body(), **GREEDY))
    await until(lambda: sum(listener.ledger.calls) == len(wires))
    return wires


async def test_places_are_kept_for_who_looks_after_the_service(tmp_path: Path) -> None:
    tokens = parse_tokens(known())
    limits = HttpLimits(max_connections=4, linger_seconds=0.1)
    async with open_door(tmp_path, limits=limits, tokens=lambda: tokens) as listener, AsyncExitStack() as stack:
        wires = await full(listener, stack)
        for path, name, status in (
            ("/healthz", None, 200),
            ("/readyz", None, 200),
            ("/metrics", "admin", 200),
            ("/v1/status", "admin", 200),
            ("/metrics", "honest", 503),
            ("/metrics", None, 401),
        ):
            reply = await listener.ask("GET", path, **(by(name) if name else {}))
            assert (reply.status, reply.headers["connection"]) == (status, "close")
        reply = await listener.post(packet(7), **by("honest"))
        assert (reply.problem["code"], reply.headers["retry-after"]) == ("busy", "1")
        silent = [await stack.enter_async_context(listener.wire()) for _ in range(3 * KEPT)]
        await until(lambda: listener.server.connections == len(wires) + KEPT)
        assert (await listener.ask("GET", "/healthz")).status == 200
        assert await silent[0].end() == b""
        listener.ledger.open.set()
        assert {(await wire.reply()).status for wire in wires} == {200, 202}
        assert (await listener.post(packet(7), **by("honest"))).status == 202


async def test_beyond_the_places_that_are_kept_connections_are_refused(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_connections=2)) as listener, AsyncExitStack() as stack:
        await full(listener, stack)
        for _ in range(KEPT):
            wire = await stack.enter_async_context(listener.wire())
            await wire.send(request("POST", "/v1/packets", content_length="9", content_type="application/json"))
            reply: Reply = await wire.reply()
            assert reply.status == 503
        assert (await listener.ask("GET", "/healthz")).status == 200
        listener.ledger.open.set()


# Memory: what counts, and until when.

MIB = 1024 * 1024
BIG = b'"%s"' % (b"x" * 900_000)


def put(index: int, name: str = "greedy") -> bytes:
    """One large payload."""
    return request("PUT", f"/v1/resources/{name}/packets/{index}", BIG, **by(name))


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Harness]:
    """A listener with little memory."""
    tokens = parse_tokens(known())
    limits = HttpLimits(max_buffered=6 * MIB, max_queued=MIB, body_seconds=0.3)
    async with open_door(tmp_path, limits=limits, tokens=lambda: tokens) as listener:
        yield listener
        listener.ledger.open.set()
    assert (listener.app._buffer_memory.used, listener.app._buffer_memory._held) == (0, {})


async def test_p5_a_body_counts_until_it_is_answered(small: Harness) -> None:
    small.ledger.open.clear()
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(small.wire()) for _ in range(4)]
        for index, wire in enumerate(wires):
            await wire.send(put(index))
        await until(lambda: sum(small.ledger.calls) == len(wires))
        assert small.app._buffer_memory.used == len(wires) * len(BIG)
        reply = await small.ask("PUT", "/v1/resources/greedy/packets/9", BIG, **by("greedy"))
        assert (reply.status, reply.problem["code"], reply.headers["retry-after"]) == (503, "busy", "1")
        assert "'greedy' has used its share" in reply.problem["detail"]
        assert "of 6291456 (max_buffered)" in reply.problem["detail"]
        async with small.wire() as honest:
            await honest.send(put(0, "honest"))
            await until(lambda: sum(small.ledger.calls) == len(wires) + 1)
            small.ledger.open.set()
            assert (await honest.reply()).status == 202
        assert {(await wire.reply()).status for wire in wires} == {202}
        assert small.app._buffer_memory.used == 0


async def test_p5_an_array_counts_decoded_until_it_is_answered(small: Harness) -> None:
    small.ledger.open.clear()
    body = json.dumps([packet(index, "greedy") for index in range(1000)]).encode()
    async with small.wire() as wire:
        await wire.send(request("POST", "/v1/packets", body, **by("greedy")))
        await until(lambda: small.ledger.calls)
        assert small.app._buffer_memory.used >= len(body) + 1000 * 200
        small.ledger.open.set()
        assert (await wire.reply()).status == 202
        assert small.app._buffer_memory.used == 0


async def test_p5_groups_of_streams_count_until_they_are_stored(small: Harness) -> None:
    """Each may have one on its way, and none more where there is no room: it waits, and goes on."""
    small.ledger.open.clear()
    streams, lines = 8, ndjson(*(packet(index, "greedy") for index in range(8_000)))
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(small.wire()) for _ in range(streams)]
        for wire in wires:
            wire.write(stream_head(**by("greedy")) + chunk(lines) + chunk(b""))
        await until(lambda: len(small.ledger.calls) >= streams)
        seen = [small.app._buffer_memory.used]
        take = small.app._buffer_memory.take

        def watched(who: str, number: int = 1) -> None:
            take(who, number)
            seen.append(small.app._buffer_memory.used)

        small.app._buffer_memory.take = watched  # type: ignore[method-assign]
        small.ledger.open.set()
        assert [(await wire.reply()).json["decided_lines"] for wire in wires] == [8_000] * streams
        group = 64 * 1024 + 1_300 * 200
        assert max(seen) < 6 * MIB + streams * (group + 320_000)


async def test_p5_long_lines_wait_for_room_and_end_their_stream_where_there_is_none(small: Harness) -> None:
    line = b'{"resource_id":"greedy","index":0,"payload":"' + b"x" * 900_000
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(small.wire()) for _ in range(12)]
        for wire in wires:
            wire.write(stream_head(**by("greedy")) + chunk(line))
        reply = await wires[0].reply()
        assert (reply.status, reply.problem["code"], reply.headers["retry-after"]) == (503, "busy", "1")
        assert "'greedy' has used its share" in reply.problem["detail"]
        assert reply.json["decided_lines"] == 0
        assert (await small.stream(packet(0, "honest"))).status == 401
        assert small.app._buffer_memory.used < 7 * MIB


async def test_p5_requests_behind_others_are_bounded_together(small: Harness) -> None:
    small.ledger.open.clear()
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(small.wire()) for _ in range(12)]
        behind = request("PUT", "/v1/resources/greedy/packets/1", b'"%s"' % (b"x" * 150_000), **by("greedy"))
        for wire in wires:
            await wire.send(request("POST", "/v1/packets", body(), **by("greedy")) + behind)
        await until(lambda: sum(small.ledger.calls) == len(wires))
        queued = {one.places for one in small.server.state.connections if isinstance(one, Guard)}.pop().queued
        await until(lambda: queued.used > MIB // 2)
        assert queued.used < 2 * MIB
        small.ledger.open.set()
        for wire in wires:
            assert (await wire.reply()).status in {200, 202}
    await until(lambda: not small.server.connections)
    assert queued.used == 0


async def test_p5_receipts_and_answers_count_until_they_are_read(small: Harness) -> None:
    lines = ndjson(*(packet(index, "r" * 200) for index in range(20_000)))
    async with small.wire(unread=64 * 1024) as wire:
        wire.write(stream_head("?receipts=all", **by("greedy")) + chunk(lines) + chunk(b""))
        await until(lambda: small.app._buffer_memory.used > 300_000, timeout=20.0)
        assert (await wire.head())[0] == 200
        said = [line async for line in wire.lines()]
        assert said[-1]["done"]
    await until(lambda: small.app._buffer_memory.used == 0)
