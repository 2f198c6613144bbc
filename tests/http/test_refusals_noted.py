"""What is refused is counted, and told of in the log, whatever refuses it: not every sender looks at the answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from collator.errors import StorageFull
from collator.packet import PacketLimits
from collator.rules.resource import LedgerLimits
from collator.tokens import Tokens
from collator.web.limits import HttpLimits
from collator.web.problems import ProblemType
from tests.http.listener import Harness, chunk, ndjson, open_door, packet, request, stream_head
from tests.wait import until

LIMITS = HttpLimits(max_body=100_000, head_seconds=0.2, body_seconds=0.2)
SECRET = "4711-secret"


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(
        tmp_path, ledger_limits=LedgerLimits(packet_limits=PacketLimits(max_payload=1000), max_open=1), limits=LIMITS
    ) as listener:
        await listener.post(packet(0, "r"))
        yield listener


def count(listener: Harness, code: ProblemType) -> float:
    value: float = listener.metrics.refused.labels(code.code)._value.get()
    return value


def asks(path: str, body: bytes | None = None, method: str = "POST", **fields: str) -> bytes:
    return request(method, path, body, **{"user_agent": "sender/1.0", **fields})


GOOD = json.dumps(packet(1)).encode()
REFUSED: dict[str, tuple[ProblemType, bytes, str]] = {
    "no such path": (ProblemType.NOT_FOUND, asks("/v2/packets", GOOD), "/v2/packets"),
    "no such resource": (ProblemType.UNKNOWN, asks("/v1/resources/x", method="GET"), "/v1/resources/x"),
    "a resource with an address for its id": (
        ProblemType.UNKNOWN,
        asks("/v1/resources/jane@example.org/outputs", method="GET"),
        "/v1/resources/jane@example.org/outputs",
    ),
    "another method": (ProblemType.METHOD_NOT_ALLOWED, asks("/v1/packets", method="GET"), "/v1/packets"),
    "another method of a page": (ProblemType.METHOD_NOT_ALLOWED, asks("/v1/status"), "/v1/status"),
    "a foreign host": (ProblemType.UNKNOWN_HOST, asks("/v1/packets", GOOD, host="evil.example"), "/v1/packets"),
    "a foreign page": (
        ProblemType.CROSS_ORIGIN,
        asks("/v1/packets", GOOD, origin="http://evil.example"),
        "/v1/packets",
    ),
    "another media type": (ProblemType.UNSUPPORTED_MEDIA_TYPE, asks("/v1/packets", GOOD, media_type=""), "/v1/packets"),
    "packed": (ProblemType.UNSUPPORTED_MEDIA_TYPE, asks("/v1/packets", GOOD, content_encoding="gzip"), "/v1/packets"),
    "malformed": (ProblemType.MALFORMED, asks("/v1/packets", b"{"), "/v1/packets"),
    "a malformed array": (ProblemType.MALFORMED, asks("/v1/packets", b"[{}]"), "/v1/packets"),
    "a malformed stream": (
        ProblemType.MALFORMED,
        asks("/v1/packets", b"{\n", media_type="application/jsonl"),
        "/v1/packets",
    ),
    "a malformed stream with receipts": (
        ProblemType.MALFORMED,
        asks("/v1/packets?receipts=all", b"{\n", media_type="application/jsonl"),
        "/v1/packets",
    ),
    "an unknown option": (ProblemType.MALFORMED, asks(f"/v1/packets?secret={SECRET}", GOOD), "/v1/packets"),
    "too large": (ProblemType.TOO_LARGE, asks("/v1/packets", b"[%s]" % (b" " * 200_000)), "/v1/packets"),
    "a conflict": (
        ProblemType.CONFLICT,
        asks("/v1/resources/r/packets/0", b"1", method="PUT"),
        "/v1/resources/r/packets/0",
    ),
    "a limit": (ProblemType.REFUSED, asks("/v1/packets", json.dumps(packet(0, "s")).encode()), "/v1/packets"),
    "a limit in an array": (
        ProblemType.REFUSED,
        asks("/v1/packets", json.dumps([packet(0, "s")]).encode()),
        "/v1/packets",
    ),
    "a limit in a stream": (
        ProblemType.REFUSED,
        asks("/v1/packets", ndjson(packet(0, "s")), media_type="application/jsonl"),
        "/v1/packets",
    ),
    # What the guard refuses.
    "two lengths": (ProblemType.BAD_REQUEST, asks("/v1/packets", GOOD, Content_length="1"), "/v1/packets"),
    "no HTTP": (ProblemType.BAD_REQUEST, b"\x16\x03\x01" + bytes(30), ""),
    "a large head": (ProblemType.HEAD_TOO_LARGE, asks("/healthz", method="GET", x="a" * 40_000), "/healthz"),
    "half a head": (ProblemType.TIMEOUT, asks("/healthz", method="GET")[:-2], "/healthz"),
    "half a body": (ProblemType.TIMEOUT, asks("/v1/packets", GOOD)[:-2], "/v1/packets"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_refusal_is_counted_and_told_of_once(listener: Harness, case: str) -> None:
    code, data, path = REFUSED[case]
    before, status = count(listener, code), 0
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            async with listener.wire() as wire:
                await wire.send(data)
                status, _ = await wire.head()
    assert status in {200, code.status}
    assert count(listener, code) == before + 3
    (line,) = [one for one in lines if one["event"] == "request refused"]
    assert (line["log_level"], line["code"], line["status"], line["path"]) == ("warning", code.code, code.status, path)
    assert line["peer"].startswith("127.0.0.1:")
    assert line["user_agent"] == ("" if case in {"no HTTP", "half a head"} else "sender/1.0")
    assert line["detail"]
    assert line["times"] == 1
    assert SECRET not in repr(lines)


async def test_each_kind_has_its_line_and_none_has_what_a_body_holds(listener: Harness) -> None:
    with structlog.testing.capture_logs() as lines:
        await listener.post(packet(-1, payload=SECRET))
        await listener.post(packet(0, payload=SECRET))
        await listener.post(packet(0, "s", payload=SECRET))
        await listener.ask("PUT", "/v1/resources/r/packets/x", SECRET.encode(), authorization=f"Bearer {SECRET}")
        await listener.ask("GET", f"http://user:{SECRET}@127.0.0.1/?{SECRET}")
    assert [line["code"] for line in lines] == ["malformed", "conflict", "refused", "bad_request"]
    assert SECRET not in repr(lines)


async def test_a_line_is_bounded_and_cannot_forge_another(listener: Harness) -> None:
    with structlog.testing.capture_logs() as lines:
        await listener.ask("POST", "/" + "a" * 5000, b"", user_agent="x\x1b[2J\xa0" * 1000)
    (line,) = lines
    assert all(len(part) < 1000 for part in line.values() if isinstance(part, str))
    assert "".join(part for part in line.values() if isinstance(part, str)).isprintable()


async def test_a_refusal_of_a_token_is_noted(tmp_path: Path) -> None:
    async with open_door(tmp_path, tokens=lambda: Tokens(())) as listener:
        with structlog.testing.capture_logs() as lines:
            assert (await listener.post(packet(), authorization=f"Bearer {SECRET}")).status == 401
        assert count(listener, ProblemType.UNAUTHORIZED) == 1
    assert (lines[0]["code"], SECRET in repr(lines)) == ("unauthorized", False)


async def test_too_many_connections_are_noted(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_connections=1)) as listener, listener.wire() as wire:
        listener.ledger.open.clear()
        await wire.send(request("POST", "/v1/packets", b"{}"))
        await wire.reply()
        await wire.send(request("POST", "/v1/packets", json.dumps(packet()).encode()))
        await until(lambda: listener.ledger.calls)
        with structlog.testing.capture_logs() as lines:
            assert (await listener.post(packet())).status == 503
        assert count(listener, ProblemType.BUSY) == 1
        listener.ledger.open.set()
        await wire.reply()
    assert "max_connections" in lines[0]["detail"]


async def test_a_connection_that_gave_way_is_noted(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_connections=1)) as listener, listener.wire() as wire:
        await until(lambda: listener.server.connections == 1)
        with structlog.testing.capture_logs() as lines:
            assert (await listener.post(packet())).status == 202
        assert await wire.end() == b""
        assert "collator_connections_closed_total 1.0" in listener.metrics.text().decode()
    assert lines[0]["event"] == "connection closed"
    assert "max_connections" in lines[0]["detail"]


async def test_a_store_that_fails_is_noted(listener: Harness) -> None:
    listener.ledger.errors[1] = StorageFull()
    assert (await listener.stream(packet(1))).status == 503
    assert count(listener, ProblemType.STORAGE_FULL) == 1


async def test_what_is_asked_all_the_time_is_counted_and_not_told(listener: Harness) -> None:
    listener.reasons.append("it is a test")
    with structlog.testing.capture_logs() as lines:
        assert (await listener.ask("GET", "/readyz")).status == 503
    assert (count(listener, ProblemType.NOT_READY), lines) == (1, [])


async def test_good_news_is_no_line(listener: Harness) -> None:
    with structlog.testing.capture_logs() as lines:
        await listener.post(packet(1))
        await listener.post([packet(1), packet(2)])
        await listener.stream(packet(3), b"")
        await listener.stream(packet(4), options="?receipts=all")
    assert lines == []


async def test_packets_that_were_not_taken_beside_others_are_told_of(listener: Harness) -> None:
    bad: Mapping[str, Any] = packet(0, payload=SECRET)
    for send in (listener.stream(packet(1), b"{", bad), listener.stream(packet(1), bad, options="?receipts=all")):
        with structlog.testing.capture_logs() as lines:
            assert (await send).status == 200
        if lines:  # the second is held back
            (line,) = lines
            assert (line["event"], line["path"]) == ("packets not accepted", "/v1/packets")
            assert line["detail"].startswith("2 of 3: line 2: ")
            assert "another payload" in line["detail"]
            assert SECRET not in repr(line)
    text = listener.metrics.text().decode()
    assert 'collator_packets_total{status="malformed"} 1.0' in text
    assert 'collator_packets_total{status="conflict"} 2.0' in text
    assert 'collator_requests_refused_total{code="malformed"} 0.0' in text


async def test_a_stream_that_is_broken_off_is_noted_once(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(packet(1))) + b"zz\r\n")
        assert (await wire.reply()).status == 400
    await until(lambda: listener.app._load.streams.used == 0)
    assert sum(count(listener, kind) for kind in ProblemType) == count(listener, ProblemType.BAD_REQUEST) == 1
