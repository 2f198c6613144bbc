"""The receiver on the wire: what it takes, what it refuses before it reads it, and which file wins."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from collator.cli.receive import _FileWriter, _Refusals, inbox_of
from collator.settings import Settings
from collator.signing import generate_secret, parse_secrets, sign
from tests.http.listener import Reply, Wire, chunk, connect, request
from tests.wait import until

SECRET = generate_secret()
ID = "msg_" + "a" * 52
LATER, EARLIER = "2026-11-24T02:05:00.000002Z", "2026-11-24T02:05:00.000001Z"


def webhook(resource_id: str = "r", *, ended: str = LATER, kind: str = "collated", output: object = 1) -> bytes:
    outputs = {"outputs": [output]} if kind == "collated" else {"partial": []}
    data = {"resource_id": resource_id, **outputs}
    return json.dumps({"type": f"resource.{kind}", "timestamp": ended, "data": data}).encode()


def signed(body: bytes, **other: str) -> dict[str, str]:
    """The fields of a webhook, *other* ones instead; an empty one is left out."""
    now = int(time.time())
    signature = sign(parse_secrets(SECRET), ID, now, body)
    fields = {"webhook_id": ID, "webhook_timestamp": str(now), "webhook_signature": signature, **other}
    return {name: value for name, value in fields.items() if value}


def head(**fields: str) -> bytes:
    """The head of a webhook whose body is to follow, or not."""
    return request("POST", "/", None, content_type="application/json", **fields)


class Receiver:
    """A receiver, and where its files are."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder

    async def post(self, body: bytes, **fields: str) -> Reply:
        wire = await connect(self.port)
        try:
            await wire.send(request("POST", "/any/path", body, **fields))
            return await wire.reply()
        finally:
            await wire.aclose()

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        wire = await connect(self.port)
        try:
            yield wire
        finally:
            await wire.aclose()

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}


@asynccontextmanager
async def receiving(folder: Path, *, secret: bool = False, max_body: int = 1_000_000) -> AsyncIterator[Receiver]:
    (folder / "received").mkdir(exist_ok=True)
    (folder / "secret").write_text(SECRET)
    refusals = _Refusals()
    filer = _FileWriter(folder / "received", refusals)
    settings = Settings(receive_port=0, receive_secret_file=folder / "secret" if secret else None, max_body=max_body)
    async with inbox_of(settings, filer.take, refusals) as inbox:
        yield Receiver(urlsplit(inbox.url).port or 0, folder / "received")


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[Receiver]:
    """One without a secret."""
    async with receiving(tmp_path) as receiver:
        yield receiver


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Receiver]:
    """One with a secret."""
    async with receiving(tmp_path, secret=True) as receiver:
        yield receiver


async def test_what_the_secret_signed_is_written(guarded: Receiver) -> None:
    body = webhook()
    for host in ("127.0.0.1", "receiver:9000", "any.example"):  # the signature says who sends
        assert (await guarded.post(body, host=host, **signed(body))).status == 204
    assert guarded.files() == {"r.txt": b"1\n"}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"webhook_id": ""}, "webhook-id is missing"),
        ({"webhook_id": "msg_1"}, "webhook-id is not from Collator"),
        ({"webhook_timestamp": ""}, "webhook-timestamp is missing"),
        ({"webhook_timestamp": "soon"}, "not a number"),
        ({"webhook_timestamp": "1790000000"}, "in the past"),
        ({"webhook_timestamp": "9790000000"}, "in the future"),
        ({"webhook_signature": ""}, "webhook-signature is missing"),
        ({"webhook_signature": "v1,abc v2,def"}, "no signature"),
    ],
)
async def test_what_nobody_can_have_signed_is_refused_before_its_body_is_read(
    guarded: Receiver, other: dict[str, str], why: str
) -> None:
    body = webhook()
    async with guarded.wire() as wire:
        await wire.send(head(content_length="900000", **signed(body, **other)))  # and not a byte of the body
        reply = await wire.reply()
    assert (reply.status, reply.headers["connection"]) == (401, "close")
    assert why in reply.problem["detail"]
    assert guarded.files() == {}


async def test_what_another_secret_signed_is_refused(guarded: Receiver) -> None:
    reply = await guarded.post(webhook("x"), **signed(webhook()))
    assert (reply.status, reply.problem["detail"]) == (401, "no signature in webhook-signature matches")
    assert guarded.files() == {}


