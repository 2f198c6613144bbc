"""P5, R9: every limit is met before the acknowledgement, with a word, a status and a time; and nothing was stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from collator.errors import ReadOnly, StorageFull
from collator.ledgers.sqlite.disk import Disk
from collator.messages import Counts, Output, tasks_of
from collator.packet import PacketLimits
from collator.rules.resource import LedgerLimits
from collator.web.limits import HttpLimits
from tests.http.listener import Harness, Reply, chunk, ndjson, open_door, packet, request, stream_head
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

TERMS = LedgerLimits(
    packet_limits=PacketLimits(max_packets=10, max_payload=1000), max_open=2, max_backlog=3100, max_body=20
)
LIMITS = HttpLimits(max_body=100_000, max_requests=2, max_streams=1)


class Space(Disk):
    """A disk with as much free space as the test says."""

    bytes_free = 10**12

    def free(self) -> int:
        return self.bytes_free


@pytest.fixture
def disk(tmp_path: Path) -> Space:
    return Space(tmp_path, keep=10**9)


@pytest.fixture
async def listener(tmp_path: Path, disk: Space) -> AsyncIterator[Harness]:
    async with open_door(tmp_path / "data", ledger_limits=TERMS, limits=LIMITS, unavailable=disk.low) as listener:
        yield listener


# One packet in each of the four forms, and how each form tells of a refusal.


async def alone(listener: Harness, given: dict[str, Any]) -> Reply:
    return await listener.post(given)


async def by_put(listener: Harness, given: dict[str, Any]) -> Reply:
    path = f"/v1/resources/{given['resource_id']}/packets/{given['index']}"
    return await listener.ask("PUT", path, json.dumps(given["payload"]).encode())


async def in_array(listener: Harness, given: dict[str, Any]) -> Reply:
    return await listener.post([given])


async def in_stream(listener: Harness, given: dict[str, Any]) -> Reply:
    return await listener.stream(given)


Form = Callable[[Harness, dict[str, Any]], Awaitable[Reply]]
whole = pytest.mark.parametrize("form", [alone, by_put])
every = pytest.mark.parametrize("form", [alone, by_put, in_array, in_stream])


def refused(reply: Reply, status: int, code: str, *words: str, later: bool) -> None:
    """The answer as a whole: its status, its code, what it says, and whether it says when to try again."""
    problem = reply.problem
    assert (reply.status, problem["code"]) == (status, code)
    assert [word for word in words if word not in problem["detail"]] == []
    assert ("retry-after" in reply.headers) == ("retry_after" in problem) == later
    assert not later or int(reply.headers["retry-after"]) >= problem["retry_after"] > 0


async def stored(listener: Harness) -> Counts:
    return await listener.ledger.counts()  # type: ignore[no-any-return]  # the real ledger's


# What can never be taken: mend it.


@every
async def test_r3_a_payload_beyond_its_limit(listener: Harness, form: Form) -> None:
    reply = await form(listener, packet(0, payload="x" * 1000))
    refused(reply, 422, "malformed", "payload: 1002 bytes, more than 1000 (max_payload)", later=False)
    assert await stored(listener) == Counts()


@every
async def test_r2_more_packets_than_a_resource_may_have(listener: Harness, form: Form) -> None:
    reply = await form(listener, packet(10))
    refused(reply, 422, "malformed", "index: 10 is not between 0 and 9", later=False)
    assert await stored(listener) == Counts()


@whole
async def test_a_body_beyond_its_limit(listener: Harness, form: Form) -> None:
    reply = await form(listener, packet(0, payload="x" * 50_000))
    refused(reply, 413, "too_large", "payload", "1000", later=False)
    assert "no limit" not in reply.problem["detail"]  # as a line it would be as large
    assert await stored(listener) == Counts()


async def test_an_array_beyond_its_limit(listener: Harness) -> None:
    refused(await listener.post([packet(0, payload="x" * 900)] * 120), 413, "too_large", "stream of lines", later=False)
    assert await stored(listener) == Counts()


@pytest.mark.parametrize("body", [b"", b" \r\n"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/packets"),
        ("PUT", "/v1/resources/r/packets/0"),
        ("POST", "/v1/resources/r/complete"),
        ("POST", "/v1/deliveries/replay"),
    ],
)
async def test_an_empty_body_is_called_empty(listener: Harness, method: str, path: str, body: bytes) -> None:
    refused(await listener.ask(method, path, body), 422, "malformed", "the body is empty", later=False)


# What may be taken later: try again.


@every
async def test_r9_more_open_resources_than_there_may_be(listener: Harness, form: Form) -> None:
    for name in "ab":
        assert (await listener.post(packet(0, name))).status == 202
    before = await stored(listener)
    reply = await form(listener, packet(0, "c"))
    told_each(reply, form, "the limit of 2 open resources is reached (max_open)")
    assert await stored(listener) == before
    assert (await listener.post(packet(1, "a"))).status == 202  # new ids only


@every
async def test_r9_more_bytes_waiting_than_there_may_be(listener: Harness, form: Form) -> None:
    for index in range(3):
        assert (await listener.post(packet(index, payload="x" * 900))).status == 202
    before = await stored(listener)
    told_each(await form(listener, packet(3, payload="x" * 900)), form, "the backlog of 3006 bytes", "max_backlog")
    assert await stored(listener) == before
    (task, *_) = tasks_of(await listener.ledger.claim(capacity=1))
    await listener.ledger.record([Output(task.lease, b"1")], capacity={})
    assert (await listener.post(packet(3, payload="x" * 900))).status == 202


def told_each(reply: Reply, form: Form, *words: str) -> None:
    """A limit of the store, which is met packet by packet: the answer says it, and its receipt or line."""
    refused(reply, 429, "refused", *words, later=True)
    if form is in_array:
        (receipt,) = reply.json["receipts"]
        assert receipt["status"] == "refused"
        assert receipt["retry_after"] > 0
        assert all(word in receipt["reason"] for word in words)
    elif form is in_stream:
        problem = reply.json["rejected"][0]["problem"]
        assert (reply.json["done"], reply.json["refused"], problem["code"]) == (True, 1, "refused")
        assert problem["retry_after"] > 0


@every
async def test_less_free_disk_than_is_kept_free(listener: Harness, disk: Space, form: Form) -> None:
    disk.bytes_free = 10**9 - 1
    refused(await form(listener, packet()), 507, "storage_low", "953 MiB", "min_free_disk", later=True)
    assert (await listener.ask("GET", "/readyz")).problem["reasons"][0].startswith("only 953 MiB of the disk are free")
    assert await stored(listener) == Counts()
    disk.bytes_free = 10**9
    assert (await form(listener, packet())).status in {200, 202}
    assert (await stored(listener)).waiting == 1


async def test_r10_a_total_of_0_opens_nothing_where_packets_are_refused(listener: Harness, disk: Space) -> None:
    """What is there can be completed, as that makes nothing new."""
    await listener.post(packet())
    disk.bytes_free = 10**9 - 1
    reply = await listener.ask("POST", "/v1/resources/empty/complete", b'{"total": 0}')
    refused(reply, 507, "storage_low", "953 MiB", later=True)
    assert (await listener.ask("GET", "/v1/resources/empty")).status == 404
    assert (await listener.ask("POST", "/v1/resources/r/complete", b'{"total": 1}')).status == 200
    disk.bytes_free = 10**9
    assert (await listener.ask("POST", "/v1/resources/empty/complete", b'{"total": 0}')).status == 200


async def test_a_disk_that_runs_low_ends_a_stream_with_507_and_says_how_far_it_came(
    listener: Harness, disk: Space
) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(packet(0))))
        await until(lambda: listener.ledger.calls)
        disk.bytes_free = 0
        await wire.send(chunk(ndjson(packet(1))))
        reply = await wire.reply()
    refused(reply, 507, "storage_low", later=True)
    assert (reply.json["done"], reply.json["decided_lines"], reply.json["accepted"]) == (True, 1, 1)


@every
@pytest.mark.parametrize(("error", "code"), [(StorageFull(), "storage_full"), (ReadOnly(), "read_only")])
async def test_a_disk_that_is_full_or_fails(listener: Harness, form: Form, error: Exception, code: str) -> None:
    listener.ledger.errors[0] = error
    refused(await form(listener, packet()), 503, code, later=True)
    assert await stored(listener) == Counts()


@every
async def test_a_service_that_stops(listener: Harness, form: Form) -> None:
    listener.intake.drain()
    refused(await form(listener, packet()), 503, "unavailable", "stopping", later=True)
    assert await stored(listener) == Counts()


@every
async def test_more_requests_than_may_be_under_way(listener: Harness, form: Form) -> None:
    listener.ledger.open.clear()
    async with listener.wire() as first, listener.wire() as second:
        for number, wire in enumerate((first, second)):
            body = json.dumps(packet(number)).encode()
            await wire.send(b"POST /v1/packets HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
            await wire.send(b"content-length: %d\r\n\r\n%s" % (len(body), body))
        await until(lambda: sum(listener.ledger.calls) == 2)
        refused(
            await form(listener, packet(2)),
            503,
            "busy",
            "concurrent requests: the limit of 2 is reached (max_requests)",
            later=True,
        )
        assert (await listener.ask("GET", "/v1/status")).problem["code"] == "busy"
        assert (await listener.ask("GET", "/healthz")).status == (await listener.ask("GET", "/readyz")).status == 200
        listener.ledger.open.set()
        assert ((await first.reply()).status, (await second.reply()).status) == (202, 202)
    assert (await stored(listener)).waiting == 2
    assert (await form(listener, packet(2))).status in {200, 202}


async def test_more_streams_than_may_be_open(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(stream_head())
        await until(lambda: listener.app._load.streams.used == 1)
        refused(
            await listener.stream(packet()),
            503,
            "busy",
            "open streams: the limit of 1 is reached (max_streams)",
            later=True,
        )
        assert (await stored(listener)) == Counts()
        assert (await listener.post(packet())).status == 202  # a stream is none of the requests under way
        await wire.send(chunk(b""))
        assert (await wire.reply()).status == 200
    assert (await listener.stream(packet())).status == 200


async def test_more_connections_than_may_be_open(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_connections=1)) as listener, listener.wire() as wire:
        listener.ledger.open.clear()
        await wire.send(request("POST", "/v1/packets", json.dumps(packet()).encode()))
        await until(lambda: listener.ledger.calls)
        refused(await listener.post(packet(1)), 503, "busy", "too many connections with a request", later=True)
        listener.ledger.open.set()
        assert (await wire.reply()).status == 202
        assert (await stored(listener)).waiting == 1


# What is found out later, and then said: the packet fails (R19).


async def test_r19_an_output_that_would_make_the_body_too_large_fails_its_packet(listener: Harness) -> None:
    await listener.post([packet(0), packet(1, last=True)])
    for task in tasks_of(await listener.ledger.claim(capacity=2)):
        await listener.ledger.record([Output(task.lease, b'"1234567890"')], capacity={})
    report = (await listener.ask("GET", "/v1/resources/r")).json
    assert (report["state"], report["done"], report["failed"]) == ("incomplete", 1, 1)
    assert "max_body" in report["failures"][0]["reason"]


# The gauges tell how near the limits are.


async def test_metrics_show_what_is_under_way(listener: Harness) -> None:
    listener.metrics.connections.set_function(lambda: listener.server.connections)
    async with listener.wire() as wire:
        await wire.send(stream_head())
        await until(lambda: listener.app._load.streams.used == 1)
        lines = (await listener.ask("GET", "/metrics")).body.decode().splitlines()
    assert {"collator_streams 1.0", "collator_requests_in_flight 1.0", "collator_connections 2.0"} <= {*lines}
