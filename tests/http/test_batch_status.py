"""The status of an answer that speaks of many packets (R9): senders go by it, and many see nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collator.errors import StorageFull, StorageLow
from collator.messages import Accepted, Group
from collator.packet import Receipt, Status
from collator.rules.resource import LedgerLimits
from tests.http.listener import Harness, Reply, chunk, ndjson, open_door, packet, stream_head
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

LIMIT = 2
NEW, OTHER = packet(1, "a"), packet(2, "b")
AGAIN = packet(0, "a")
CONFLICT = packet(0, "a", payload="other")
CLOSED = packet(5, "ended")
REFUSED = packet(0, "one too many")
BAD = packet(-1, "a")


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    """A service with a resource that has ended, and two that are open, which is the limit."""
    async with open_door(tmp_path, ledger_limits=LedgerLimits(max_open=LIMIT)) as listener:
        await listener.post(packet(0, "ended"))
        await listener.ledger.cancel("ended")
        for name in "ab":
            await listener.post(packet(0, name))
        yield listener


MIXTURES: dict[str, tuple[list[dict[str, Any]], int, str]] = {
    "all accepted": ([NEW, OTHER], 200, ""),
    "all there already": ([AGAIN, AGAIN], 200, ""),
    "accepted and there already": ([NEW, AGAIN], 200, ""),
    "accepted and conflict": ([NEW, CONFLICT], 200, ""),
    "accepted and closed": ([CLOSED, NEW], 200, ""),
    "there already and conflict": ([AGAIN, CONFLICT], 200, ""),
    "all conflict": ([CONFLICT, CONFLICT], 409, "conflict"),
    "all closed": ([CLOSED], 409, "closed"),
    "conflict and closed": ([CLOSED, CONFLICT], 409, "conflict"),
    "all refused": ([REFUSED, REFUSED], 429, "refused"),
    "accepted and refused": ([NEW, REFUSED], 429, "refused"),
    "refused and accepted": ([REFUSED, NEW], 429, "refused"),
    "there already and refused": ([AGAIN, REFUSED], 429, "refused"),
    "conflict and refused": ([CONFLICT, REFUSED], 429, "refused"),
    "closed and refused": ([CLOSED, REFUSED], 429, "refused"),
    "nothing": ([], 200, ""),
}
WITH_BAD: dict[str, tuple[list[dict[str, Any]], int, str]] = {
    "all malformed": ([BAD, BAD], 422, "malformed"),
    "malformed and accepted": ([BAD, NEW], 200, ""),
    "malformed and there already": ([BAD, AGAIN], 200, ""),
    "malformed and conflict": ([CONFLICT, BAD], 422, "malformed"),
    "malformed and closed": ([CLOSED, BAD], 422, "malformed"),
    "malformed and refused": ([BAD, REFUSED], 429, "refused"),
    "everything": ([BAD, NEW, AGAIN, CONFLICT, CLOSED, REFUSED], 429, "refused"),
}


def judged(reply: Reply, status: int, code: str) -> None:
    """The answer has *status*, and says in its body, its code and its fields the same."""
    assert reply.status == status, reply
    assert (reply.problem["code"] if code else reply.headers["content-type"]) == (code or "application/json")
    assert ("retry-after" in reply.headers) == (status == 429)
    assert reply.json.get("retry_after", 0) <= int(reply.headers.get("retry-after", 0))


def counted(summary: dict[str, Any]) -> int:
    words = ("accepted", "duplicate", "conflict", "closed", "refused", "error", "malformed")
    return sum(summary[word] for word in words)


@pytest.mark.parametrize("mixture", MIXTURES | WITH_BAD)
async def test_r9_a_stream_has_the_status_that_its_sender_has_to_know(listener: Harness, mixture: str) -> None:
    packets, status, code = (MIXTURES | WITH_BAD)[mixture]
    reply = await listener.stream(*packets)
    judged(reply, status, code)
    assert (reply.json["done"], reply.json["decided_lines"], counted(reply.json)) == (True, len(packets), len(packets))
    again = await listener.stream(*packets)
    assert again.status == status  # a repeat is told the same


@pytest.mark.parametrize("mixture", MIXTURES | WITH_BAD)
async def test_r9_receipts_that_have_begun_say_it_in_their_last_line(listener: Harness, mixture: str) -> None:
    packets, status, code = (MIXTURES | WITH_BAD)[mixture]
    reply = await listener.stream(*packets, options="?receipts=all")
    assert (reply.status, len(reply.lines)) == (200, len(packets) + 1)
    last = reply.lines[-1]
    assert (last["done"], last.get("status", 200), last.get("code", "")) == (True, status, code)
    assert ("retry_after" in last) == (status == 429)
    assert counted(last) == len(packets)


@pytest.mark.parametrize("mixture", MIXTURES)
async def test_r9_an_array_has_the_status_that_its_sender_has_to_know(listener: Harness, mixture: str) -> None:
    packets, status, code = MIXTURES[mixture]
    reply = await listener.post(packets)
    judged(reply, 202 if status == 200 else status, code)
    receipts = reply.json["receipts"]
    assert [(one["resource_id"], one["index"]) for one in receipts] == [(p["resource_id"], p["index"]) for p in packets]


@pytest.mark.parametrize("mixture", WITH_BAD)
async def test_an_array_that_is_malformed_stores_nothing_and_gets_422(listener: Harness, mixture: str) -> None:
    before = await listener.ledger.counts()
    judged(await listener.post(WITH_BAD[mixture][0]), 422, "malformed")
    assert await listener.ledger.counts() == before


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [(CONFLICT, 409, "conflict"), (CLOSED, 409, "closed"), (REFUSED, 429, "refused"), (BAD, 422, "malformed")],
)
async def test_r9_one_packet_has_the_same_status_in_every_form(
    listener: Harness, given: dict[str, Any], status: int, code: str
) -> None:
    judged(await listener.post(given), status, code)
    judged(await listener.post([given]), status, code)
    judged(await listener.stream(given), status, code)
    if code != "malformed":
        payload = b'"other"' if code == "conflict" else b"0"
        resource_id = str(given["resource_id"]).replace(" ", "%20")
        reply = await listener.ask("PUT", f"/v1/resources/{resource_id}/packets/{given['index']}", payload)
        judged(reply, status, code)


async def test_r9_what_was_refused_and_is_sent_again_whole_is_taken(listener: Harness) -> None:
    packets = [NEW, REFUSED, packet(1, "one too many")]
    reply = await listener.stream(*packets)
    assert (reply.status, reply.json["accepted"], reply.json["refused"]) == (429, 1, 2)
    assert "2 of 3 were refused" in reply.problem["detail"]
    assert "max_open" in reply.problem["detail"]
    await listener.ledger.cancel("b")
    reply = await listener.stream(*packets)
    assert (reply.status, reply.json["duplicate"], reply.json["accepted"]) == (200, 1, 2)


async def test_r9_a_packet_that_the_store_could_not_take_is_no_success(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = listener.ledger.accept

    async def accept(groups: Sequence[Group], *, capacity: int, operation: str = "") -> Accepted:
        accepted = await real(groups, capacity=capacity, operation=operation)
        return msgspec.structs.replace(accepted, exceptions=[(1, Receipt(Status.ERROR, "a defect"))])

    monkeypatch.setattr(listener.ledger, "accept", accept)
    for reply in [await listener.stream(AGAIN, NEW), await listener.post([AGAIN, NEW])]:
        judged(reply, 500, "error")
        assert "1 of 2 could not be stored: a defect" in reply.problem["detail"]


@pytest.mark.parametrize(
    ("error", "status", "code"), [(StorageFull(), 503, "storage_full"), (StorageLow(), 507, "storage_low")]
)
async def test_r9_a_store_that_fails_in_the_middle_is_told_by_the_status(
    listener: Harness, error: Exception, status: int, code: str
) -> None:
    calls = len(listener.ledger.calls)
    listener.ledger.errors = {calls + 1: error, calls + 3: error}
    reply = await listener.post([packet(i, "a") for i in range(1500)])
    assert (reply.status, reply.problem["code"], len(reply.json["receipts"])) == (status, code, 1500)
    async with listener.wire() as wire:
        await wire.send(stream_head() + chunk(ndjson(NEW)))
        await until(lambda: len(listener.ledger.calls) == calls + 3)
        await wire.send(chunk(ndjson(OTHER)))
        reply = await wire.reply()
    assert (reply.status, reply.problem["code"], reply.json["duplicate"]) == (status, code, 1)
    assert "retry-after" in reply.headers


async def test_a_stream_with_receipts_that_is_refused_at_once_has_the_status_of_it(listener: Harness) -> None:
    listener.intake.drain()
    reply = await listener.stream(NEW, options="?receipts=all")
    assert (reply.status, reply.problem["code"], "retry-after" in reply.headers) == (503, "unavailable", True)


async def test_r9_what_syslog_ng_writes_is_taken_or_refused_by_the_status(listener: Harness) -> None:
    """Its bytes: no line feed at the end, no content type unless its configuration says one."""
    head = "POST /v1/packets HTTP/1.1\r\nHost: 127.0.0.1:8102\r\nUser-Agent: syslog-ng 3.38.1\r\nAccept: */*\r\n"
    for kind, names, status in (("x-ndjson", "ab", 200), ("x-ndjson", "abc", 429), ("x-www-form-urlencoded", "a", 415)):
        body = ndjson(*(packet(1, name, payload="x") for name in names))[:-1]
        fields = f"Content-Type: application/{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        async with listener.wire() as wire:
            await wire.send((head + fields).encode() + body)
            assert (await wire.reply()).status == status


async def test_a_large_mixture_is_told_in_one_status_too(listener: Harness) -> None:
    async with asyncio.timeout(30):
        reply = await listener.stream(*(packet(i, "a") for i in range(5000)), *(packet(i, "c") for i in range(5000)))
    assert (reply.status, reply.json["refused"], len(reply.json["rejected"])) == (429, 5000, 1000)
