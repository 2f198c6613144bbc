"""The guard: what no HTTP server refuses by default, probed with raw bytes.

Each probe gets one answer and the connection is closed, so that nothing that hides behind it is ever read.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import struct
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import httptools
import pytest

from collator.errors import ConfigError
from collator.messages import Output, tasks_of
from collator.web import server
from collator.web.guard import Guard
from collator.web.limits import HttpLimits
from collator.web.request_feed import LEAST, RequestProgress, check_parser
from collator.web.transport import BufferedTransport
from tests.http.listener import Harness, Wire, chunk, ndjson, open_door, packet, request, stream_head
from tests.wait import until

HIDDEN = request("GET", "/healthz")
"""A request that a smuggler hides behind another."""
SHORT = HttpLimits(
    head_seconds=0.15,
    body_seconds=0.15,
    linger_seconds=0.3,
    keep_alive_seconds=0.3,
    max_pipelined=50,
)
BODY = json.dumps(packet()).encode()


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run on the loop that a service runs on; the other tests of HTTP run on asyncio's own."""
    return ("asyncio", {"use_uvloop": sys.platform != "win32"})


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path) as listener:
        yield listener


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    """One listener for all probes, of which none gets as far as the ledger."""
    async with open_door(tmp_path_factory.mktemp("shared")) as listener:
        yield listener


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Harness]:
    """A listener with short deadlines."""
    async with open_door(tmp_path, limits=SHORT) as listener:
        yield listener


def head(*fields: str, line: str = "POST /v1/packets HTTP/1.1", host: str | None = "host: 127.0.0.1") -> bytes:
    """A head, as it stands."""
    every = [line, *([host] if host else []), "content-type: application/json", *fields, "", ""]
    return "\r\n".join(every).encode("latin-1")


async def refused(wire: Wire, status: int) -> None:
    """One problem comes, and then nothing: the connection is closed."""
    reply = await wire.reply()
    assert (reply.status, reply.problem["status"], reply.headers["connection"]) == (status, status, "close")
    assert await wire.end() == b""


