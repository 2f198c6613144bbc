"""Who follows a resource over HTTP: pages by `seq`, and answers that wait for the next outcome (R26)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from collator.messages import Failure, Output
from collator.rules.resource import LedgerLimits
from collator.web.limits import HttpLimits
from tests.conformance.steps import claim
from tests.http.followers import followed, record
from tests.http.listener import Harness, Reply, Wire, open_door, packet, request
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger")

FOR_EVER = 60
"""Seconds to wait that no test has: what it waits for comes, or the test fails by its own deadline."""


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with followed(tmp_path) as listener:
        yield listener


def path(resource_id: str = "r", **options: Any) -> str:  # noqa: ANN401 - whatever can be written
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"/v1/resources/{resource_id}/outputs?{query}"


async def follow(listener: Harness, resource_id: str = "r", **options: Any) -> Any:  # noqa: ANN401 - JSON
    reply = await listener.ask("GET", path(resource_id, **options))
    assert reply.status == 200, reply
    return reply.json


def hinted(listener: Harness) -> Mapping[str, Any]:
    """Who waits for a hint, by resource."""
    hints = getattr(listener.ledger, "_hints", None) or listener.ledger._store.hints
    waiting: Mapping[str, Any] = hints._waiting
    return waiting


async def waiting(listener: Harness, number: int = 1) -> None:
    """Wait until so many requests wait."""
    await until(lambda: sum(map(len, hinted(listener).values())) == listener.app._load.waits.used == number)


async def asked(stack: AsyncExitStack, listener: Harness, **options: Any) -> Wire:  # noqa: ANN401 - as `path` takes them
    """A connection on which a page is asked for."""
    wire = await stack.enter_async_context(listener.wire())
    await wire.send(request("GET", path(**options)))
    return wire


def indexes(page: Any) -> list[int]:  # noqa: ANN401 - JSON
    return [outcome["index"] for outcome in page["outputs"]]


async def test_r26_outcomes_that_come_out_of_order_are_all_seen_once(listener: Harness) -> None:
    """A follower by index would stand at 3 when 0 to 2 come."""
    await listener.post([packet(i, payload=[i], last=i == 3) for i in range(4)])
    seen: list[int] = []
    after, page = 0, None
    for some in ([3], [], [1, 0], [2]):
        if some:
            await record(listener, *some)
        page = await follow(listener, after_seq=after)
        assert [outcome["seq"] for outcome in page["outputs"]] == [*range(after + 1, after + 1 + len(some))]
        assert [outcome["output"] for outcome in page["outputs"]] == [[i] for i in some]
        seen += indexes(page)
        after = page["after_seq"]
        assert after == len(seen)
        assert page["more"] == (len(seen) < 4)
    assert seen == [3, 1, 0, 2]
    assert page is not None
    assert (page["state"], page["completed_by"], page["total"], page["next_cursor"]) == ("collated", "last", 4, None)


async def test_r26_failures_have_their_place_and_a_retry_gives_a_new_one(listener: Harness) -> None:
    await listener.post([packet(0), packet(1, last=True)])
    (zero, one) = await claim(listener.ledger._ledger)
    await listener.ledger.record([Failure(one.lease, "no such word"), Output(zero.lease, b"0")], capacity={})
    page = await follow(listener, after_seq=0)
    failed = {"seq": 1, "index": 1, "failed": {"reason": "no such word", "attempts": 1}}
    assert page["outputs"] == [failed, {"seq": 2, "index": 0, "output": 0}]
    assert indexes(await follow(listener)) == [0]
    await listener.ask("POST", "/v1/resources/r/retry")
    await record(listener, 1)
    page = await follow(listener, after_seq=2)
    assert page["outputs"] == [{"seq": 3, "index": 1, "output": 0}]
    assert (page["state"], page["more"]) == ("collated", False)


@pytest.mark.parametrize("limit", [1, 7, 40, 41])
async def test_r26_pages_by_seq_have_a_limit(listener: Harness, limit: int) -> None:
    await listener.post([packet(i, last=i == 39) for i in range(40)])
    await record(listener, *reversed(range(40)))
    found: list[int] = []
    page = await follow(listener, after_seq=0, limit=limit)
    while page["outputs"]:
        found += indexes(page)
        assert page["more"] == (len(found) < 40)
        page = await follow(listener, after_seq=page["after_seq"], limit=limit)
    assert found == [*reversed(range(40))]


async def test_r26_an_answer_waits_for_the_next_outcome(listener: Harness) -> None:
    await listener.post([packet(0), packet(1)])
    async with AsyncExitStack() as stack:
        wire = await asked(stack, listener, after_seq=0, wait=FOR_EVER)
        await waiting(listener)
        await record(listener, 1)
        page = (await wire.reply()).json
        assert (indexes(page), page["state"], page["more"], page["after_seq"]) == ([1], "open", True, 1)


@pytest.mark.parametrize("how", ["cancel", "force"])
async def test_r26_an_answer_waits_for_the_end(listener: Harness, how: str) -> None:
    await listener.post(packet(0))
    await record(listener, 0)
    async with AsyncExitStack() as stack:
        wire = await asked(stack, listener, after_seq=1, wait=FOR_EVER)
        await waiting(listener)
        verb, body = ("cancel", b"") if how == "cancel" else ("complete", b'{"force": true}')
        assert (await listener.ask("POST", f"/v1/resources/r/{verb}", body)).status == 200
        page = (await wire.reply()).json
        state = "cancelled" if how == "cancel" else "collated"
        assert (page["outputs"], page["state"], page["more"], page["after_seq"]) == ([], state, False, 1)


async def test_r26_what_is_there_is_told_at_once(listener: Harness) -> None:
    await listener.post([packet(0), packet(1)])
    await record(listener, 0)
    assert indexes(await follow(listener, after_seq=0, wait=FOR_EVER)) == [0]
    assert indexes(await follow(listener, wait=FOR_EVER)) == [0]
    await listener.ask("POST", "/v1/resources/r/cancel")
    assert (await follow(listener, after_seq=1, wait=FOR_EVER))["more"] is False


async def test_r26_an_answer_waits_no_longer_than_it_is_told(listener: Harness) -> None:
    await listener.post(packet(0))
    began = time.monotonic()
    page = await follow(listener, after_seq=0, wait=0.2)
    assert 0.2 <= time.monotonic() - began < 5
    assert (page["outputs"], page["state"], page["more"], page["after_seq"]) == ([], "open", True, 0)
    assert (await follow(listener, after_seq=0, wait=0))["outputs"] == []
    assert listener.app._load.waits.used == 0


async def test_r26_who_waits_does_not_poll(listener: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    outcomes = listener.ledger._ledger.outcomes

    async def counted(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the ledger takes and gives
        nonlocal looks
        looks += 1
        return await outcomes(*args, **options)

    monkeypatch.setattr(listener.ledger, "outcomes", counted, raising=False)
    await listener.post([packet(0), packet(0, "other")])
    await follow(listener, after_seq=0, wait=0.3)
    assert looks == 2


async def test_p7_a_stop_ends_the_waits(listener: Harness) -> None:
    await listener.post(packet(0))
    async with AsyncExitStack() as stack:
        wires = [await asked(stack, listener, after_seq=0, wait=FOR_EVER) for _ in range(3)]
        await waiting(listener, 3)
        listener.intake.drain()
        for wire in wires:
            page = (await wire.reply()).json
            assert (page["outputs"], page["more"]) == ([], True)
    reply = await listener.ask("GET", path(after_seq=0, wait=FOR_EVER))
    assert (reply.status, reply.problem["code"], reply.headers["retry-after"]) == (503, "unavailable", "5")
    assert (await follow(listener, after_seq=0))["more"] is True
    await listener.ask("POST", "/v1/resources/r/cancel")
    assert (await follow(listener, after_seq=0, wait=FOR_EVER))["more"] is False


async def test_p5_waits_are_bounded_and_take_no_place_of_a_request(tmp_path: Path) -> None:
    limits = HttpLimits(max_waits=3, max_requests=2)
    async with open_door(tmp_path, limits=limits) as listener, AsyncExitStack() as stack:
        await listener.post(packet(0))
        wires = [await asked(stack, listener, after_seq=0, wait=FOR_EVER) for _ in range(3)]
        await waiting(listener, 3)
        reply = await listener.ask("GET", path(after_seq=0, wait=FOR_EVER))
        assert (reply.status, reply.problem["code"], reply.headers["retry-after"]) == (503, "busy", "1")
        assert (await follow(listener, after_seq=0))["outputs"] == []
        await record(listener, 0)
        assert [indexes((await wire.reply()).json) for wire in wires] == [[0]] * 3
        assert listener.app._load.waits.used == 0


@pytest.mark.parametrize("reset", [True, False])
async def test_p5_who_has_gone_waits_no_longer(listener: Harness, *, reset: bool) -> None:
    await listener.post(packet(0))
    async with AsyncExitStack() as stack:
        wire = await asked(stack, listener, after_seq=0, wait=FOR_EVER)
        await waiting(listener)
        if reset:
            wire._writer.transport.abort()
    await until(lambda: listener.app._load.waits.used == 0)
    assert hinted(listener) == {}


async def test_p5_who_sends_no_more_is_answered_at_once(listener: Harness) -> None:
    await listener.post(packet(0))
    async with AsyncExitStack() as stack:
        wire = await asked(stack, listener, after_seq=0, wait=FOR_EVER)
        await waiting(listener)
        wire.half_close()
        assert (await wire.reply()).json["more"] is True


async def test_r26_a_wait_on_a_connection_that_is_kept_leaves_it_usable(listener: Harness) -> None:
    await listener.post([packet(0), packet(1)])
    async with listener.wire() as wire:
        for index in (1, 0):
            await wire.send(request("GET", path(after_seq=1 - index, wait=FOR_EVER)))
            await waiting(listener)
            await record(listener, index)
            assert indexes((await wire.reply()).json) == [index]
        await wire.send(request("GET", "/v1/resources/r"))
        assert (await wire.reply()).json["done"] == 2


async def new_generation(listener: Harness) -> Reply:
    await listener.ask("POST", "/v1/resources/r/cancel")
    assert (await listener.ask("DELETE", "/v1/resources/r")).status == 200
    await listener.post([packet(0), packet(1), packet(2)])
    await record(listener, 0)
    return await listener.ask("GET", path())


async def test_r26_a_place_in_an_old_generation_is_none_in_a_new_one(listener: Harness) -> None:
    await listener.post([packet(0), packet(1)])
    await record(listener, 0, 1)
    old = await follow(listener, after_seq=0)
    new = (await new_generation(listener)).json
    assert new["webhook_id"] != old["webhook_id"]
    reply = await listener.ask("GET", path(after_seq=2))
    assert (reply.status, reply.problem["code"]) == (409, "conflict")
    assert "opened again" in reply.problem["detail"]
    await record(listener, 1)
    of_old = {"webhook_id": old["webhook_id"]}
    for options in ({"after_seq": 2, **of_old}, {"cursor": 0, **of_old}):
        reply = await listener.ask("GET", path(**options))
        assert (reply.status, reply.problem["code"]) == (409, "conflict")
    assert (await follow(listener, after_seq=2, webhook_id=new["webhook_id"]))["outputs"] == []


async def test_r26_a_new_generation_is_told_to_who_waits(listener: Harness) -> None:
    await listener.post(packet(0))
    async with AsyncExitStack() as stack:
        wire = await asked(stack, listener, after_seq=0, wait=FOR_EVER)
        await waiting(listener)
        ledger = listener.ledger._ledger
        await asyncio.gather(ledger.cancel("r"), ledger.purge(limit=10, resource_id="r"))
        await listener.post(packet(0))
        await record(listener, 0)
        reply = await wire.reply()
        assert reply.status in {404, 409} or reply.json["state"] == "cancelled"  # as it came to look in between


@pytest.mark.parametrize(
    "query",
    [
        "after_seq=-1",
        "after_seq=x",
        "wait=61",
        "wait=-1",
        "wait=nan",
        "wait=1e9",
        "wait=0x1",
        "wait=",
    ],
)
async def test_what_cannot_be_asked_is_told(listener: Harness, query: str) -> None:
    reply = await listener.ask("GET", f"/v1/resources/r/outputs?{query}")
    assert (reply.status, reply.problem["code"]) == (422, "malformed")


async def test_r26_a_cursor_says_nothing_beside_after_seq(listener: Harness) -> None:
    await listener.post([packet(0), packet(1)])
    await record(listener, 1, 0)
    assert (
        indexes(await follow(listener, cursor=1, after_seq=0))
        == indexes(await follow(listener, cursor=1, wait=1))
        == [1, 0]
    )


async def test_p6_what_nobody_knows_is_told_at_once(listener: Harness) -> None:
    reply = await listener.ask("GET", path("nobody", after_seq=0, wait=FOR_EVER))
    assert (reply.status, reply.problem["code"]) == (404, "unknown")
    assert listener.app._load.waits.used == 0


# What has no packets, and what is gone.


async def test_r10_a_total_of_0_ends_what_nobody_sent_a_packet_for(listener: Harness) -> None:
    reply = await listener.ask("POST", "/v1/resources/empty/complete", b'{"total": 0}')
    assert reply.status == 200
    report = reply.json
    assert (report["state"], report["completed_by"], report["total"], report["received"]) == ("collated", "total", 0, 0)
    assert [delivery["state"] for delivery in report["deliveries"]] == ["due"]
    again = await listener.ask("POST", "/v1/resources/empty/complete", b'{"total": 0}')
    assert (again.status, again.json["webhook_id"]) == (200, report["webhook_id"])
    assert len(again.json["deliveries"]) == 1
    page = await follow(listener, "empty", after_seq=0, wait=FOR_EVER)
    assert (page["outputs"], page["state"], page["total"], page["more"]) == ([], "collated", 0, False)
    late = await listener.post(packet(0, "empty"))
    assert (late.status, late.problem["code"]) == (409, "closed")


async def test_r10_packets_that_are_there_contradict_a_total_of_0(listener: Harness) -> None:
    await listener.post(packet(0))
    reply = await listener.ask("POST", "/v1/resources/r/complete", b'{"total": 0}')
    assert (reply.status, reply.problem["code"]) == (409, "conflict")
    assert (await listener.ask("GET", "/v1/resources/r")).json["total"] is None


async def test_r25_what_is_gone_after_its_retention_is_told_so(tmp_path: Path) -> None:
    async with open_door(tmp_path, ledger_limits=LedgerLimits(retention=60.0), endpoints=()) as listener:
        await listener.post(packet(0, last=True))
        await record(listener, 0)
        listener.clock.advance(61)
        assert await listener.ledger.purge(limit=100)
        assert (await listener.post(packet(0, payload="again", last=True))).json["status"] == "duplicate"
        closed = await listener.post(packet(1))
        assert (closed.status, closed.problem["code"]) == (409, "closed")
        gone = await listener.ask("GET", "/v1/resources/r")
        assert (gone.status, gone.problem["code"]) == (404, "unknown")
        assert "removed after its retention" in gone.problem["detail"]
        assert (await listener.ask("GET", "/v1/status")).json["stored"]["remembered"] == 1
        assert (await listener.ask("DELETE", "/v1/resources/r")).json == {"resource_id": "r", "purged": True}
        assert (await listener.post(packet(0, payload="again", last=True))).json["status"] == "accepted"
