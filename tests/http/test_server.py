"""The port: opened with a clear word where it cannot be, and closed without breaking anything off."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from types import coroutine

import pytest

from collator.errors import ConfigError, Occupied
from collator.web.guard import Guard
from collator.web.limits import HttpLimits
from collator.web.request_feed import RequestProgress
from collator.web.server import serve
from tests.http.listener import PATIENCE, Harness, chunk, connect, ndjson, open_door, packet, request, stream_head
from tests.wait import until

POST = request("POST", "/v1/packets", json.dumps(packet()).encode())


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run on the loop that a service runs on; the other tests of HTTP run on asyncio's own."""
    return ("asyncio", {"use_uvloop": sys.platform != "win32"})


async def nothing(_scope: object, _receive: object, _send: object) -> None:
    raise AssertionError("nobody asks")


async def test_any_free_port_is_told() -> None:
    async with serve(nothing, port=0) as first, serve(nothing, port=0) as second:
        assert first.port != second.port
        assert first.url == f"http://127.0.0.1:{first.port}"


async def test_no_answer_is_taken_for_a_page_or_kept(tmp_path: Path) -> None:
    """Those that the guard gives itself too."""
    async with open_door(tmp_path) as listener:
        for raw in (request("GET", "/healthz"), request("PUT", "/nothing"), b"GET / HTTP/1.1\r\n\r\n"):
            async with listener.wire() as wire:
                await wire.send(raw)
                headers = (await wire.reply()).headers
                assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


async def test_ipv6_has_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        async with serve(nothing, host="::1", port=0) as listener:
            assert listener.url == f"http://[::1]:{listener.port}"
    except ConfigError:
        pytest.skip("no IPv6")


