"""Requests that offer another protocol, as Java's HttpClient does by itself: the offer is ignored (RFC 9110, 7.8)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

import pytest

from tests.http.listener import Harness, chunk, ndjson, open_door, packet, request
from tests.wait import until

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAU\r\n"
"""What Java 17 sends, and curl with --http2, but for the order."""
WEB_SOCKET = "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
offers = pytest.mark.parametrize("offer", [H2C, WEB_SOCKET, "connection: Upgrade\r\nupgrade: TLS/1.0, foo/2\r\n"])

JSON, LINES = "application/json", "application/x-ndjson"
TWO = ndjson(packet(0), packet(1))
SHAPES = {
    "one packet": ("POST /v1/packets", JSON, json.dumps(packet()).encode(), 202),
    "an array": ("POST /v1/packets", JSON, json.dumps([packet(0), packet(1)]).encode(), 202),
    "a stream": ("POST /v1/packets", LINES, TWO, 200),
    "a stream with receipts": ("POST /v1/packets?receipts=all", LINES, TWO, 200),
    "a payload": ("PUT /v1/resources/r/packets/0", JSON, b" 0", 202),
}
shapes = pytest.mark.parametrize("shape", SHAPES)
framings = pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path) as listener:
        yield listener


def offering(shape: str, offer: str, *, chunked: bool) -> tuple[bytes, int]:
    """A request as bytes, which ends with the connection kept, and the status that is right."""
    line, media_type, body, status = SHAPES[shape]
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
    head = f"{line} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {media_type}\r\n{framing}\r\n{offer}\r\n".encode()
    middle = len(body) // 2
    return head + (chunk(body[:middle]) + chunk(body[middle:]) + chunk(b"") if chunked else body), status


@offers
@shapes
@framings
async def test_the_body_is_read_and_the_connection_kept(
    listener: Harness, shape: str, offer: str, *, chunked: bool
) -> None:
    data, status = offering(shape, offer, chunked=chunked)
    async with listener.wire() as wire:
        await wire.send(data)
        reply = await wire.reply()
        assert (reply.status, "upgrade" in reply.headers, reply.headers.get("connection")) == (status, False, None)
        await wire.send(request("GET", "/v1/resources/r"))
        assert (await wire.reply()).json["received"] == (1 if shape in {"one packet", "a payload"} else 2)


CLOSING = {
    "close first": ("1.1", "connection: close, upgrade\r\nupgrade: h2c\r\n"),
    "close last": ("1.1", "upgrade: h2c\r\nconnection: Upgrade, HTTP2-Settings, close\r\n"),
    "close in a field of its own": ("1.1", "connection: close\r\nconnection: upgrade\r\nupgrade: websocket\r\n"),
    "HTTP/1.0": ("1.0", "connection: upgrade\r\nupgrade: h2c\r\n"),
    "HTTP/1.0 that asks to be kept": ("1.0", "connection: keep-alive, upgrade\r\nupgrade: h2c\r\n"),
}


@pytest.mark.parametrize(("version", "offer"), CLOSING.values(), ids=CLOSING)
@shapes
async def test_an_offer_beside_the_end_of_the_connection_is_answered_and_the_connection_closed(
    listener: Harness, shape: str, version: str, offer: str
) -> None:
    data, status = offering(shape, offer, chunked=False)
    async with listener.wire() as wire:
        await wire.send(data.replace(b"HTTP/1.1", b"HTTP/" + version.encode(), 1) + request("GET", "/healthz"))
        answer = await wire.end()
    assert (answer.split()[1], answer.count(b"HTTP/1.1")) == (b"%d" % status, 1)
    assert (await listener.ask("GET", "/v1/resources/r")).status == 200


@shapes
@framings
async def test_the_body_may_come_byte_by_byte(listener: Harness, shape: str, *, chunked: bool) -> None:
    data, status = offering(shape, H2C, chunked=chunked)
    async with listener.wire() as wire:
        for byte in data:
            wire.write(bytes([byte]))
        assert (await wire.reply()).status == status
    assert (await listener.ask("GET", "/v1/resources/r")).status == 200


async def test_the_body_may_come_long_after_the_head(listener: Harness) -> None:
    data, _ = offering("a stream", H2C, chunked=True)
    head, end, body = data.partition(b"\r\n\r\n")
    async with listener.wire() as wire:
        await wire.send(head + end)
        await until(lambda: listener.app._load.streams.used == 1)
        for place in range(0, len(body), 50):
            await wire.send(body[place : place + 50])
        assert (await wire.reply()).json["accepted"] == 2


@framings
async def test_requests_that_follow_each_other_in_one_piece_are_all_answered(
    listener: Harness, *, chunked: bool
) -> None:
    made = [offering(shape, offer, chunked=chunked) for shape in SHAPES for offer in (H2C, WEB_SOCKET)]
    async with listener.wire() as wire:
        wire.write(b"".join(data for data, _ in made) + request("GET", "/healthz"))
        got = [(await wire.reply()).status for _ in range(len(made) + 1)]
    assert got[0] == 202
    assert {*got[1:]} <= {200, 202}  # what was there already is 200


@offers
async def test_a_request_without_a_body_is_answered_and_the_connection_kept(listener: Harness, offer: str) -> None:
    async with listener.wire() as wire:
        wire.write(f"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n{offer}\r\n".encode() * 3)
        assert [(await wire.reply()).status for _ in range(3)] == [200] * 3


@offers
@pytest.mark.parametrize(("named", "status"), [("evil.example", 421), ("localhost", 200)])
async def test_the_host_of_a_whole_url_counts_beside_an_offer_too(
    listener: Harness, offer: str, named: str, status: int
) -> None:
    async with listener.wire() as wire:
        await wire.send(f"GET http://{named}/healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n{offer}\r\n".encode())
        assert (await wire.reply()).status == status


async def test_what_follows_a_request_is_the_next_one_whatever_was_offered(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(
            f"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n{H2C}\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".encode()
        )
        assert (await wire.reply()).status == 200
        assert await wire.end() == b""


async def test_r9_a_body_that_was_promised_and_did_not_come_whole_is_never_done(listener: Harness) -> None:
    data, _ = offering("a stream", H2C, chunked=False)
    async with listener.wire() as wire:
        await wire.send(data[:-3])
        await until(lambda: listener.ledger.calls)
        wire.half_close()
        assert await wire.end() == b""


async def test_expect_100_continue_is_heard_beside_an_offer(listener: Harness) -> None:
    data, _ = offering("one packet", "expect: 100-continue\r\n" + H2C, chunked=False)
    head, end, body = data.partition(b"\r\n\r\n")
    async with listener.wire() as wire:
        await wire.send(head + end)
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(body)
        assert (await wire.reply()).status == 202


HIDING = {
    "two lengths": (400, "content-length: 5\r\ncontent-length: 6\r\n"),
    "length and chunked": (400, "content-length: 5\r\ntransfer-encoding: chunked\r\n"),
    "two Hosts": (400, "host: 127.0.0.1\r\n"),
    "a space before the colon": (400, "content-length : 5\r\n"),
    "a long field": (431, "x: " + "a" * 100_000 + "\r\n"),
    "many fields": (431, "x: a\r\n" * 200),
}


@pytest.mark.parametrize(("status", "fields"), HIDING.values(), ids=HIDING)
async def test_s2_an_offer_hides_nothing_from_the_guard(listener: Harness, status: int, fields: str) -> None:
    for order in (H2C + fields, fields + H2C):
        async with listener.wire() as wire:
            wire.write(f"POST /v1/packets HTTP/1.1\r\nhost: 127.0.0.1\r\n{order}\r\n12345".encode())
            wire.write(request("GET", "/healthz"))
            assert (await wire.reply()).status == status
            assert await wire.end() == b""
    assert listener.ledger.calls == []


async def test_a_large_head_that_comes_in_pieces_is_refused_though_it_ends_with_an_offer(listener: Harness) -> None:
    async with listener.wire() as wire:
        wire.write(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        for piece in chain.from_iterable([b"x: " + b"a" * 1000 + b"\r\n"] for _ in range(40)):
            wire.write(piece)
        wire.write(f"{H2C}\r\n".encode())
        assert (await wire.reply()).status == 431
