"""Probes: raw requests that two parsers may read differently, at each listener, whole and in pieces.

Each gets one answer, or none, and the connection is closed: what hides behind it is never acted on.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from itertools import product

import pytest

from collator.web.limits import HttpLimits
from tests.http.listener import chunk, connect, request
from tests.http.listeners import ACT, LISTENERS, Listener
from tests.wait import until

ANSWER = re.compile(rb"HTTP/1\.1 [0-9]{3} ")
SHORT = HttpLimits(head_seconds=0.15, body_seconds=0.15, linger_seconds=0.3, max_body=1_000_000)


def head(*fields: str, line: str = "POST /v1/packets HTTP/1.1", host: str = "host: 127.0.0.1") -> bytes:
    """A head, as it stands."""
    every = [line, *([host] if host else []), "content-type: application/json", *fields, "", ""]
    return "\r\n".join(every).encode("latin-1")


CODED = head("transfer-encoding: chunked")
LENGTHS = (
    "5, 5", "5, 6", "5,", ",5", "+5", "-5", "-0", "0x5", "5x", "5 5", "5.0", "5e0", "5;", "five", "\x0b5", "\xb2",
    "\xa05", "99999999999999999999", "18446744073709551617", "",
)  # fmt: skip
CODINGS = (
    "chunked, identity", "identity, chunked", "identity", "gzip", "gzip, chunked", "chunked, gzip",
    "chunked, chunked", "chunked,", ", chunked", "xchunked", "chunkedx", "chunk", "chunked;q=1", '"chunked"',
    "chunked\x0b", "\x0bchunked", "", "chunked x", "deflate", "trailers",
)  # fmt: skip
LINES = (
    "POST /v1/packets", "POST /v1/packets HTTP/0.9", "POST /v1/packets HTTP/1.2", "POST /v1/packets HTTP/1.10",
    "POST /v1/packets HTTP/2.0", "POST /v1/packets HTTP/3", "POST /v1/packets HTTP/1", "POST /v1/packets HTTP/11",
    "POST /v1/packets HTTP/01.1", "POST /v1/packets http/1.1", "POST /v1/packets HTTPS/1.1",
    "POST /v1/packets HTTP 1.1", "POST /v1/packets RTSP/1.0", "POST /v1/packets RTSP/1.1",
    "SETUP /v1/packets RTSP/1.0", "SOURCE /v1/packets ICE/1.0", "POST /v1/packets ICE/1.0",
    "POST  /v1/packets HTTP/1.1", "POST /v1/packets  HTTP/1.1", "POST\t/v1/packets HTTP/1.1",
    "POST /v1/packets\tHTTP/1.1", " POST /v1/packets HTTP/1.1", "POST /v1/packets HTTP/1.1 ",
    "POST /v1/packets HTTP/1.1 x", "POST /v1 packets HTTP/1.1", "POST /v1/packets\x00 HTTP/1.1",
    "POST /v1/packets\x7f HTTP/1.1", "POST /v1/p\xe4ckets HTTP/1.1", "POST /v1/packets#x HTTP/1.1",
    "POST v1/packets HTTP/1.1", "POST * HTTP/1.1", "OPTIONS * HTTP/1.1", "POST  HTTP/1.1", "POST ? HTTP/1.1",
    "POST \\ HTTP/1.1", "POST http:// HTTP/1.1", "POST http:///v1/packets HTTP/1.1",
    "POST http:/v1/packets HTTP/1.1", "POST //x@/ HTTP/1.0x", "POST http://a@127.0.0.1/v1/packets HTTP/1.1",
    "POST ftp://127.0.0.1/v1/packets HTTP/1.1", "POST http://127.0.0.1/#x HTTP/1.1", "CONNECT 127.0.0.1:80 HTTP/1.1",
    "CONNECT /v1/packets HTTP/1.1", "PRI * HTTP/2.0", "post /v1/packets HTTP/1.1", "/v1/packets", "HTTP/1.1 200 OK",
    "", "\x00", "POST /v1/packets HTTP/1.1\n", "POST /v1/packets HTTP/1.1\r\r",
)  # fmt: skip
FIELDS = (
    "transfer-encoding : chunked", "transfer-encoding\t: chunked", " transfer-encoding: chunked",
    "\ttransfer-encoding: chunked", "transfer-encoding:\x00chunked", "transfer-encoding: \r\n chunked",
    "transfer-encoding: chunked\r\n x", "x: a\r\n b", "x: a\r\n\tb", "x", ": x", "x y: z", "x\x00: a", "x: a\x00",
    "x: a\rb", "x: a\nb", "x: \x01", "x: \x7f", "\xe4: a", "(x): a", "x\r: a", "content-length : 5",
    "content-length: 5\ncontent-length: 6", "content-length: \r\n 5",
    "authorization: Bearer a\r\nauthorization: Bearer b", "origin: http://127.0.0.1\r\norigin: null",
    "content-type: text/plain", "sec-fetch-site: none\r\nsec-fetch-site: cross-site", "host: 127.0.0.1",
    "Host: evil.example",
)  # fmt: skip
CHUNKS = (
    b"\r\n", b"g\r\n", b"-1\r\n", b"+1\r\nx\r\n", b"0x1\r\nx\r\n", b" 1\r\nx\r\n", b"1 \r\nx\r\n", b"1_0\r\nx\r\n",
    b"f" * 17 + b"\r\n", b"1\nx\r\n", b"1\r\nx\n", b"1\r\nxy\r\n", b"1\r\n\r\n\r\n", b"1\r\nx", b"1;\x00\r\nx\r\n",
    b'1;a="\n"\r\nx\r\n', b"1;a=\x01\r\nx\r\n", b"\xb9\r\nx\r\n", b"1\r\nx\r\n0\n\n", b"1\r\nx\r\n0\r\n\n",
    b"0\r\nx y: z\r\n\r\n", b"0\r\nx\r\n\r\n", b"0\r\n x: a\r\n\r\n", b"0\r\nx: a\r\n b\r\n\r\n",
    b"0\r\nx: \x00\r\n\r\n", b"0\r\nx : a\r\n\r\n", b"0\r\n\r",
)  # fmt: skip
HOSTS = (
    "",
    "host",
    "host:127.0.0.1\r\nhost: 127.0.0.1",
    "host: 127.0.0.1\r\nHOST: evil.example",
    "host : 127.0.0.1",
    " host: 127.0.0.1",
)

GROUPS: Mapping[str, list[bytes]] = {
    "lengths": [head(f"content-length: {one}") + b"12345" for one in LENGTHS],
    "two lengths": [
        head(f"content-length: {one}", f"Content-Length: {other}") + b"12345" for one, other in product("056", repeat=2)
    ],
    "codings": [head(f"transfer-encoding: {one}") + b"0\r\n\r\n" for one in CODINGS],
    "two codings": [
        head(f"transfer-encoding: {one}", f"Transfer-Encoding: {other}") + b"0\r\n\r\n"
        for one, other in product(("chunked", "identity", "gzip"), repeat=2)
    ],
    "a length and a coding": [
        framed + b"0\r\n\r\n"
        for length, coding in product(("0", "5", "x"), ("chunked", "Chunked", "identity", "gzip, chunked"))
        for framed in (
            head(f"content-length: {length}", f"transfer-encoding: {coding}"),
            head(f"transfer-encoding: {coding}", f"content-length: {length}"),
        )
    ],
    "a coding in HTTP/1.0": [
        head(f"transfer-encoding: {one}", line="POST /v1/packets HTTP/1.0") + b"0\r\n\r\n"
        for one in ("chunked", "identity")
    ],
    "first lines": [head("content-length: 0", line=one) for one in LINES],
    "fields": [head(one) + b"0\r\n\r\n" for one in FIELDS],
    "hosts": [head("content-length: 0", host=one) for one in HOSTS],
    "chunks": [CODED + one for one in CHUNKS],
    "bare line ends": [
        head("content-length: 0").replace(b"\r\n", b"\n"), head("content-length: 0").replace(b"\r\n", b"\r"),
        head("content-length: 0")[:-2] + b"\n", head("content-length: 0")[:-4] + b"\n\n", b"\x16\x03\x01" + bytes(200),
    ],
}  # fmt: skip
TOO_LARGE = {
    "a field": head("x: " + "a" * 100_000), "a path": head(line=f"POST /{'a' * 40_000} HTTP/1.1"),
    "fields": head(*["x: a"] * 200), "a field without end": head("x: " + "a" * 400_000)[:-4],
    "trailers": CODED + b"0\r\n" + b"x: a\r\n" * 10_000 + b"\r\n",
}  # fmt: skip


@pytest.fixture(scope="module", params=LISTENERS)
async def listener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Listener]:
    async with LISTENERS[request.param](tmp_path_factory.mktemp("probed")) as listener:
        yield listener


@pytest.fixture(scope="module", params=LISTENERS)
async def hasty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Listener]:
    """One with short deadlines."""
    async with LISTENERS[request.param](tmp_path_factory.mktemp("hasty"), SHORT) as listener:
        yield listener


async def answers(listener: Listener, data: bytes, *, size: int = 2**30) -> bytes:
    """All that comes back for *data*, sent *size* bytes at a time, until the listener closes the connection."""
    wire = await connect(listener.port)
    try:
        for place in range(0, len(data), size):
            wire.write(data[place : place + size])
            if size < len(data):
                await until(lambda: wire.unsent() == 0)
        return await wire.end()
    finally:
        await wire.aclose()


def wrong_with(found: bytes, status: int) -> str:
    """What is wrong with *found*, which is to be one refusal with *status*; nothing where it is."""
    if len(ANSWER.findall(found)) != 1:
        return f"{len(ANSWER.findall(found))} answers"
    fits = found.startswith(b"HTTP/1.1 %d " % status) and b"connection: close" in found
    return "" if fits and b"problem+json" in found else found[:60].decode("latin-1")


@pytest.mark.parametrize("group", GROUPS)
async def test_what_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_done(
    listener: Listener, group: str
) -> None:
    wrong, before = {}, listener.effects()
    for probe in GROUPS[group]:
        found = wrong_with(await answers(listener, probe + ACT), 400)
        if found:
            wrong[probe] = found
    assert wrong == {}
    assert listener.effects() == before


@pytest.mark.parametrize("group", GROUPS)
async def test_the_same_in_pieces(listener: Listener, group: str) -> None:
    before = listener.effects()
    probe = GROUPS[group][len(GROUPS[group]) // 2]
    for size in (1, 3):
        assert wrong_with(await answers(listener, probe + ACT, size=size), 400) == "", (probe, size)
    assert listener.effects() == before


@pytest.mark.parametrize("group", GROUPS)
async def test_the_same_behind_a_good_request(listener: Listener, group: str) -> None:
    """The good one is answered; the bad one may get no answer, as it would be taken for that to the good one."""
    for probe in GROUPS[group][:: max(1, len(GROUPS[group]) // 5)]:
        before = listener.effects()
        found = await answers(listener, ACT + probe + ACT)
        assert found.startswith(b"HTTP/1.1 20"), probe
        assert found.count(b"HTTP/1.1 20") == 1, probe
        assert len(ANSWER.findall(found)) <= 2, probe
        assert listener.effects() - before == 1, probe


@pytest.mark.parametrize("probe", TOO_LARGE)
async def test_what_is_too_large_is_refused(listener: Listener, probe: str) -> None:
    before = listener.effects()
    assert wrong_with(await answers(listener, TOO_LARGE[probe] + ACT), 431) == ""
    assert listener.effects() == before


@pytest.mark.parametrize("size", [1, 7, 2**30])
async def test_good_requests_are_told_apart_in_whatever_pieces_they_come(listener: Listener, size: int) -> None:
    body = ACT.partition(b"\r\n\r\n")[2]
    every = [
        ACT,
        b"\r\n" + ACT,
        CODED + chunk(body) + chunk(b""),
        head("transfer-encoding: Chunked")
        + chunk(body[:5])
        + b"%x;a=b\r\n%b\r\n" % (len(body) - 5, body[5:])
        + b"0\r\nx: a\r\n\r\n",
        head(f"content-length: 00{len(body)}") + body,
        head(f"content-length: {len(body)}", line="POST http://localhost/v1/packets HTTP/1.1") + body,
        head(f"content-length: {len(body)}", "connection: close") + body,
    ]
    before = listener.effects()
    found = await answers(listener, b"".join(every), size=size)
    assert found.count(b"HTTP/1.1 20") == len(every)
    assert len(ANSWER.findall(found)) == len(every)
    assert listener.effects() - before == len(every)


@pytest.mark.parametrize("sent", [ACT[:20], head("content-length: 100"), CODED + b"5\r\n12"])
async def test_who_stalls_is_told_so_in_time(hasty: Listener, sent: bytes) -> None:
    assert wrong_with(await answers(hasty, sent), 408) == ""


async def test_a_body_of_more_than_is_taken_is_refused_unread(hasty: Listener) -> None:
    assert wrong_with(await answers(hasty, head("content-length: 1000001")), 413) == ""
    assert wrong_with(await answers(hasty, head("content-length: 9", "content-encoding: gzip")), 415) == ""


async def test_every_answer_says_what_it_is_not(listener: Listener) -> None:
    for probe in (ACT, request("GET", "/nothing"), head("content-length: x")):
        found = await answers(listener, probe.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
        assert b"\r\nx-content-type-options: nosniff\r\n" in found
        assert b"\r\ncache-control: no-store\r\n" in found