@pytest.mark.parametrize("secret", [True, False])
async def test_a_packed_body_is_refused_unread(tmp_path: Path, secret: bool) -> None:
    body = gzip.compress(webhook(output="x" * 100_000))
    async with receiving(tmp_path, secret=secret) as receiver, receiver.wire() as wire:
        fields = {"content_encoding": "gzip", "content_length": str(len(body)), **signed(body)}
        await wire.send(head(**fields))
        assert (await wire.reply()).status == 415
    assert receiver.files() == {}


async def test_a_body_beyond_the_limit_is_refused(plain: Receiver) -> None:
    async with plain.wire() as wire:
        await wire.send(head(content_length="1000001"))
        assert (await wire.reply()).status == 413
    async with plain.wire() as wire:
        wire.write(head(transfer_encoding="chunked") + chunk(b" " * 2_000_000) + chunk(b""))
        assert (await wire.reply()).status == 413


async def test_bodies_are_bounded_together(plain: Receiver) -> None:
    """Three halves of the largest one; who finds no place is told to send again."""
    wires = [await connect(plain.port) for _ in range(8)]
    part = webhook(output="x" * 900_000)
    for wire in wires:
        wire.write(request("POST", "/", part)[:-10])
    await until(lambda: all(wire.unsent() == 0 for wire in wires))
    for wire in wires:
        wire.write(part[-10:])
    replies = [await wire.reply() for wire in wires]
    assert {reply.status for reply in replies} == {204, 503}
    assert {reply.headers.get("retry-after") for reply in replies} == {None, "1"}
    for wire in wires:
        await wire.aclose()
    assert (await plain.post(part)).status == 204


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "localhost"}, 204),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"media_type": "text/plain"}, 415),
        ({"media_type": "application/x-www-form-urlencoded"}, 415),
        ({"media_type": "multipart/form-data; boundary=x"}, 415),
        ({"media_type": ""}, 415),
        ({"media_type": "application/json; charset=utf-8"}, 204),
    ],
)
async def test_no_page_writes_files_where_nothing_is_verified(
    plain: Receiver, fields: dict[str, str], status: int
) -> None:
    """Without a preflight, which gets 405 or 403, a browser sends no JSON; and it says where a page is from."""
    assert (await plain.post(webhook(), **fields)).status == status
    assert bool(plain.files()) is (status == 204)
    async with plain.wire() as wire:
        await wire.send(request("OPTIONS", "/", origin="http://evil.example", access_control_request_method="POST"))
        assert (await wire.reply()).status == 403


@pytest.mark.parametrize(
    ("newer", "older"), [("collated", "collated"), ("collated", "incomplete"), ("incomplete", "collated")]
)
async def test_a_webhook_that_ended_earlier_is_received_and_not_written(tmp_path: Path, newer: str, older: str) -> None:
    """As a replay of an earlier resource of the same id is; also after a restart."""
    async with receiving(tmp_path) as receiver:
        assert (await receiver.post(webhook(output="new", kind=newer))).status == 204
        before = receiver.files()
        assert (await receiver.post(webhook(output="old", ended=EARLIER, kind=older))).status == 204
        assert receiver.files() == before
    async with receiving(tmp_path) as receiver:
        assert (await receiver.post(webhook(output="old", ended=EARLIER, kind=older))).status == 204
        assert (await receiver.post(webhook(output="new", kind=newer))).status == 204
        assert receiver.files() == before
        newest = webhook(output="newest", ended="2026-11-24T02:05:01Z")
        assert (await receiver.post(newest)).status == 204
        assert receiver.files()["r.txt"] == b"newest\n"


@pytest.mark.parametrize("resource_id", ["", "a\u0000", "x" * 256])
async def test_an_id_that_no_resource_has_is_refused(plain: Receiver, resource_id: str) -> None:
    reply = await plain.post(webhook(resource_id))
    assert (reply.status, b"resource_id" in reply.body) == (400, True)
    assert plain.files() == {}


async def test_only_post_is_taken_on_whatever_path(plain: Receiver) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD"):
        async with plain.wire() as wire:
            await wire.send(request(method, "/"))
            status, headers = await wire.head()
        assert (status, headers["allow"]) == (405, "POST")
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


async def test_who_hangs_up_is_not_told_of(plain: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    body = webhook()
    whole = request("POST", "/", body)
    for data in (b"", whole[:20], whole[:-5], whole):
        with socket.create_connection(("127.0.0.1", plain.port)) as rude:
            rude.sendall(data)
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert (await plain.post(body)).status == 204
    told = capsys.readouterr()
    assert told.err == ""
    assert {line.split()[-2:][0] for line in told.out.splitlines()} <= {"2"}