PROBES = {
    "length and chunked": (400, head("content-length: 5", "transfer-encoding: chunked") + b"0\r\n\r\n" + HIDDEN),
    "chunked and length": (400, head("transfer-encoding: chunked", "content-length: 5") + b"0\r\n\r\n" + HIDDEN),
    "two lengths": (400, head("content-length: 5", "content-length: 6") + b"12345" + HIDDEN),
    "the same length twice": (400, head("content-length: 5", "content-length: 5") + b"12345" + HIDDEN),
    "lengths in a list": (400, head("content-length: 5, 5") + b"12345" + HIDDEN),
    "length with a sign": (400, head("content-length: +0") + HIDDEN),
    "length is negative": (400, head("content-length: -1") + HIDDEN),
    "length in hex": (400, head("content-length: 0x5") + b"12345" + HIDDEN),
    "length overflows": (400, head("content-length: 99999999999999999999") + HIDDEN),
    "space before the colon": (400, head("transfer-encoding : chunked") + b"0\r\n\r\n" + HIDDEN),
    "an unknown coding": (400, head("transfer-encoding: gzip, chunked") + b"0\r\n\r\n" + HIDDEN),
    "a coding that is not the last": (400, head("transfer-encoding: chunked, identity") + b"0\r\n\r\n" + HIDDEN),
    "chunked twice": (400, head("transfer-encoding: chunked", "transfer-encoding: chunked") + b"0\r\n\r\n" + HIDDEN),
    "chunked in HTTP/1.0": (
        400,
        head("transfer-encoding: chunked", line="POST /v1/packets HTTP/1.0") + b"0\r\n\r\n" + HIDDEN,
    ),
    "bare line feeds": (400, head("content-length: 0").replace(b"\r\n", b"\n") + HIDDEN),
    "a folded field": (400, head("x: a\r\n b", "content-length: 0") + HIDDEN),
    "a bad chunk size": (400, head("transfer-encoding: chunked") + b"zz\r\n" + HIDDEN),
    "a chunk size that overflows": (400, head("transfer-encoding: chunked") + b"f" * 17 + b"\r\n" + HIDDEN),
    "a chunk without its end": (400, head("transfer-encoding: chunked") + b"2\r\nabc\r\n0\r\n\r\n" + HIDDEN),
    "no Host": (400, head("content-length: 0", host=None) + HIDDEN),
    "no Host in HTTP/1.0": (400, head("content-length: 0", host=None, line="GET /healthz HTTP/1.0")),
    "two Hosts": (400, head("host: 127.0.0.1", "content-length: 0") + HIDDEN),
    "two tokens": (400, head("authorization: Bearer a", "Authorization: Bearer b", "content-length: 0") + HIDDEN),
    "two origins": (400, head("origin: http://127.0.0.1", "origin: null", "content-length: 0") + HIDDEN),
    "two media types": (400, head("content-type: application/x-ndjson", "content-length: 0") + HIDDEN),
    "a URL without a host": (400, head("content-length: 0", line="GET http:///healthz HTTP/1.1") + HIDDEN),
    "a URL with a user": (400, head("content-length: 0", line="GET http://a@127.0.0.1/healthz HTTP/1.1") + HIDDEN),
    "a URL with a fragment": (400, head("content-length: 0", line="GET http://127.0.0.1/#x HTTP/1.1") + HIDDEN),
    "a URL of another scheme": (400, head("content-length: 0", line="GET ftp://127.0.0.1/ HTTP/1.1") + HIDDEN),
    "an asterisk": (400, head("content-length: 0", line="OPTIONS * HTTP/1.1") + HIDDEN),
    "a tunnel": (400, head(line="CONNECT 127.0.0.1:80 HTTP/1.1") + HIDDEN),
    "an unknown method": (400, head(line="BREW /pot HTTP/1.1") + HIDDEN),
    "another protocol": (400, head(line="GET /healthz RTSP/1.0") + HIDDEN),
    "a method of another protocol": (400, head(line="SETUP /healthz RTSP/1.0") + HIDDEN),
    "a radio": (400, head(line="SOURCE /healthz ICE/1.0") + HIDDEN),
    "two blanks before the path": (400, head(line="GET  /healthz HTTP/1.1") + HIDDEN),
    "two blanks before the version": (400, head(line="GET /healthz  HTTP/1.1") + HIDDEN),
    "no version": (400, b"GET /healthz\r\n\r\n" + HIDDEN),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2 in words": (400, head(line="GET /healthz HTTP/2.0") + HIDDEN),
    "NUL in a value": (400, head("x: a\0b") + HIDDEN),
    "NUL in the path": (400, head(line="GET /\0 HTTP/1.1") + HIDDEN),
    "a fragment": (400, head(line="GET /healthz#x HTTP/1.1") + HIDDEN),
    "a fragment of a query": (400, head(line="POST /v1/packets?receipts=all#x HTTP/1.1") + HIDDEN),
    "a space in the path": (400, head(line="GET /a b HTTP/1.1") + HIDDEN),
    "TLS": (400, bytes.fromhex("16030100f1010000ed0303") + bytes(200)),
    "a long field": (431, head("x: " + "a" * 100_000) + HIDDEN),
    "a very long field": (431, head("x: " + "a" * 2_000_000) + HIDDEN),
    "a long path": (431, head(line=f"GET /{'a' * 40_000} HTTP/1.1") + HIDDEN),
    "many fields": (431, head(*("x: a" for _ in range(200))) + HIDDEN),
    "10,000 fields": (431, head(*("x: a" for _ in range(10_000))) + HIDDEN),
    "a field without end": (431, head("x: " + "a" * 400_000)[:-4]),
    "a name without end": (431, head("x" * 400_000)[:-4]),
}