async def test_a_port_in_use_is_a_clear_error() -> None:
    async with serve(nothing, port=0) as listener:
        with pytest.raises(Occupied, match=f"port {listener.port} on 127.0.0.1 is in use; choose another with --port"):
            async with serve(nothing, port=listener.port):
                pass


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
async def test_an_address_that_is_not_ours_is_a_clear_error(host: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {host}"):
        async with serve(nothing, host=host, port=0):
            pass


async def test_signals_stay_with_the_process() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serve(nothing, port=0):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_a_closed_port_can_be_opened_at_once() -> None:
    async with serve(nothing, port=0) as listener:
        await (await connect(listener.port)).aclose()
    async with serve(nothing, port=listener.port):
        pass


# Closing.


@coroutine
def turn() -> Generator[None, None, None]:
    """Let the event loop turn once."""
    yield


@pytest.mark.parametrize("turns", range(4))
def test_p7_who_is_accepted_as_it_closes_is_not_left_behind(turns: int) -> None:
    """On asyncio's own loop, which may be between the steps by which it accepts."""

    async def close_behind_it() -> None:
        async with serve(nothing, port=0) as listener:
            client = socket.create_connection(("127.0.0.1", listener.port))
            for _ in range(turns):
                await turn()
        with client:
            client.setblocking(False)
            async with asyncio.timeout(PATIENCE):
                with suppress(ConnectionError):
                    assert await asyncio.get_running_loop().sock_recv(client, 1) == b""

    asyncio.run(close_behind_it())


async def test_p7_requests_under_way_get_their_answer(tmp_path: Path) -> None:
    opened = open_door(tmp_path)
    listener = await opened.__aenter__()
    listener.ledger.open.clear()
    wire, idle = await connect(listener.port), await connect(listener.port)
    await idle.send(request("GET", "/healthz"))
    assert (await idle.reply()).status == 200
    await wire.send(POST)
    await until(lambda: listener.ledger.calls)
    closing = asyncio.create_task(opened.__aexit__(None, None, None))
    assert await idle.end() == b""
    assert await refuses_connections(listener)
    assert not closing.done()
    listener.ledger.open.set()
    reply = await wire.reply()
    assert (reply.status, reply.headers["connection"]) == (202, "close")
    assert await wire.end() == b""
    await closing
    await wire.aclose()
    await idle.aclose()


async def test_p7_streams_get_their_summary(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(linger_seconds=0.1)) as listener:
        wire = await connect(listener.port)
        await wire.send(stream_head() + chunk(ndjson(packet())))
        await until(lambda: listener.ledger.calls)
        listener.intake.drain()
    reply = await wire.reply()
    assert (reply.status, reply.json["accepted"]) == (503, 1)
    await wire.aclose()


async def test_p7_what_takes_longer_than_the_grace_is_broken_off(tmp_path: Path) -> None:
    async with open_door(tmp_path, grace=0.05) as listener:
        wire, half = await connect(listener.port), await connect(listener.port)
        listener.ledger.open.clear()
        await wire.send(POST)
        await half.send(POST[:-3])
        await until(lambda: listener.ledger.calls)
    assert not listener.server.state.tasks
    assert await wire.reader.read() == b""
    await wire.aclose()
    await half.aclose()


async def test_p7_clients_that_are_slow_at_the_end_are_no_errors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_door(tmp_path, grace=0.05) as listener:
        wire = await connect(listener.port)
        await wire.send(POST[:-3])
        await until(lambda: listener.server.state.tasks)
    assert not listener.server.state.tasks
    assert not caplog.records
    await wire.aclose()


HALVES = {
    "half a head": POST[:20],
    "half a head on a kept connection": request("GET", "/healthz") + POST[:20],
    "half a body": POST[:-3],
    "half a chunked body": request("POST", "/v1/packets", b"", transfer_encoding="chunked") + chunk(b"[")[:3],
    "a body that has not begun": POST[: POST.index(b"\r\n\r\n") + 4],
}
QUICK = HttpLimits(stop_seconds=0.1)


@pytest.mark.parametrize("draining", [True, False], ids=["draining", "closing"])
@pytest.mark.parametrize("half", HALVES)
async def test_p7_a_client_that_is_silent_within_a_request_holds_up_no_stop(
    tmp_path: Path, half: str, *, draining: bool
) -> None:
    """It is told so, while the service drains already, or else while the port is closed."""
    opened = open_door(tmp_path, limits=QUICK)
    listener = await opened.__aenter__()
    wire = await connect(listener.port)
    await wire.send(HALVES[half])
    if "kept" in half:
        assert (await wire.reply()).status == 200
    await until(lambda: reading(listener) == [RequestProgress.HEAD if "head" in half else RequestProgress.BODY])
    closing = None
    if draining:
        listener.intake.drain()
    else:
        closing = asyncio.create_task(opened.__aexit__(None, None, None))
    reply = await wire.reply()
    assert (reply.status, reply.problem["code"], reply.headers["retry-after"]) == (503, "unavailable", "5")
    assert reply.headers["connection"] == "close"
    assert await wire.end() == b""
    if draining:
        assert (await listener.ask("GET", "/healthz")).status == 200
    await (closing or opened.__aexit__(None, None, None))  # though the client keeps its side open
    await wire.aclose()


def reading(listener: Harness) -> list[RequestProgress]:
    return [connection.reading for connection in listener.server.state.connections if isinstance(connection, Guard)]


async def test_p7_a_body_that_goes_on_coming_is_waited_for(tmp_path: Path) -> None:
    opened = open_door(tmp_path, limits=QUICK)
    listener = await opened.__aenter__()
    silent, wire = await connect(listener.port), await connect(listener.port)
    await silent.send(POST[:-3])
    await wire.send(request("POST", "/v1/packets", content_length="100000", content_type="application/json"))
    await until(lambda: reading(listener) == [RequestProgress.BODY] * 2)
    closing = asyncio.create_task(opened.__aexit__(None, None, None))
    told = asyncio.create_task(silent.end())
    body = json.dumps(packet()).encode()
    sent = 0

    def drip() -> bool:
        nonlocal sent
        sent += 1
        wire.write(b" ")
        return told.done()

    await until(drip)
    wire.write(b" " * (100_000 - sent - len(body)) + body)
    reply = await wire.reply()
    assert (reply.status, reply.headers["connection"]) == (202, "close")
    assert b" 503 " in told.result()
    await closing
    await wire.aclose()
    await silent.aclose()


DRIPS = {
    "head": (b"GET /healthz HTTP/1.1\r\nx: ", b"x"),
    "body": (request("POST", "/v1/packets", content_length="9999", content_type="application/json"), b" "),
    "chunks": (request("POST", "/v1/packets", b"", transfer_encoding="chunked"), chunk(b" ")),
}


@pytest.mark.parametrize("part", DRIPS)
async def test_p7_a_client_that_hardly_sends_holds_up_no_stop(tmp_path: Path, part: str) -> None:
    """A byte now and then is no progress: what a request may still take is short once the service stops."""
    limits = HttpLimits(stop_seconds=60.0, stop_patience=0.2, head_seconds=60.0, body_seconds=60.0, linger_seconds=0.1)
    opened, (begun, drop) = open_door(tmp_path, limits=limits), DRIPS[part]
    listener = await opened.__aenter__()
    wire = await connect(listener.port)
    await wire.send(begun)
    await until(lambda: reading(listener) == [RequestProgress.HEAD if part == "head" else RequestProgress.BODY])
    listener.intake.drain()
    told = asyncio.create_task(wire.reply())

    def drip() -> bool:
        wire.write(drop)
        return told.done()

    await until(drip)
    assert told.result().problem["code"] == "unavailable"
    await opened.__aexit__(None, None, None)
    await wire.aclose()


async def test_p7_a_head_that_comes_whole_after_the_port_is_closed_is_answered_and_the_last(tmp_path: Path) -> None:
    opened = open_door(tmp_path)
    listener = await opened.__aenter__()
    wire, idle = await connect(listener.port), await connect(listener.port)
    await idle.send(request("GET", "/healthz"))
    await idle.reply()
    await wire.send(request("GET", "/healthz") + POST[:20])
    await wire.reply()
    await until(lambda: RequestProgress.HEAD in reading(listener))
    closing = asyncio.create_task(opened.__aexit__(None, None, None))
    assert await idle.end() == b""  # at once: it has asked nothing
    await wire.send(POST[20:])
    reply = await wire.reply()
    assert (reply.status, reply.headers["connection"]) == (202, "close")
    assert await wire.end() == b""
    await closing
    await wire.aclose()
    await idle.aclose()


async def refuses_connections(listener: Harness) -> bool:
    try:
        await (await connect(listener.port)).aclose()
    except ConnectionError:
        return True
    return False
