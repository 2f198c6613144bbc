"""`POST /v1/packets` with what comes whole: every answer that a packet or an array can get, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collator.errors import ReadOnly, StorageFull
from collator.messages import Output, tasks_of
from collator.packet import PacketLimits
from collator.rules.resource import LedgerLimits
from collator.web.limits import HttpLimits
from tests.http.listener import Harness, chunk, open_door, packet, request, stream_head
from tests.wait import until

BOUNDS = PacketLimits(max_packets=100, max_payload=1000)
LIMITS = HttpLimits(max_body=100_000, max_buffered=150_000)


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(
        tmp_path, ledger_limits=LedgerLimits(packet_limits=BOUNDS, max_open=3), limits=LIMITS
    ) as listener:
        yield listener


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    """One listener for all that never gets as far as the ledger."""
    async with open_door(
        tmp_path_factory.mktemp("shared"), ledger_limits=LedgerLimits(packet_limits=BOUNDS), limits=LIMITS
    ) as listener:
        yield listener


async def finish(listener: Harness, resource_id: str = "r") -> None:
    """End a resource of one packet."""
    assert (await listener.post(packet(0, resource_id, last=True))).status == 202
    (task,) = tasks_of(await listener.ledger.claim(capacity=9))
    await listener.ledger.record([Output(task.lease, b"1")], capacity={})


# One packet.


async def test_an_accepted_packet_gets_202_and_its_receipt(listener: Harness) -> None:
    reply = await listener.post(packet(3, "call-17"))
    assert (reply.status, reply.json) == (202, {"resource_id": "call-17", "index": 3, "status": "accepted"})
    assert reply.headers["content-type"] == "application/json"


async def test_r5_a_repeat_gets_200(listener: Harness) -> None:
    await listener.post(packet())
    reply = await listener.post(packet())
    assert (reply.status, reply.json["status"]) == (200, "duplicate")


async def test_r6_a_conflict_gets_409_with_the_members_of_its_receipt(listener: Harness) -> None:
    await listener.post(packet())
    problem = (await listener.post(packet(payload="other"))).problem
    assert problem["status"] == 409
    assert (problem["code"], problem["resource_id"], problem["index"]) == ("conflict", "r", 0)
    assert "another payload" in problem["detail"]


async def test_r8_a_packet_for_an_ended_resource_gets_409_or_its_old_receipt(listener: Harness) -> None:
    await finish(listener)
    problem = (await listener.post(packet(5))).problem
    assert (problem["status"], problem["code"], problem["index"]) == (409, "closed", 5)
    assert (await listener.post(packet(0, payload="not compared any more"))).json["status"] == "duplicate"


async def test_r9_a_limit_gets_429_and_when_to_try_again(listener: Harness) -> None:
    for resource_id in "abc":
        await listener.post(packet(0, resource_id))
    reply = await listener.post(packet(0, "d"))
    assert (reply.status, reply.problem["code"]) == (429, "refused")
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.problem["retry_after"] > 0
    assert (await listener.post(packet(1, "a"))).status == 202


@pytest.mark.parametrize(("error", "code"), [(StorageFull(), "storage_full"), (ReadOnly(), "read_only")])
async def test_trouble_of_the_store_gets_503_before_any_ack(listener: Harness, error: Exception, code: str) -> None:
    listener.ledger.errors[0] = error
    reply = await listener.post(packet())
    assert (reply.status, reply.problem["code"]) == (503, code)
    assert int(reply.headers["retry-after"]) >= 1
    assert (await listener.post(packet())).json["status"] == "accepted"


async def test_a_defect_gets_500_and_tells_nothing_of_itself(listener: Harness) -> None:
    listener.ledger.errors[0] = RuntimeError("the secret is 42")
    reply = await listener.post(packet())
    assert (reply.status, reply.problem["code"]) == (500, "internal_error")
    assert b"42" not in reply.body


async def test_r1_ids_are_numbers_or_any_text(listener: Harness) -> None:
    assert (await listener.post(packet(0, 17))).json["resource_id"] == "17"
    assert (await listener.post(packet(0, "../ü/\U0001f600"))).json["resource_id"] == "../ü/\U0001f600"


async def test_r3_the_payload_stays_the_bytes_that_came(listener: Harness) -> None:
    payload = b'{ "b" : 1.0e2, "a":"\\u0041" }'
    await listener.post(b'{"resource_id":"r","index":0,"payload": %s ,"last":true}' % payload)
    (task,) = tasks_of(await listener.ledger.claim(capacity=1))
    assert task.payload == payload


BAD = {
    "no JSON": b"hello",
    "nothing": b"",
    "white space": b" \n",
    "cut off": b'{"resource_id":"r","index":0,"payl',
    "two values": b'{"resource_id":"r","index":0,"payload":0}{}',
    "a number": b"17",
    "unknown field": b'{"resource_id":"r","index":0,"payload":0,"colour":"red"}',
    "no payload": b'{"resource_id":"r","index":0}',
    "index is text": b'{"resource_id":"r","index":"0","payload":0}',
    "index is a fraction": b'{"resource_id":"r","index":0.5,"payload":0}',
    "index is negative": b'{"resource_id":"r","index":-1,"payload":0}',
    "index is beyond": b'{"resource_id":"r","index":100,"payload":0}',
    "index is 2^63": b'{"resource_id":"r","index":9223372036854775808,"payload":0}',
    "index is huge": b'{"resource_id":"r","index":%s,"payload":0}' % (b"9" * 600),
    "id is empty": b'{"resource_id":"","index":0,"payload":0}',
    "id is null": b'{"resource_id":null,"index":0,"payload":0}',
    "id is long": b'{"resource_id":"%s","index":0,"payload":0}' % (b"a" * 256),
    "id has NUL": b'{"resource_id":"a\\u0000b","index":0,"payload":0}',
    "id has a line feed": b'{"resource_id":"a\\nb","index":0,"payload":0}',
    "id is half a pair": b'{"resource_id":"\\ud800","index":0,"payload":0}',
    "id is not UTF-8": b'{"resource_id":"\xff","index":0,"payload":0}',
    "payload is not UTF-8": b'{"resource_id":"r","index":0,"payload":"\xff"}',
    "payload is NaN": b'{"resource_id":"r","index":0,"payload":NaN}',
    "payload is infinite": b'{"resource_id":"r","index":0,"payload":[Infinity]}',
    "payload overflows": b'{"resource_id":"r","index":0,"payload":1e999}',
    "payload is deep": b'{"resource_id":"r","index":0,"payload":%s%s}' % (b"[" * 129, b"]" * 129),
    "payload is very deep": b'{"resource_id":"r","index":0,"payload":%s%s}' % (b"[" * 9000, b"]" * 9000),
    "payload is large": b'{"resource_id":"r","index":0,"payload":"%s"}' % (b"a" * 1000),
    "last is a number": b'{"resource_id":"r","index":0,"payload":0,"last":1}',
    "total disagrees": b'{"resource_id":"r","index":0,"payload":0,"last":true,"total":2}',
    "total is zero": b'{"resource_id":"r","index":0,"payload":0,"total":0}',
    "metadata is a list": b'{"resource_id":"r","index":0,"payload":0,"metadata":[]}',
    "metadata is large": b'{"resource_id":"r","index":0,"payload":0,"metadata":{"a":"%s"}}' % (b"a" * 4096),
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"resource_id":"r","index":0,"payload":0}',
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
async def test_what_is_no_packet_gets_422_and_is_not_stored(shared: Harness, body: bytes) -> None:
    problem = (await shared.post(body)).problem
    assert (problem["status"], problem["code"]) == (422, "malformed")
    array = (await shared.post(b"[" + json.dumps(packet()).encode() + b"," + body + b"]")).problem
    assert array["status"] == 422
    assert shared.ledger.calls == []


async def test_r2_the_highest_index_and_the_deepest_payload_are_taken(listener: Harness) -> None:
    deep = b"[" * 128 + b"]" * 128
    assert (await listener.post(b'{"resource_id":"r","index":99,"payload":%s}' % deep)).status == 202


# An array.


async def test_an_array_gets_a_receipt_for_each_whatever_they_say(listener: Harness) -> None:
    await finish(listener, "ended")
    reply = await listener.post(
        [packet(0), packet(1), packet(0), packet(0, payload="other"), packet(1, "ended"), packet(2, last=True)]
    )
    assert reply.status == 202
    receipts = reply.json["receipts"]
    assert [r["status"] for r in receipts] == ["accepted", "accepted", "duplicate", "conflict", "closed", "accepted"]
    assert [(r["resource_id"], r["index"]) for r in receipts[3:5]] == [("r", 0), ("ended", 1)]
    assert all(("reason" in r) == (r["status"] in {"conflict", "closed"}) for r in receipts)


async def test_an_empty_array_gets_no_receipts(listener: Harness) -> None:
    reply = await listener.post(b" \n[ ]")
    assert (reply.status, reply.json) == (202, {"receipts": []})


async def test_a_malformed_array_names_the_first_that_is_wrong(listener: Harness) -> None:
    problem = (await listener.post([packet(0), packet(-1), packet(-2)])).problem
    assert "packet 1" in problem["detail"]


async def test_a_large_array_is_stored_in_slices_in_order(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener:
        reply = await listener.post([packet(i, payload="x" * 300, last=i == 2499) for i in range(2500)])
        assert [r["index"] for r in reply.json["receipts"]] == [*range(2500)]
        assert {r["status"] for r in reply.json["receipts"]} == {"accepted"}
        assert listener.ledger.calls == [1000, 1000, 500]


async def test_an_array_that_is_stored_in_part_says_what_is_refused(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener:
        listener.ledger.errors[1] = StorageFull(retry_after=7)
        reply = await listener.post([packet(i) for i in range(2500)])
        assert (reply.status, reply.problem["code"], reply.headers["retry-after"]) == (503, "storage_full", "7")
        statuses = [r["status"] for r in reply.json["receipts"]]
        assert statuses == ["accepted"] * 1000 + ["refused"] * 1500
        assert reply.json["receipts"][-1]["retry_after"] == 7


async def test_an_array_of_which_nothing_is_stored_gets_503(listener: Harness) -> None:
    listener.ledger.errors[0] = StorageFull()
    assert (await listener.post([packet()])).problem["code"] == "storage_full"


# One packet at its own path.


async def test_put_takes_the_body_as_the_payload(listener: Harness) -> None:
    reply = await listener.ask("PUT", "/v1/resources/a%2Fb%20c/packets/2?last=true", b' {"x": 1}\n')
    assert (reply.status, reply.json) == (202, {"resource_id": "a/b c", "index": 2, "status": "accepted"})
    assert (await listener.post(b'{"resource_id":"a/b c","index":2,"payload":{"x": 1}}')).json["status"] == "duplicate"
    report = (await listener.ask("GET", "/v1/resources/a%2Fb%20c")).json
    assert (report["total"], report["missing"]) == (3, [[0, 1]])


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/resources/r/packets/x", b"1", "malformed"),
        ("/v1/resources/r/packets/-1", b"1", "malformed"),
        ("/v1/resources/r/packets/" + "9" * 5000, b"1", "malformed"),
        ("/v1/resources/r/packets/%D9%A3", b"1", "malformed"),  # an Arabic digit
        ("/v1/resources/r/packets/0?last=yes", b"1", "malformed"),
        ("/v1/resources/r/packets/0?latest=true", b"1", "malformed"),
        ("/v1/resources/r/packets/0?total=1&total=1", b"1", "malformed"),
        ("/v1/resources/r/packets/0?last=true&total=2", b"1", "malformed"),
        ("/v1/resources/r/packets/0", b"", "malformed"),
        ("/v1/resources/r/packets/0", b"{", "malformed"),
        ("/v1/resources/%ff/packets/0", b"1", "malformed"),
        ("/v1/resources/a%00b/packets/0", b"1", "malformed"),
        ("/v1/resources//packets/0", b"1", "not_found"),
        ("/v1/resources/a/b/packets/0", b"1", "not_found"),
    ],
)
async def test_put_refuses_what_is_no_packet(shared: Harness, path: str, body: bytes, code: str) -> None:
    assert (await shared.ask("PUT", path, body)).problem["code"] == code


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("9" * 20, f"index: {'9' * 20} is not between 0 and 16777215"),
        ("9" * 5000, f"index: {'9' * 149}…{'9' * 50} is not between 0 and 16777215"),
        ("0?total=0", "total: 0 is not between 1 and 16777216"),
        ("0?total=" + "9" * 20, f"total: {'9' * 20} is not between 1 and 16777216"),
        ("0?total=1.0", "total: '1.0' is not a whole number"),
    ],
)
async def test_a_number_that_is_out_of_range_is_told_with_the_range(shared: Harness, path: str, words: str) -> None:
    assert (await shared.ask("PUT", f"/v1/resources/r/packets/{path}", b"1")).problem["detail"] == words


@pytest.mark.parametrize("path", ["/v1%2Fpackets", "/%76%31/packets", "/v1/packets%3Freceipts=all"])
async def test_r1_a_path_is_what_was_sent(shared: Harness, path: str) -> None:
    assert (await shared.ask("POST", path, json.dumps(packet()).encode())).problem["code"] == "not_found"


# Media types, methods, sizes.


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=latin-1", "application/json;x"])
async def test_json_is_taken_whatever_its_parameters(listener: Harness, media_type: str) -> None:
    assert (await listener.post(packet(), media_type=media_type)).status == 202


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_other_media_types_get_415(listener: Harness, media_type: str) -> None:
    assert (await listener.post(packet(), media_type=media_type)).problem["code"] == "unsupported_media_type"


async def test_a_packed_body_gets_415(listener: Harness) -> None:
    problem = (await listener.post(packet(), content_encoding="gzip")).problem
    assert problem["status"] == 415
    assert "gzip" in problem["detail"]


async def test_another_method_gets_405_with_what_is_allowed(listener: Harness) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        reply = await listener.ask(method, "/v1/packets")
        assert (reply.status, reply.problem["code"], reply.headers["allow"]) == (405, "method_not_allowed", "POST")


async def test_an_unknown_option_gets_422(listener: Harness) -> None:
    reply = await listener.ask("POST", "/v1/packets?receipt=all", json.dumps(packet()).encode())
    assert reply.problem["code"] == "malformed"


async def test_a_packet_that_is_too_large_gets_413(listener: Harness) -> None:
    assert (await listener.post(packet(0, payload="a" * 50_000))).problem["code"] == "too_large"


async def test_a_body_that_says_it_is_too_large_is_not_read(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(request("POST", "/v1/packets", content_length="100001", content_type="application/json"))
        reply = await wire.reply()
        assert (reply.problem["code"], reply.headers["connection"]) == ("too_large", "close")
        assert await wire.end() == b""


async def test_a_body_of_one_piece_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_body=100)) as listener, listener.wire() as wire:
        await wire.send(chunked_head() + chunk(b"[" + b" " * 100 + b"]") + chunk(b""))
        assert (await wire.reply()).problem["code"] == "too_large"


async def test_a_body_that_turns_out_too_large_is_not_read_to_its_end(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(chunked_head())
        for _ in range(4):
            await wire.send(chunk(b" " * 30_000))
        reply = await wire.reply()
        assert (reply.problem["code"], reply.headers["connection"]) == ("too_large", "close")
        assert await wire.end() == b""


async def test_p5_bodies_that_are_being_read_are_bounded_together(listener: Harness) -> None:
    async with listener.wire() as first, listener.wire() as second:
        await first.send(chunked_head() + chunk(b"[" + b" " * 79_999))
        await until(lambda: listener.app._buffer_memory.used == 80_000)
        await second.send(chunked_head() + chunk(b"[" + b" " * 79_999))
        refused = await second.reply()
        assert (refused.status, refused.problem["code"]) == (503, "busy")
        assert "retry-after" in refused.headers
        await first.send(chunk(b"]") + chunk(b""))
        assert (await first.reply()).status == 202
    for _ in range(3):
        assert listener.app._buffer_memory.used == 0
        async with listener.wire() as wire:
            await wire.send(chunked_head() + chunk(b"[" + b" " * 79_999))
            await until(lambda: listener.app._buffer_memory.used == 80_000)
            await wire.send(chunk(b"]") + chunk(b""))
            assert (await wire.reply()).status == 202


# How bodies come.


async def test_a_body_may_come_byte_by_byte(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(chunked_head())
        for byte in json.dumps(packet(0, "ü")).encode():
            await wire.send(chunk(bytes([byte])))
        await wire.send(chunk(b""))
        assert (await wire.reply()).status == 202


async def test_expect_100_continue_is_answered_before_the_body(listener: Harness) -> None:
    body = json.dumps(packet()).encode()
    async with listener.wire() as wire:
        await wire.send(request("POST", "/v1/packets", body, expect="100-continue")[: -len(body)])
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(body)
        assert (await wire.reply()).status == 202


async def test_expect_100_continue_is_not_answered_where_the_request_is_refused(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(request("POST", "/v1/packets", b"", media_type="text/plain", expect="100-continue"))
        assert (await wire.reader.readline()).startswith(b"HTTP/1.1 415")


async def test_a_connection_serves_request_after_request(listener: Harness) -> None:
    async with listener.wire() as wire:
        for index in range(3):
            await wire.send(request("POST", "/v1/packets", json.dumps(packet(index)).encode()))
            assert (await wire.reply()).status == 202
        await wire.send(request("GET", "/v1/nothing"))
        assert (await wire.reply()).status == 404
        await wire.send(request("POST", "/v1/packets", b"{"))
        assert (await wire.reply()).status == 422
        await wire.send(request("POST", "/v1/packets", json.dumps(packet(9)).encode()))
        assert (await wire.reply()).status == 202


async def test_pipelined_requests_are_answered_in_order(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(b"".join(request("POST", "/v1/packets", json.dumps(packet(i)).encode()) for i in range(20)))
        assert [(await wire.reply()).json["index"] for _ in range(20)] == [*range(20)]


# The intake behind it.


async def test_what_the_ledger_hands_out_goes_to_the_workforce(listener: Harness) -> None:
    listener.workers.places = 2
    await listener.post([packet(i) for i in range(5)])
    assert [task.key.index for task in listener.workers.tasks] == [0, 1]
    assert listener.workers.notified == 1


async def test_counts_by_status_are_in_the_metrics(listener: Harness) -> None:
    await listener.post([packet(0), packet(1), packet(0)])
    await listener.post(packet(0, payload="other"))
    metrics = (await listener.ask("GET", "/metrics")).body.decode()
    assert 'collator_packets_total{status="accepted"} 2.0' in metrics
    assert 'collator_packets_total{status="duplicate"} 1.0' in metrics
    assert 'collator_packets_total{status="conflict"} 1.0' in metrics


async def test_p7_a_service_that_stops_refuses_and_says_when_to_try_again(listener: Harness) -> None:
    listener.intake.drain()
    reply = await listener.post(packet())
    assert (reply.status, reply.problem["code"], reply.headers["retry-after"]) == (503, "unavailable", "5")


def chunked_head() -> bytes:
    return stream_head().replace(b"application/x-ndjson", b"application/json")