@pytest.mark.parametrize(("status", "probe"), PROBES.values(), ids=PROBES)
async def test_s2_a_probe_gets_one_refusal_and_a_closed_connection(shared: Harness, status: int, probe: bytes) -> None:
    async with shared.wire() as wire:
        wire.write(probe)
        await refused(wire, status)
    assert shared.ledger.calls == []


@pytest.mark.parametrize("probe", ["two lengths", "a folded field", "a bad chunk size", "two Hosts", "a long field"])
async def test_s2_a_probe_that_comes_byte_by_byte_is_refused_too(shared: Harness, probe: str) -> None:
    status, data = PROBES[probe]
    async with shared.wire() as wire:
        for place in range(0, len(data), max(1, len(data) // 1000)):
            wire.write(data[place : place + max(1, len(data) // 1000)])
            if place % 64 == 0:
                await until(lambda: wire.unsent() == 0)
        await refused(wire, status)


PIPELINED = b"".join(
    [
        HIDDEN,
        b"\r\n",
        request("POST", "/v1/packets", BODY),
        HIDDEN,
        head("transfer-encoding: chunked") + chunk(BODY) + chunk(b""),
        HIDDEN,
    ]
)


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_request_lines_are_known_in_whatever_pieces_they_come(listener: Harness, size: int) -> None:
    async with listener.wire() as wire:
        await in_pieces(wire, PIPELINED, size)
        assert [(await wire.reply()).status for _ in range(5)] == [200, 202, 200, 200, 200]


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("line", ["GET /healthz  HTTP/1.1", "GET  /healthz HTTP/1.1", "GET /healthz RTSP/1.0"])
async def test_a_bad_request_line_is_seen_in_whatever_pieces_it_comes(listener: Harness, line: str, size: int) -> None:
    async with listener.wire() as wire:
        await in_pieces(wire, PIPELINED + head(line=line) + HIDDEN, size)
        answers = await wire.end()
    assert answers.count(b"HTTP/1.1 20") == 5
    assert answers.count(b"HTTP/1.1 ") <= 6  # none to the bad one where an earlier one waits for its answer


async def test_a_large_head_whose_end_comes_by_itself_is_refused(shared: Harness) -> None:
    status, data = PROBES["a long field"]
    async with shared.wire() as wire, shared.wire() as other:
        wire.write(data[:98_000])
        await until(lambda: wire.unsent() == 0)
        await other.send(HIDDEN)  # by the answer to it, what came before it is read
        assert (await other.reply()).status == 200
        wire.write(data[98_000:])
        await refused(wire, status)


async def test_a_head_of_almost_32_kib_is_taken(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(head("x: " + "a" * 32_000, line="GET /healthz HTTP/1.1") + HIDDEN)
        assert [(await wire.reply()).status for _ in range(2)] == [200, 200]


async def test_many_small_requests_in_one_piece_are_no_large_head(listener: Harness) -> None:
    async with listener.wire() as wire:
        wire.write(HIDDEN * 90 + HIDDEN[:-10])
        assert {(await wire.reply()).status for _ in range(90)} == {200}
        wire.write(HIDDEN[-10:])
        assert (await wire.reply()).status == 200


async def test_a_refusal_never_answers_an_earlier_request(listener: Harness) -> None:
    """The refused one gets no answer: the earlier one would take it for its own."""
    listener.ledger.open.clear()
    async with listener.wire() as wire:
        await wire.send(request("POST", "/v1/packets", BODY) + PROBES["two Hosts"][1])
        await until(lambda: listener.ledger.calls)
        listener.ledger.open.set()
        assert (await wire.reply()).status == 202
        assert await wire.end() == b""


async def test_a_bad_body_of_a_queued_request_never_answers_an_earlier_one(listener: Harness) -> None:
    listener.ledger.open.clear()
    async with listener.wire() as wire:
        await wire.send(request("POST", "/v1/packets", BODY) + PROBES["a bad chunk size"][1])
        await until(lambda: listener.ledger.calls)
        listener.ledger.open.set()
        assert (await wire.reply()).status == 202
        assert await wire.end() == b""
    assert len(listener.ledger.calls) == 1


async def test_requests_beyond_those_that_may_wait_are_not_read(hasty: Harness) -> None:
    """They get no answer, as it would be taken for that to an earlier one."""
    async with hasty.wire() as wire:
        wire.write(HIDDEN * 70)
        assert {(await wire.reply()).status for _ in range(1 + SHORT.max_pipelined)} == {200}
        assert await wire.end() == b""


def test_a_parser_that_is_too_old_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("0.6.4", "0.9.0", "1.0.0"):
        monkeypatch.setattr(httptools, "__version__", version)
        check_parser()
    monkeypatch.setattr(httptools, "__version__", "0.6.3")
    with pytest.raises(ConfigError, match=r"httptools 0\.6\.3 is too old"):
        check_parser()


def test_the_least_parser_is_what_an_installation_asks_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert f"httptools>={'.'.join(map(str, LEAST))}" in project["dependencies"]


# Clients that say that they send no more.


async def ended(listener: Harness) -> None:
    """Wait until the listener knows."""
    await until(lambda: [one.reading for one in listener.server.state.connections] == [RequestProgress.ENDED])  # type: ignore[union-attr]


async def test_a_request_whose_client_sends_no_more_is_answered(listener: Harness) -> None:
    listener.ledger.open.clear()
    async with listener.wire() as wire:
        await wire.send(request("POST", "/v1/packets", BODY))
        await until(lambda: listener.ledger.calls)
        wire.half_close()
        await ended(listener)
        listener.ledger.open.set()
        reply = await wire.reply()
        assert (reply.status, reply.headers["connection"]) == (202, "close")
        assert await wire.end() == b""
        await until(lambda: not connections(listener))


async def test_all_requests_of_a_client_that_sends_no_more_are_answered(listener: Harness) -> None:
    async with listener.wire() as wire:
        wire.write(request("POST", "/v1/packets", BODY) + HIDDEN * 2)
        wire.half_close()
        assert [(await wire.reply()).status for _ in range(3)] == [202, 200, 200]
        assert await wire.end() == b""
        await until(lambda: not connections(listener))


async def test_a_stream_whose_client_sends_no_more_is_summed_up(listener: Harness) -> None:
    async with listener.wire() as wire:
        wire.write(stream_head() + chunk(ndjson(packet(7))) + chunk(b""))
        wire.half_close()
        assert (await wire.reply()).json["accepted"] == 1
        assert await wire.end() == b""


@pytest.mark.parametrize("data", [b"", HIDDEN[:-5], head("content-length: 9") + b"[", HIDDEN + HIDDEN[:-5]])
async def test_what_is_not_whole_when_the_client_sends_no_more_gets_no_answer(listener: Harness, data: bytes) -> None:
    async with listener.wire() as wire:
        wire.write(data)
        wire.half_close()
        if data.startswith(HIDDEN):
            assert (await wire.reply()).status == 200
        assert await wire.end() == b""
        await until(lambda: not connections(listener))


async def test_trailers_are_no_part_of_the_head(listener: Harness) -> None:
    """A trailer must not change what was asked for, or bring a foreign host in."""
    async with listener.wire() as wire:
        trailers = b"0\r\nhost: evil.example\r\norigin: http://evil.example\r\ncontent-type: text/plain\r\n\r\n"
        await wire.send(head("transfer-encoding: chunked") + chunk(BODY) + trailers)
        assert (await wire.reply()).status == 202


@pytest.mark.parametrize("trailer", [b"x: a\r\n" * 10_000, b"x: " + b"a" * 400_000])
async def test_trailers_are_bounded(listener: Harness, trailer: bytes) -> None:
    async with listener.wire() as wire:
        wire.write(head("transfer-encoding: chunked") + b"0\r\n" + trailer + b"\r\n\r\n" + HIDDEN)
        await refused(wire, 431)


@pytest.mark.parametrize(
    ("line", "body", "wanted"),
    [
        ("GET /v1/resources/r/outputs", b"", ("outputs", [])),
        ("POST /v1/packets?receipts=all", ndjson(packet(1)), ("accepted", 1)),
        ("POST /v1/packets", ndjson(packet(1)), ("accepted", 1)),
    ],
)
async def test_an_answer_to_http_1_0_ends_with_the_connection(
    listener: Harness, line: str, body: bytes, wanted: tuple[str, object]
) -> None:
    await listener.post(packet(0))
    async with listener.wire() as wire:
        fields = "host: 127.0.0.1\r\nexpect: 100-continue\r\ncontent-type: application/jsonl"
        await wire.send(f"{line} HTTP/1.0\r\n{fields}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        answer, _, content = (await wire.end()).partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in answer
    assert b"connection: close" in answer
    assert wanted in json.loads(content.splitlines()[-1]).items()


async def test_the_offer_of_a_web_socket_is_no_way_in(listener: Harness) -> None:
    async with listener.wire() as wire:
        fields = ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: eA==")
        await wire.send(head(*fields, line="GET /v1/packets HTTP/1.1"))
        assert (await wire.reply()).status == 405


# Deadlines.


async def test_s1_a_head_that_stalls_gets_408(hasty: Harness) -> None:
    async with hasty.wire() as wire:
        await wire.send(HIDDEN[:-5])
        await refused(wire, 408)


async def test_s1_a_head_that_drips_gets_408(hasty: Harness) -> None:
    async with hasty.wire() as wire:
        reply = await drip(wire, b"GET /healthz HTTP/1.1\r\nx: ", b"a")
        assert b"408" in reply.splitlines()[0]


async def test_s1_a_silent_connection_is_closed(hasty: Harness) -> None:
    async with hasty.wire() as wire:
        assert await wire.end() == b""


async def test_s1_of_more_connections_than_are_looked_at_together_each_has_its_turn(
    hasty: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_CHECKED", 1)
    async with hasty.wire() as one, hasty.wire() as other:
        assert await one.end() == await other.end() == b""


async def test_s1_blank_lines_do_not_keep_a_connection(hasty: Harness) -> None:
    async with hasty.wire() as wire:
        await wire.send(HIDDEN)
        assert (await wire.reply()).status == 200
        with suppress(ConnectionResetError):  # closed while we send
            assert await drip(wire, b"\r\n", b"\r\n") == b""


async def test_s1_an_idle_connection_is_closed(hasty: Harness) -> None:
    async with hasty.wire() as wire:
        await wire.send(HIDDEN)
        assert (await wire.reply()).status == 200
        assert await wire.end() == b""


async def test_no_answer_makes_a_timer(hasty: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    timers = Mock(wraps=loop.call_later)
    monkeypatch.setattr(loop, "call_later", timers)
    async with hasty.wire() as wire:
        for _ in range(3):
            await wire.send(HIDDEN)
            assert (await wire.reply()).status == 200
    owners = [getattr(made.args[1], "__self__", None) for made in timers.call_args_list]
    assert not [owner for owner in owners if isinstance(owner, Guard)]


@pytest.mark.parametrize("framing", ["content-length: 100", "transfer-encoding: chunked"])
async def test_s1_a_body_that_stalls_gets_408(hasty: Harness, framing: str) -> None:
    async with hasty.wire() as wire:
        await wire.send(head(framing))
        await refused(wire, 408)
    async with hasty.wire() as wire:
        await wire.send(head(framing) + b"5\r\n12345\r\n")
        await refused(wire, 408)


async def test_s1_a_body_that_drips_gets_408(hasty: Harness) -> None:
    async with hasty.wire() as wire:
        reply = await drip(wire, head("content-length: 100000"), b" ")
        assert b"408" in reply.splitlines()[0]


async def test_a_body_that_comes_steadily_has_more_time(tmp_path: Path) -> None:
    limits = HttpLimits(body_seconds=0.1, body_rate=10_000)  # 5,000 bytes: half a second more
    async with open_door(tmp_path, limits=limits) as listener, listener.wire() as wire:
        await wire.send(head(f"content-length: {5000 + len(BODY)}") + b" " * 5000)
        for _ in range(2):
            async with listener.wire() as other:  # a measure of time
                await other.send(head("content-length: 1"))
                await refused(other, 408)
        await wire.send(BODY)
        assert (await wire.reply()).status == 202


async def test_a_body_that_waits_for_us_is_not_late(tmp_path: Path) -> None:
    """Behind a request that takes long, the next one is not read; that is no fault of its sender."""
    limits = HttpLimits(head_seconds=0.15, body_seconds=0.15, body_rate=1_000_000_000)
    async with open_door(tmp_path, limits=limits) as listener, listener.wire() as wire:
        listener.ledger.open.clear()
        large = json.dumps([packet(i, payload="x" * 1000) for i in range(1, 1000)]).encode()
        wire.write(request("POST", "/v1/packets", BODY) + request("POST", "/v1/packets", large))
        for _ in range(3):
            async with listener.wire() as other:  # a measure of time
                await other.send(HIDDEN[:-5])
                await refused(other, 408)
        listener.ledger.open.set()
        assert [(await wire.reply()).status for _ in range(2)] == [202, 202]


async def test_s1_an_answer_that_nobody_reads_is_given_up(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(write_seconds=0.3)) as listener:
        for index in range(12):
            await listener.post(packet(index, payload="x" * 1_000_000))
        tasks = tasks_of(await listener.ledger.claim(capacity=12))
        await listener.ledger.record([Output(task.lease, task.payload) for task in tasks], capacity={})
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", listener.port))
            deaf.sendall(request("GET", "/v1/resources/r/outputs") * 12)  # more than the sockets hold
            await until(lambda: connections(listener))
            await until(lambda: not connections(listener))


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the system keeps as much as it likes")
async def test_p5_one_large_answer_that_nobody_reads_does_not_hide_in_the_system(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(write_seconds=0.3)) as listener:
        await listener.post(packet(0, payload="x" * 1_000_000))
        (task,) = tasks_of(await listener.ledger.claim(capacity=1))
        await listener.ledger.record([Output(task.lease, task.payload)], capacity={})
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", listener.port))
            deaf.sendall(request("GET", "/v1/resources/r/outputs"))
            await until(lambda: connections(listener))
            await until(lambda: not connections(listener))


async def test_a_request_on_a_kept_connection_may_take_longer_than_it_was_idle(hasty: Harness) -> None:
    async with hasty.wire() as wire:
        await wire.send(HIDDEN)
        assert (await wire.reply()).status == 200
        hasty.ledger.open.clear()
        await wire.send(request("POST", "/v1/packets", BODY))
        async with hasty.wire() as other:  # a measure of time
            await other.send(HIDDEN)
            assert (await other.reply()).status == 200
            assert await other.end() == b""
        hasty.ledger.open.set()
        assert (await wire.reply()).status == 202


async def test_a_request_that_began_before_the_last_answer_may_take_longer_too(hasty: Harness) -> None:
    stream = stream_head()
    async with hasty.wire() as wire, hasty.wire() as idle:
        await wire.send(HIDDEN + stream[:9])
        assert (await wire.reply()).status == 200
        await wire.send(stream[9:] + chunk(ndjson(packet())))
        await idle.send(HIDDEN)  # a measure of time
        assert (await idle.reply()).status == 200
        assert await idle.end() == b""
        await wire.send(chunk(b""))
        assert (await wire.reply()).json["accepted"] == 1


async def test_s1_only_so_many_requests_wait_on_one_connection(hasty: Harness) -> None:
    hasty.ledger.open.clear()
    async with hasty.wire() as wire:
        await wire.send(request("POST", "/v1/packets", BODY) + HIDDEN * 200)
        await until(lambda: hasty.ledger.calls)
        hasty.ledger.open.set()
        answers = (await wire.end()).count(b"HTTP/1.1 ")
        assert answers == 51


# Closing.


async def test_a_refusal_reaches_a_client_that_is_still_sending(listener: Harness) -> None:
    """To close at once would reset the connection, and the reset overtakes the answer."""
    async with listener.wire() as wire:
        wire.write(head("content-length: 50000000").replace(b"application/json", b"text/plain") + b"x" * 5_000_000)
        reply = await wire.reply()
        assert (reply.status, reply.headers["connection"]) == (415, "close")
        await until(lambda: wire.unsent() == 0)
        assert await wire.end() == b""


async def test_a_client_that_goes_on_sending_after_a_refusal_is_cut_off(hasty: Harness) -> None:
    async with hasty.wire() as wire:
        await wire.send(head("content-length: 50000000").replace(b"application/json", b"text/plain"))
        assert (await wire.reply()).status == 415
        await until(lambda: not connections(hasty))


class Reset(asyncio.Transport):
    """A connection that was reset, of which the loop does not know yet."""

    aborted = False

    def write(self, data: object) -> None: ...

    def is_closing(self) -> bool:
        return False

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    def abort(self) -> None:
        self.aborted = True


async def test_a_connection_that_was_reset_is_aborted_instead_of_closed() -> None:
    transport = Reset()
    lingering = BufferedTransport(transport, asyncio.get_running_loop(), SHORT, unread=lambda: True)
    lingering.close()
    assert transport.aborted
    assert lingering.is_closing()


class Flooded(asyncio.Transport):
    """A connection on which more comes than anybody wants."""

    paused = False

    def is_closing(self) -> bool:
        return False

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0


async def test_what_comes_after_a_refusal_is_thrown_away_no_faster_than_by_the_megabyte() -> None:
    transport = Flooded()
    loop = asyncio.get_running_loop()
    lingering = BufferedTransport(transport, loop, SHORT, unread=lambda: True)
    lingering.close()
    for _ in range(16):
        assert not transport.paused
        lingering.discard(64 * 1024)
    lingering.discard(1)
    assert transport.paused
    lingering.check(loop.time())
    lingering.discard(64 * 1024)
    assert not transport.paused


async def test_a_defect_of_one_connection_is_no_reason_to_forget_the_deadlines_of_others(
    hasty: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Guard.check

    def broken(self: Guard, now: float, *, stopping: bool = False) -> None:
        if self.reading is RequestProgress.BODY:
            raise RuntimeError("a defect")
        check(self, now, stopping=stopping)

    monkeypatch.setattr(Guard, "check", broken)
    async with hasty.wire() as culprit:
        await culprit.send(head("content-length: 9"))
        with suppress(ConnectionResetError):
            assert await culprit.end() == b""
    async with hasty.wire() as other:
        await other.send(HIDDEN[:-5])
        await refused(other, 408)


async def test_a_client_that_is_reset_leaves_nothing_behind(listener: Harness) -> None:
    for data in (b"", HIDDEN[:9], head("content-length: 9"), stream_head() + chunk(ndjson(packet()))):
        with socket.create_connection(("127.0.0.1", listener.port)) as rude:
            rude.sendall(data)
            await until(lambda: connections(listener))
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda: not connections(listener))
    assert (await listener.post(packet())).status in {200, 202}


def connections(listener: Harness) -> int:
    """How many connections the listener has."""
    return listener.server.connections


async def in_pieces(wire: Wire, data: bytes, size: int) -> None:
    """Send *data*, *size* bytes at a time."""
    for place in range(0, len(data), size):
        wire.write(data[place : place + size])
        await until(lambda: wire.unsent() == 0)


async def drip(wire: Wire, start: bytes, drop: bytes) -> bytes:
    """What comes back for *start* and drop after drop, until the listener closes the connection."""
    ended = asyncio.create_task(wire.end())
    wire.write(start)

    def drop_until_ended() -> bool:
        if not ended.done():
            wire.write(drop)
        return ended.done()

    await until(drop_until_ended)
    return await ended
