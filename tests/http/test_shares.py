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
from collator.web.limits import Limits
from tests.http.door import Harness, Reply, Wire, chunk, connect, ndjson, open_door, packet, request, stream_head
from tests.waiting import until

TOKENS = {name: generate_token() for name in ("greedy", "honest", "admin")}
ROLES = {"admin": [Role.ADMIN]}
LIMITS = Limits(max_connections=60, max_requests=40, max_streams=20, max_waits=20)


def known() -> str:
    """The file of the tokens."""
    return "\n".join(
        line_for(token, roles=ROLES.get(name, [Role.SEND, Role.READ]), name=name) for name, token in TOKENS.items()
    )


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Harness]:
    tokens = parse_tokens(known())
    async with open_door(tmp_path, limits=LIMITS, tokens=lambda: tokens) as door:
        yield door


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

    def __init__(self, door: Harness, stack: AsyncExitStack) -> None:
        self.door = door
        self.stack = stack
        self.wires: list[Wire] = []

    async def open(self, number: int, data: bytes = b"") -> None:
        for _ in range(number):
            wire = await connect(self.door.port)
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
    await greedy.door.post(packet(0, "greedy"), **GREEDY)
    await greedy.open(100, asked("GET", "/v1/resources/greedy/outputs?after_seq=0&wait=60"))


async def everything(greedy: Greedy) -> None:
    """All of these."""
    for some in (streams, waits, slow_bodies, silent):
        await some(greedy)


GREEDY = by("greedy")
every = pytest.mark.parametrize("take", [silent, half_heads, idle, slow_bodies, streams, waits, everything])


@every
async def test_another_is_served_beside_a_greedy_one(door: Harness, take: Callable[[Greedy], Awaitable[None]]) -> None:
    async with AsyncExitStack() as stack:
        await take(Greedy(door, stack))
        assert (await door.ask("GET", "/healthz")).status == 200
        async with door.wire() as first, door.wire() as second:  # at the same time
            await first.send(request("POST", "/v1/packets", body(), **by("honest")))
            assert (await first.reply()).status == 202
            await second.send(stream_head(**by("honest")) + chunk(ndjson(packet(1, "honest"))))
            await first.send(request("GET", "/v1/resources/honest/outputs?after_seq=0&wait=0.01", **by("honest")))
            assert (await first.reply()).status == 200
            await second.send(chunk(b""))
            assert (await second.reply()).json["accepted"] == 1
        assert (await door.ask("GET", "/metrics", **by("admin"))).status == 200


@pytest.mark.parametrize(
    ("take", "setting", "most"), [(slow_bodies, "requests", 40), (streams, "streams", 20), (waits, "waits", 20)]
)
async def test_the_greedy_one_is_told_whose_share_is_exhausted_and_when_to_come_again(
    door: Harness, take: Callable[[Greedy], Awaitable[None]], setting: str, most: int
) -> None:
    async with AsyncExitStack() as stack:
        greedy = Greedy(door, stack)
        await take(greedy)
        shared = getattr(door.face._load, setting)
        reply = await greedy.wires[-1].reply()
    assert (reply.status, reply.problem["code"]) == (503, "busy")
    assert int(reply.headers["retry-after"]) >= 1
    assert f"'greedy' has its share, {most * 8 // 9 + 1} of {most} (max_{setting})" in reply.problem["detail"]
    await until(lambda: shared.used == 0)


async def test_without_tokens_an_address_has_a_share(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=LIMITS) as door, AsyncExitStack() as stack:
        greedy = Greedy(door, stack)
        await greedy.open(100, stream_head() + chunk(ndjson(packet())))
        reply = await greedy.wires[-1].reply()
        assert "'127.0.0.1' has its share, 18 of 20 (max_streams)" in reply.problem["detail"]
        wire = Wire(*await asyncio.open_connection("127.0.0.1", door.port, local_addr=("127.0.0.2", 0)))
        stack.push_async_callback(wire.aclose)
        await wire.send(stream_head() + chunk(ndjson(packet(1))) + chunk(b""))
        assert (await wire.reply()).json["accepted"] == 1


async def full(door: Harness, stack: AsyncExitStack) -> list[Wire]:
    """Let every connection have a request under way."""
    door.ledger.open.clear()
    wires = [await stack.enter_async_context(door.wire()) for _ in range(door.face._load._connections.most)]
    for wire in wires:
        await wire.send(request("POST", "/v1/packets", body(), **GREEDY))
    await until(lambda: len(door.ledger.calls) == len(wires))
    return wires


async def test_places_are_kept_for_who_looks_after_the_service(tmp_path: Path) -> None:
    tokens = parse_tokens(known())
    limits = Limits(max_connections=4, linger_seconds=0.1)
    async with open_door(tmp_path, limits=limits, tokens=lambda: tokens) as door, AsyncExitStack() as stack:
        wires = await full(door, stack)
        for path, name, status in (
            ("/healthz", None, 200),
            ("/readyz", None, 200),
            ("/metrics", "admin", 200),
            ("/v1/status", "admin", 200),
            ("/metrics", "honest", 503),
            ("/metrics", None, 401),
        ):
            reply = await door.ask("GET", path, **(by(name) if name else {}))
            assert (reply.status, reply.headers["connection"]) == (status, "close")
        reply = await door.post(packet(7), **by("honest"))
        assert (reply.problem["code"], reply.headers["retry-after"]) == ("busy", "1")
        silent = [await stack.enter_async_context(door.wire()) for _ in range(3 * KEPT)]
        await until(lambda: door.server.connections == len(wires) + KEPT)
        assert (await door.ask("GET", "/healthz")).status == 200
        assert await silent[0].end() == b""
        door.ledger.open.set()
        assert {(await wire.reply()).status for wire in wires} == {200, 202}
        assert (await door.post(packet(7), **by("honest"))).status == 202


async def test_beyond_the_places_that_are_kept_connections_are_refused(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=Limits(max_connections=2)) as door, AsyncExitStack() as stack:
        await full(door, stack)
        for _ in range(KEPT):
            wire = await stack.enter_async_context(door.wire())
            await wire.send(request("POST", "/v1/packets", content_length="9", content_type="application/json"))
            reply: Reply = await wire.reply()
            assert reply.status == 503
        assert (await door.ask("GET", "/healthz")).status == 200
        door.ledger.open.set()
