"""A stream of packets: judged line by line, committed as it comes, summed up whatever ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from collator.errors import ReadOnly, StorageFull
from collator.packet import PacketLimits
from collator.rules.resource import LedgerLimits
from collator.web.buffer_memory import BufferMemory
from collator.web.limits import HttpLimits
from collator.web.loop_turns import LoopTurns
from collator.web.ndjson import PacketStream
from collator.web.request_body import RequestBody
from tests.http.listener import Harness, Reply, chunk, ndjson, open_door, packet, request, stream_head
from tests.wait import until

GOOD = {"conflict": 0, "closed": 0, "refused": 0, "error": 0, "malformed": 0, "rejected": []}
BOUNDS = PacketLimits(max_payload=1000)


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path, ledger_limits=LedgerLimits(packet_limits=BOUNDS, max_open=3)) as listener:
        yield listener


async def received(listener: Harness, resource_id: str = "r") -> int:
    """How many packets of a resource are durable."""
    return int((await listener.ledger.resource(resource_id)).received)


def codes(reply: Reply) -> list[tuple[int, str]]:
    return [(entry["line"], entry["problem"]["code"]) for entry in reply.json["rejected"]]


# What a stream is.


@pytest.mark.parametrize(
    "media_type", ["application/x-ndjson", "application/jsonl", "Application/JSONL; charset=utf-8"]
)
async def test_a_good_stream_gets_200_and_its_summary(listener: Harness, media_type: str) -> None:
    body = ndjson(*(packet(i) for i in range(100)), packet(7))
    reply = await listener.ask("POST", "/v1/packets", body, media_type=media_type)
    assert reply.status == 200
    assert reply.json == {"done": True, "decided_lines": 101, "accepted": 100, "duplicate": 1, **GOOD}
    assert await received(listener) == 100


async def test_good_lines_of_a_bad_stream_are_taken(listener: Harness) -> None:
    reply = await listener.stream(
        packet(0),
        b"{",
        b"",
        packet(1),
        packet(0, payload="other"),
        b'{"resource_id":"r","index":2,"payload":"\xff"}',
        packet(2, colour="red"),
        packet(-1),
        b'{"resource_id":"r","index":3,"payload":NaN}',
        b'{"resource_id":"r","index":3,"payload":%s}' % (b"[" * 5000 + b"]" * 5000),
        b'{"resource_id":"r","index":3,"payload":0} {"resource_id":"r","index":4,"payload":0}',
        packet(5, last=True),
    )
    assert reply.status == 200
    summary = reply.json
    assert (summary["decided_lines"], summary["accepted"], summary["conflict"], summary["malformed"]) == (12, 3, 1, 7)
    assert codes(reply) == [(n, "conflict" if n == 5 else "malformed") for n in (2, 5, 6, 7, 8, 9, 10, 11)]
    problem = summary["rejected"][1]["problem"]
    assert (problem["resource_id"], problem["index"], problem["status"]) == ("r", 0, 409)
    assert await received(listener) == 3


async def test_closed_and_refused_lines_are_counted_and_say_why(listener: Harness) -> None:
    await listener.post([packet(0, resource_id) for resource_id in "abc"])
    await listener.ledger.cancel("a")
    await listener.post(packet(0, "d"))
    reply = await listener.stream(packet(1, "a"), packet(0, "e"), packet(1, "b"))
    assert (reply.json["closed"], reply.json["refused"], reply.json["accepted"]) == (1, 1, 1)
    assert codes(reply) == [(1, "closed"), (2, "refused")]
    assert reply.json["rejected"][1]["problem"]["retry_after"] > 0


async def test_the_last_line_needs_no_line_feed(listener: Harness) -> None:
    reply = await listener.stream(packet(0), packet(1))
    body = ndjson(packet(0), packet(1))[:-1]
    reply = await listener.ask("POST", "/v1/packets", body, media_type="application/jsonl")
    assert (reply.json["decided_lines"], reply.json["duplicate"], reply.json["rejected"]) == (2, 2, [])


async def test_a_last_line_that_is_cut_off_is_rejected(listener: Harness) -> None:
    body = ndjson(packet(0), packet(1))[:-5]
    reply = await listener.ask("POST", "/v1/packets", body, media_type="application/jsonl")
    assert (reply.status, reply.json["accepted"], codes(reply)) == (200, 1, [(2, "incomplete_line")])


async def test_an_empty_stream_gets_an_empty_summary(listener: Harness) -> None:
    reply = await listener.ask("POST", "/v1/packets", b"", media_type="application/jsonl")
    assert reply.json == {"done": True, "decided_lines": 0, "accepted": 0, "duplicate": 0, **GOOD}
    assert listener.ledger.calls == []


async def test_a_stream_may_come_byte_by_byte(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head())
        for byte in ndjson(packet(0, "ü"), b"{", packet(1, "ü")):
            await wire.send(chunk(bytes([byte])))
        await wire.send(chunk(b""))
        reply = await wire.reply()
    assert (reply.json["accepted"], codes(reply)) == (2, [(2, "malformed")])


async def test_p5_a_line_without_end_is_dropped_and_the_stream_goes_on(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(packet(0))) + chunk(b'{"resource_id":"'))
        for _ in range(100):
            await wire.send(chunk(b"x" * 10_000))
        await wire.send(chunk(b'"}\n' + ndjson(packet(1))) + chunk(b""))
        reply = await wire.reply()
    assert (reply.json["accepted"], reply.json["decided_lines"], codes(reply)) == (2, 3, [(2, "too_large")])


async def test_a_summary_lists_so_many_rejected_lines_and_counts_all(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_rejected=3)) as listener:
        reply = await listener.stream(*(b"{" for _ in range(10)), packet(0))
        assert (reply.json["malformed"], reply.json["accepted"]) == (10, 1)
        assert codes(reply) == [(n, "malformed") for n in (1, 2, 3)]


@pytest.mark.parametrize("options", ["?receipts=some", "?receipt=all", "?receipts=all&receipts=all"])
async def test_unknown_options_get_422(listener: Harness, options: str) -> None:
    assert (await listener.stream(packet(), options=options)).problem["code"] == "malformed"


async def test_a_packed_stream_gets_415(listener: Harness) -> None:
    body = ndjson(packet())
    reply = await listener.ask("POST", "/v1/packets", body, media_type="application/jsonl", content_encoding="gzip")
    assert reply.problem["code"] == "unsupported_media_type"


# How it flows.


async def test_p1_groups_are_committed_while_the_stream_is_open(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(packet(0), packet(1))))
        await until(lambda: listener.metrics.packets.labels("accepted")._value.get() == 2)
        assert await received(listener) == 2
        await wire.send(chunk(ndjson(packet(2))) + chunk(b""))
        assert (await wire.reply()).json["accepted"] == 3


async def test_p5_a_sender_feels_a_slow_disk(tmp_path: Path) -> None:
    """A few groups are under way, and of the rest only what the sockets hold is taken."""
    async with open_door(tmp_path) as listener, listener.wire() as wire:
        listener.ledger.open.clear()
        lines = ndjson(*(packet(i, payload="x" * 1000) for i in range(20_000)))
        wire.write(stream_head() + chunk(lines) + chunk(b""))
        await until(lambda: len(listener.ledger.calls) == 3)
        for _ in range(20):  # others are served meanwhile, and time enough to read on
            assert (await listener.ask("GET", "/healthz")).status == 200
        assert len(listener.ledger.calls) == 3
        assert wire.unsent() > len(lines) / 2
        listener.ledger.open.set()
        assert (await wire.reply()).json["accepted"] == 20_000


async def test_groups_are_bounded_in_bytes_too(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_group_bytes=1000)) as listener, listener.wire() as wire:
        listener.ledger.open.clear()
        await wire.send(stream_head())
        for index in range(3):
            await wire.send(chunk(ndjson(packet(index, payload="x" * 600))))
            await until(lambda: listener.ledger.calls)
        for _ in range(20):
            assert (await listener.ask("GET", "/healthz")).status == 200
        assert listener.ledger.calls == [1]
        listener.ledger.open.set()
        await wire.send(chunk(b""))
        assert (await wire.reply()).json["accepted"] == 3


async def test_p5_there_are_so_many_streams_at_a_time(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_streams=1)) as listener:
        async with listener.wire() as wire:
            await wire.send(stream_head() + chunk(ndjson(packet(0))))
            await until(lambda: listener.ledger.calls)
            reply = await listener.stream(packet(1))
            assert (reply.status, reply.problem["code"], reply.headers["retry-after"]) == (503, "busy", "5")
            await wire.send(chunk(b""))
            assert (await wire.reply()).status == 200
        assert (await listener.stream(packet(1))).status == 200


async def test_a_stream_leaves_no_task_behind(listener: Harness) -> None:
    await listener.stream(packet(0))
    before = len(asyncio.all_tasks())
    for options in ("", "?receipts=all"):
        for _ in range(3):
            assert (await listener.stream(packet(0), options=options)).status == 200
    await until(lambda: len(asyncio.all_tasks()) <= before)


# How it ends early.


async def test_a_silent_stream_is_committed_summed_up_and_closed(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(stream_idle=0.1)) as listener, listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(packet(0)) + b'{"resource_id":'))
        reply = await wire.reply()
        assert (reply.status, reply.problem["code"], reply.headers["connection"]) == (408, "stream_idle", "close")
        assert (reply.json["done"], reply.json["decided_lines"], reply.json["accepted"]) == (True, 1, 1)
        assert await wire.end() == b""


@pytest.mark.parametrize("options", ["", "?receipts=all"])
async def test_blank_lines_keep_a_stream_open_through_its_pauses(tmp_path: Path, options: str) -> None:
    """For hours, as far as it knows: three other streams, one after the other, are closed as silent meanwhile."""
    async with open_door(tmp_path, limits=HttpLimits(stream_idle=0.2)) as listener, listener.wire() as wire:
        await wire.send(stream_head(options) + chunk(ndjson(packet(0))))
        beats = 0
        for _ in range(3):
            silent = asyncio.create_task(says_nothing(listener))
            while not silent.done():
                await asyncio.wait({silent}, timeout=0.05)
                await wire.send(chunk(b"\n"))
                beats += 1
            assert (await silent).problem["code"] == "stream_idle"
        await wire.send(chunk(ndjson(packet(1))) + chunk(b""))
        reply = await wire.reply()
        last = reply.lines[-1]
        assert (reply.status, last["done"], last["accepted"], last["malformed"]) == (200, True, 2, 0)
        assert last["decided_lines"] == 2 + beats


async def test_a_stream_that_is_not_silent_outlives_the_deadline_of_other_bodies(tmp_path: Path) -> None:
    limits = HttpLimits(stream_idle=5.0, body_seconds=0.1, head_seconds=0.1)
    async with open_door(tmp_path, limits=limits) as listener, listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(packet(0))))
        for _ in range(3):
            await other_times_out(listener)
        await wire.send(chunk(ndjson(packet(1))) + chunk(b""))
        assert (await wire.reply()).json["accepted"] == 2


@pytest.mark.parametrize(("error", "code"), [(StorageFull(retry_after=9), "storage_full"), (ReadOnly(), "read_only")])
async def test_a_full_disk_ends_the_stream_with_503_and_says_how_far_it_came(
    listener: Harness, error: Exception, code: str
) -> None:
    listener.ledger.errors[1] = error
    async with listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(packet(0), b"{")))
        await until(lambda: len(listener.ledger.calls) == 1)
        await wire.send(chunk(ndjson(packet(1), packet(2))))
        reply = await wire.reply()
        assert (reply.status, reply.problem["code"], reply.headers["connection"]) == (503, code, "close")
        assert int(reply.headers["retry-after"]) >= 1
        assert (reply.json["done"], reply.json["decided_lines"], reply.json["accepted"]) == (True, 2, 1)
        assert await wire.end() == b""
    assert await received(listener) == 1
    assert (await listener.stream(packet(1), packet(2))).json["accepted"] == 2


async def test_decided_lines_stop_at_the_first_group_that_is_not_stored(listener: Harness) -> None:
    """Later groups may be stored; a sender that goes on from there repeats them, and that is harmless (R5)."""
    listener.ledger.open.clear()
    listener.ledger.errors[1] = StorageFull()
    async with listener.wire() as wire:
        await wire.send(stream_head())
        for index in range(3):
            await wire.send(chunk(ndjson(packet(index))))
            await until(lambda index=index: len(listener.ledger.calls) == index + 1)  # type: ignore[misc]
        listener.ledger.open.set()
        reply = await wire.reply()
    assert (reply.status, reply.json["decided_lines"], reply.json["accepted"]) == (503, 1, 1)
    assert (await listener.stream(packet(1), packet(2))).json["duplicate"] == 1


async def test_p7_a_service_that_stops_sums_up_its_streams(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(packet(0))))
        await until(lambda: listener.ledger.calls)
        listener.intake.drain()
        reply = await wire.reply()
        assert (reply.status, reply.problem["code"]) == (503, "unavailable")
        assert (reply.json["decided_lines"], reply.json["accepted"]) == (1, 1)
        assert await wire.end() == b""
    assert (await listener.stream(packet(1))).json["decided_lines"] == 0


async def test_a_defect_ends_the_stream_with_500(listener: Harness) -> None:
    listener.ledger.errors[0] = RuntimeError("a defect")
    assert (await listener.stream(packet())).problem["code"] == "internal_error"


async def test_whole_lines_of_a_client_that_goes_away_are_kept(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(packet(0), packet(1)) + b'{"resource_id":"r","index":2'))
        await until(lambda: listener.ledger.calls)
    await until(lambda: listener.app._load.streams.used == 0)
    assert await received(listener) == 2


async def test_a_bad_chunk_ends_the_stream_at_once_and_keeps_its_whole_lines(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(linger_seconds=60.0)) as listener:
        async with listener.wire() as wire:
            await wire.send(stream_head() + chunk(ndjson(packet(0))))
            await until(lambda: listener.ledger.calls)
            await wire.send(b"zz\r\n")
            assert (await wire.reply()).problem["code"] == "bad_request"
            assert await wire.end() == b""
            await until(lambda: listener.app._load.streams.used == 0)
        assert await received(listener) == 1


# Receipts while it comes.


async def test_receipts_come_while_the_stream_is_open(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head("?receipts=all"))
        status, headers = await wire.head()
        assert (status, headers["content-type"]) == (200, "application/x-ndjson")
        lines = wire.lines()
        for index in range(3):
            await wire.send(chunk(ndjson(packet(index))))
            assert await anext(lines) == {"resource_id": "r", "index": index, "status": "accepted"}
        await wire.send(chunk(ndjson(packet(0, payload="other"), b"{")))
        assert (await anext(lines))["status"] == "conflict"
        assert (await anext(lines))["problem"]["code"] == "malformed"
        await wire.send(chunk(b""))
        last = await anext(lines)
        assert (last["done"], last["decided_lines"], last["accepted"], last["malformed"]) == (True, 5, 3, 1)
        assert [line async for line in lines] == []


async def test_p5_receipts_tell_of_many_lines_without_a_packet_together(tmp_path: Path) -> None:
    """One by one each would cost 60 times what it took to send it. Every line is told of, and every packet."""
    nonsense = [b"{}", b"[", b"", b"1 2", b'{"resource_id":"r","index":-1,"payload":"of some length"}'] * 100
    body = b"\n".join([*nonsense, ndjson(packet(0)).rstrip(), *nonsense, b""])
    async with open_door(tmp_path, limits=HttpLimits(max_rejected=3)) as listener, listener.wire() as wire:
        await wire.send(stream_head("?receipts=all") + chunk(body) + chunk(b""))
        *lines, last = (await wire.reply()).lines
        assert (last["accepted"], last["malformed"], last["decided_lines"]) == (1, 800, 1001)
        assert [line["line"] for line in last["rejected"]] == [1, 2, 4]
        told = [line for line in lines if "problem" in line]
        assert [line["line"] for line in told[:4]] == [1, 2, 4, 5]
        assert sum(line.get("lines", 1) for line in told) == 800
        assert len(told) < 10
        assert [line["status"] for line in lines if "status" in line] == ["accepted"]


async def test_receipts_say_last_why_a_stream_ended_early(listener: Harness) -> None:
    listener.ledger.errors[1] = StorageFull()
    async with listener.wire() as wire:
        await wire.send(stream_head("?receipts=all"))
        await wire.head()
        lines = wire.lines()
        await wire.send(chunk(ndjson(packet(0))))
        assert (await anext(lines))["status"] == "accepted"
        await wire.send(chunk(ndjson(packet(1))))
        last = await anext(lines)
        assert (last["code"], last["status"], last["done"], last["decided_lines"]) == ("storage_full", 503, True, 1)
        assert [line async for line in lines] == []
        assert await wire.end() == b""


async def test_p5_receipts_that_nobody_reads_end_the_stream(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_unread=10_000)) as listener, listener.wire() as wire:
        listener.ledger.open.clear()
        wire.write(stream_head("?receipts=all"))
        wire.write(chunk(ndjson(*(packet(i, "r" * 200) for i in range(100_000)))))
        await until(lambda: listener.ledger.calls)
        listener.ledger.open.set()
        await until(lambda: listener.app._load.streams.used == 0 or wire.unsent() == 0, timeout=20.0)
        status, _ = await wire.head()
        said = [line async for line in wire.lines()]
        assert status == 200
        assert (said[-1]["code"], said[-1]["done"]) == ("receipts_unread", True)
        assert said[-1]["decided_lines"] == len(said) - 1 < 100_000


async def test_expect_100_continue_works_with_receipts(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head("?receipts=all", expect="100-continue"))
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(chunk(ndjson(packet(0))) + chunk(b""))
        reply = await wire.reply()
        assert [line.get("status", line.get("done")) for line in reply.lines] == ["accepted", True]


async def says_nothing(listener: Harness) -> Reply:
    """A stream that never sends a byte."""
    return await listener.ask("POST", "/v1/packets", transfer_encoding="chunked", content_type="application/x-ndjson")


async def other_times_out(listener: Harness) -> None:
    """A body that stalls, as a measure of time."""
    async with listener.wire() as wire:
        await wire.send(request("POST", "/v1/packets", content_length="9", content_type="application/json"))
        assert (await wire.reply()).status == 408


class Whole(RequestBody):
    """A body that is there in one piece."""

    def __init__(self, body: bytes) -> None:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body}

        super().__init__({"headers": []}, receive, BufferMemory(0), LoopTurns())


async def test_a_stream_of_nonsense_holds_up_nobody(listener: Harness) -> None:
    turns, told = 0, list[int]()

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    waiting = asyncio.create_task(others())
    stream = PacketStream(
        listener.intake,
        Whole(b"x\n" * 100_000),
        packet_limits=PacketLimits(),
        limits=HttpLimits(),
        told=lambda group, _: told.append(turns) if group.faults else None,
    )
    assert await stream.run() is None
    waiting.cancel()
    assert len({*told}) == len(told) >= 4


async def test_a_stream_that_is_cancelled_gives_back_once_what_it_held(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(listener.intake, "accept", never)
    request = Whole(b'{"resource_id":"r","index":0,"payload":1}\n' * 3)
    stream = PacketStream(
        listener.intake, request, packet_limits=PacketLimits(), limits=HttpLimits(), told=lambda *_: None
    )
    running = asyncio.create_task(stream.run())
    await until(lambda: request.buffer_memory.used > 0)
    running.cancel()
    await asyncio.wait({running})
    await until(lambda: request.buffer_memory.used <= 0)
    await anyio.lowlevel.checkpoint()
    assert request.buffer_memory.used == request.buffer_memory.held(request.who) == 0
