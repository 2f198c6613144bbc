"""The pages of a resource, and those for who watches: what the ledger knows, and repair."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from collator.client import Client
from collator.errors import Unknown
from collator.messages import Attempt, Counts, DeliveryFilter, Failure, Output, tasks_of
from collator.rules.resource import LedgerLimits
from collator.states import DeliveryState, OnFailure
from collator.web.limits import KIB, HttpLimits
from tests.http.listener import Harness, Reply, open_door, packet, request
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger")


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path, ledger_limits=LedgerLimits(on_failure=OnFailure.HOLD)) as listener:
        yield listener


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    """One listener for what changes nothing."""
    async with open_door(tmp_path_factory.mktemp("shared")) as listener:
        yield listener


async def process(listener: Harness, *, failing: tuple[int, ...] = ()) -> None:
    """Echo what is waiting, except for the *failing* indexes."""
    tasks = tasks_of(await listener.ledger.claim(capacity=10_000))
    await listener.ledger.record(
        [
            Failure(task.lease, "no such word") if task.key.index in failing else Output(task.lease, task.payload)
            for task in tasks
        ],
        capacity={},
    )


async def show(listener: Harness, resource_id: str = "r") -> dict[str, Any]:
    reply = await listener.ask("GET", f"/v1/resources/{resource_id}")
    assert reply.status == 200
    report: dict[str, Any] = reply.json
    return report


async def do(listener: Harness, verb: str, body: object = None, resource_id: str = "r") -> Reply:
    data = b"" if body is None else json.dumps(body).encode()
    return await listener.ask("POST", f"/v1/resources/{resource_id}/{verb}", data)


async def settle(listener: Harness, state: DeliveryState, reason: str, delay: float = 0.0) -> None:
    """End an attempt to deliver."""
    (delivery,) = await listener.ledger.claim_deliveries("default", capacity=1)
    await listener.ledger.record_attempts([Attempt(delivery, state, reason, delay)])


# Looking.


async def test_a_resource_shows_what_it_has_and_what_it_lacks(listener: Harness) -> None:
    await listener.post([packet(i, metadata={"who": "me"}) for i in (0, 1, 5)])
    await process(listener)
    report = await show(listener)
    assert (report["state"], report["total"], report["metadata"]) == ("open", None, {"who": "me"})
    assert (report["received"], report["done"], report["missing"], report["unfinished"]) == (3, 3, [[2, 4]], [])
    assert report["webhook_id"].startswith("msg_")


async def test_a_packet_shows_its_payload_and_what_became_of_it(listener: Harness) -> None:
    await listener.post([packet(0, payload={"secret": [1.0, "ü"]}), packet(1)])
    await process(listener, failing=(1,))
    path = "/v1/resources/r/packets/"
    one = (await listener.ask("GET", path + "0")).json
    assert (one["state"], one["attempts"], one["reason"], one["seq"]) == ("done", 1, "", 1)
    assert one["payload"] == one["output"] == {"secret": [1.0, "ü"]}
    other = (await listener.ask("GET", path + "1")).json
    assert (other["state"], other["reason"], "output" in other) == ("failed", "no such word", False)
    missing = (await listener.ask("GET", path + "2")).problem
    assert (missing["code"], missing["detail"]) == ("unknown", "resource 'r' has not received a packet with index 2")
    assert (await listener.ask("GET", path + "x")).problem["code"] == "malformed"


async def test_hidden_payloads_are_in_no_answer(tmp_path: Path) -> None:
    async with open_door(tmp_path, hide_payloads=True) as listener:
        await listener.post(packet(0, payload="secret"))
        reply = await listener.ask("GET", "/v1/resources/r/packets/0")
        assert (reply.json["payload_size"], "payload" in reply.json, b"secret" in reply.body) == (8, False, False)


@pytest.mark.parametrize("path", ["", "/outputs", "/packets/0"])
async def test_an_unknown_resource_gets_404(shared: Harness, path: str) -> None:
    assert (await shared.ask("GET", "/v1/resources/nobody" + path)).problem["code"] == "unknown"


@pytest.mark.parametrize(
    ("resource_id", "path"),
    [("a/b", "a%2Fb"), ("a b", "a%20b"), ("ü", "%C3%BC"), ("a%2Fb", "a%252Fb"), ("?#", "%3F%23"), ("a+b", "a+b")],
)
async def test_r1_an_id_is_read_from_the_raw_path(shared: Harness, resource_id: str, path: str) -> None:
    await shared.post(packet(0, resource_id))
    assert (await show(shared, path))["resource_id"] == resource_id


@pytest.mark.parametrize("segment", [".", "..", ".%2e", "%2E."])
async def test_r1_a_dot_as_it_is_means_another_path(shared: Harness, segment: str) -> None:
    """A proxy, and most clients, resolve them: who asked for one resource would get another."""
    for method, path, body in [
        ("GET", "", None),
        ("GET", "/outputs", None),
        ("PUT", "/packets/0", b"1"),
        ("POST", "/complete", b'{"force": true}'),
        ("DELETE", "", None),
    ]:
        problem = (await shared.ask(method, f"/v1/resources/{segment}{path}", body)).problem
        assert (problem["code"], "write '%2E" in problem["detail"]) == ("malformed", True)


@pytest.mark.parametrize(("resource_id", "segment"), [(".", "%2E"), (".", "%2e"), ("..", "%2E%2E"), ("..", "%2e%2E")])
async def test_r1_p6_a_resource_that_is_called_dot_can_be_managed(
    listener: Harness, resource_id: str, segment: str
) -> None:
    path = f"/v1/resources/{segment}"
    await listener.post(packet(0, resource_id))
    assert (await listener.ask("PUT", f"{path}/packets/1", b"1")).json["resource_id"] == resource_id
    assert (await listener.ask("GET", path)).json["received"] == 2
    assert (await listener.ask("GET", f"{path}/outputs")).json["outputs"] == []
    assert (await listener.ask("POST", f"{path}/complete", b'{"total": 2}')).json["total"] == 2
    assert (await listener.ask("POST", f"{path}/cancel")).json["state"] == "cancelled"
    assert (await listener.ask("DELETE", path)).json == {"resource_id": resource_id, "purged": True}


@pytest.mark.parametrize("resource_id", [".", ".."])
async def test_r1_p6_the_client_reaches_a_resource_that_is_called_dot(listener: Harness, resource_id: str) -> None:
    async with Client(f"http://127.0.0.1:{listener.port}") as client:
        await client.send([packet(0, resource_id)])
        assert (await client.resource(resource_id))["resource_id"] == resource_id
        assert (await client.cancel(resource_id))["state"] == "cancelled"
        with pytest.raises(Unknown):
            await client.delivery(resource_id)
        assert (await client.purge(resource_id))["purged"]


async def test_r1_the_client_reaches_a_resource_by_the_number_that_it_was_sent_as(listener: Harness) -> None:
    async with Client(f"http://127.0.0.1:{listener.port}") as client:
        await client.send([packet(0, 1234)])
        assert (await client.resource(1234))["resource_id"] == "1234"
        assert (await client.complete(1234, total=1))["total"] == 1
        assert (await client.cancel(1234))["state"] == "cancelled"


async def test_outputs_come_in_order_and_from_behind_an_index(listener: Harness) -> None:
    await listener.post([packet(i, payload=[i]) for i in reversed(range(40))])
    await process(listener)
    reply = await listener.ask("GET", "/v1/resources/r/outputs")
    assert reply.headers["content-type"] == "application/json"
    places = {outcome["index"]: outcome["seq"] for outcome in reply.json["outputs"]}
    assert sorted(places.values()) == [*range(1, 41)]
    assert reply.json == {
        "webhook_id": (await show(listener))["webhook_id"],
        "state": "open",
        "completed_by": None,
        "total": None,
        "outputs": [{"seq": places[i], "index": i, "output": [i]} for i in range(40)],
        "next_cursor": None,
    }
    after = await listener.ask("GET", "/v1/resources/r/outputs?cursor=37")
    assert [output["index"] for output in after.json["outputs"]] == [38, 39]
    none = await listener.ask("GET", "/v1/resources/r/outputs?cursor=39")
    assert (none.json["outputs"], none.json["next_cursor"]) == ([], None)


@pytest.mark.parametrize("limit", [1, 15, 16, 17, 20, 40, 41])
async def test_outputs_come_in_pages(listener: Harness, limit: int) -> None:
    await listener.post([packet(i, payload=i) for i in range(40)])
    await process(listener)
    found: list[int] = []
    cursor = ""
    while True:
        page = (await listener.ask("GET", f"/v1/resources/r/outputs?limit={limit}{cursor}")).json
        assert len(page["outputs"]) == min(limit, 40 - len(found))
        found += [output["index"] for output in page["outputs"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == [*range(40)]


@pytest.mark.parametrize("query", ["cursor=x", "cursor=-1", "limit=0", "limit=x", "after=1", "limit=1&limit=2"])
async def test_outputs_say_what_can_be_asked(shared: Harness, query: str) -> None:
    assert (await shared.ask("GET", f"/v1/resources/r/outputs?{query}")).problem["code"] == "malformed"


async def test_p5_an_output_that_is_larger_than_a_page_stands_alone_in_one(listener: Harness) -> None:
    for index, size in enumerate((10, 1_000_000, 10, 100_000, 100_000, 10)):
        assert (await listener.post(packet(index, payload="x" * size))).status == 202
    await process(listener)
    pages, cursor = list[list[int]](), ""
    while True:
        page = (await listener.ask("GET", f"/v1/resources/r/outputs?{cursor}")).json
        pages.append([output["index"] for output in page["outputs"]])
        if page["next_cursor"] is None:
            break
        cursor = f"cursor={page['next_cursor']}"
    assert pages == [[0], [1], [2, 3], [4, 5]]


async def test_p5_what_clients_do_not_read_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients who ask for much and read nothing hold what may be held together; what is beyond it is refused."""
    limit, size = 3_000_000, 1_000_000
    async with open_door(tmp_path, limits=HttpLimits(max_buffered=limit)) as listener, AsyncExitStack() as stack:
        assert (await listener.post(packet(0, payload="x" * size))).status == 202
        await process(listener)
        buffer_memory, held = listener.app._buffer_memory, [0]
        take = buffer_memory.take

        def watched(who: str, number: int = 1) -> None:
            take(who, number)
            held.append(buffer_memory.used)

        monkeypatch.setattr(buffer_memory, "take", watched)
        wires = [await stack.enter_async_context(listener.wire(unread=64 * KIB)) for _ in range(6)]
        for wire in wires:
            await wire.send(request("GET", "/v1/resources/r/outputs") * 8)
        await until(lambda: buffer_memory.used > limit - size)
        assert (await listener.ask("GET", "/v1/status")).status == 200  # what is small is answered
        replies = [await wire.reply() for wire in wires for _ in range(8)]
        assert {reply.status for reply in replies} == {200, 503}
        assert {reply.problem["code"] for reply in replies if reply.status != 200} == {"busy"}
        assert max(held) <= limit
        await until(lambda: buffer_memory.used == 0)


# Lists.


async def walk(listener: Harness, query: str, limit: int = 2) -> list[str]:
    """The ids of a list, page by page."""
    found: list[str] = []
    cursor = ""
    while True:
        page = (await listener.ask("GET", f"/v1/resources?limit={limit}{query}{cursor}")).json
        found += [resource["resource_id"] for resource in page["resources"]]
        if page["next_cursor"] is None:
            return found
        assert len(page["resources"]) == limit
        cursor = "&cursor=" + quote(page["next_cursor"], safe="")


async def test_resources_are_listed_in_pages_in_order_of_id(listener: Harness) -> None:
    ids = ["a", "a&b=c", "a/b", "b", "b ", "b+", "ü", "\U0001f600"]
    await listener.post([packet(0, resource_id) for resource_id in reversed(ids)])
    for limit in (1, 2, 3, 8, 9):
        assert await walk(listener, "", limit) == ids
    assert await walk(listener, "&prefix=a") == ids[:3]
    assert await walk(listener, "&prefix=" + quote("\U0001f600")) == ids[7:]
    assert await walk(listener, "&prefix=zz") == []
    page = (await listener.ask("GET", "/v1/resources?limit=1")).json
    opened_at = page["resources"][0].pop("opened_at")
    assert opened_at.endswith("Z")
    assert page["resources"] == [
        {"resource_id": "a", "state": "open", "total": None, "received": 1, "done": 0, "failed": 0, "closed_at": None}
    ]


async def test_resources_are_listed_by_state(listener: Harness) -> None:
    await listener.post([packet(0, "done", last=True), packet(0, "open"), packet(0, "ended")])
    await process(listener)
    await do(listener, "cancel", resource_id="ended")
    for state, resource_id in (("collated", "done"), ("open", "open"), ("cancelled", "ended"), ("incomplete", None)):
        assert await walk(listener, f"&state={state}") == ([resource_id] if resource_id else [])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=0", "limit: 0 is not between 1 and 1000"),
        ("limit=1001", "limit: 1001 is not between 1 and 1000"),
        ("limit=99999999999999999999", "limit: 99999999999999999999 is not between 1 and 1000"),
        ("limit=", "limit: '' is not a whole number"),
        ("state=closed", "state: 'closed' is not one of open, collated, incomplete, cancelled"),
        ("page=2", "unknown option 'page'; known options: state, prefix, order, opened_since"),
        ("prefix=a&prefix=b", "an option occurs twice"),
        ("prefix=%FF", "the query is not percent-encoded UTF-8"),
    ],
)
async def test_a_list_says_what_can_be_asked(shared: Harness, query: str, words: str) -> None:
    problem = (await shared.ask("GET", f"/v1/resources?{query}")).problem
    assert (problem["status"], problem["code"]) == (422, "malformed")
    assert words in problem["detail"]


# Why it is not delivered.


async def test_p6_a_resource_says_what_it_waits_for(listener: Harness) -> None:
    async def why() -> str | None:
        found: str | None = (await show(listener))["why_undelivered"]
        return found

    await listener.post([packet(0), packet(1)])
    assert await why() == "processing: no outcome yet for index 0 to 1"
    await process(listener, failing=(1,))
    assert "its number of packets is unknown" in (await why() or "")
    await listener.post(packet(4, last=True))
    await process(listener)
    assert await why() == "never received: index 2 to 3"
    await listener.post([packet(2), packet(3)])
    await process(listener)
    assert await why() == "held open because 1 packet failed: retry them, or complete the resource with force"
    await do(listener, "complete", {"force": True})
    assert await why() == "endpoint default: being sent"
    await settle(listener, DeliveryState.DUE, "HTTP 503", 25.0)
    assert await why() == "endpoint default: next attempt in 25 s after 1 attempt (HTTP 503)"
    listener.clock.advance(26.0)
    await settle(listener, DeliveryState.DEAD, "HTTP 410")
    assert await why() == "endpoint default: given up after 2 attempts (HTTP 410); it can be replayed"
    await listener.ledger.replay(DeliveryFilter(resource_id="r"))
    assert await why() == "endpoint default: being sent after 2 attempts (replayed)"
    await settle(listener, DeliveryState.DELIVERED, "HTTP 200")
    assert await why() is None


async def test_p6_r23_a_resource_says_that_its_receiver_is_paused(listener: Harness) -> None:
    await listener.post(packet(0, last=True))
    await process(listener)
    listener.sender.trouble["default"] = "breaker open, next try in 12 s (HTTP 503)"
    told = "endpoint default: breaker open, next try in 12 s (HTTP 503)"
    assert (await show(listener))["why_undelivered"] == told
    await settle(listener, DeliveryState.DUE, "HTTP 503", 25.0)
    told += "; after 1 attempt (HTTP 503)"
    assert (await show(listener))["why_undelivered"] == told


async def test_p6_a_resource_without_an_endpoint_says_so(tmp_path: Path) -> None:
    async with open_door(tmp_path, endpoints=()) as listener:
        await listener.post(packet(0, last=True))
        await process(listener)
        told = "no endpoint is configured: nothing is sent; read the outputs through the API"
        assert (await show(listener))["why_undelivered"] == told
        listener.sender.names = ["crm"]
        assert (await show(listener))["why_undelivered"] == "no endpoint matched its id when it ended"


# Repair.


async def test_r15_complete_fixes_the_total_and_hands_the_delivery_on(listener: Harness) -> None:
    listener.sender.places = 1
    await listener.post([packet(0), packet(1)])
    await process(listener)
    reply = await do(listener, "complete", {"total": 2})
    assert (reply.status, reply.json["state"], reply.json["completed_by"]) == (200, "collated", "total")
    assert [delivery.resource_id for delivery in listener.sender.deliveries] == ["r"]
    again = await do(listener, "complete", {"total": 2})
    assert (again.status, again.json["state"]) == (200, "collated")
    assert (await do(listener, "complete", {"total": 3})).problem["code"] == "conflict"


async def test_complete_without_room_leaves_the_delivery_due(listener: Harness) -> None:
    await listener.post(packet(0))
    await process(listener)
    assert (await do(listener, "complete", {"force": True})).json["completed_by"] == "forced"
    assert (listener.sender.deliveries, listener.sender.endpoints) == ([], {"default"})


@pytest.mark.parametrize(
    "body", [None, {}, [], 3, {"total": None}, {"total": -1}, {"total": 1_000_001}, {"total": "2"}, {"totals": 2}]
)
async def test_complete_says_what_it_wants(shared: Harness, body: object) -> None:
    assert (await do(shared, "complete", body)).problem["code"] == "malformed"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("resources/r/complete", b'{"\xff": 1}'),
        ("resources/r/complete", b'{"total": 1, "force\xff": true}'),
        ("deliveries/replay", b'{"prefix": "\xff"}'),
        ("deliveries/replay", b'{"state": "\xed\xa0\x80"}'),
    ],
)
async def test_an_order_that_is_not_utf_8_is_malformed(shared: Harness, path: str, body: bytes) -> None:
    problem = (await shared.ask("POST", f"/v1/{path}", body)).problem
    assert (problem["code"], "UTF-8" in problem["detail"]) == ("malformed", True)


async def test_cancel_ends_a_resource_and_may_be_repeated(listener: Harness) -> None:
    await listener.post(packet(0))
    for _ in range(2):
        reply = await do(listener, "cancel")
        assert (reply.status, reply.json["state"]) == (200, "cancelled")
    assert "no webhook" in (await show(listener))["why_undelivered"]
    await listener.post(packet(0, "s", last=True))
    await process(listener)
    assert (await do(listener, "cancel", resource_id="s")).problem["code"] == "ended"


async def test_r16_retry_gives_failed_packets_back_to_the_workforce(listener: Harness) -> None:
    await listener.post([packet(0), packet(1, last=True)])
    await process(listener, failing=(1,))
    listener.workers.notified = 0
    reply = await do(listener, "retry", {})
    assert (reply.status, reply.json) == (200, {"resource_id": "r", "retried": 1})
    assert listener.workers.notified == 1
    await process(listener)
    assert (await show(listener))["state"] == "collated"
    assert (await do(listener, "retry")).problem["code"] == "ended"
    assert listener.workers.notified == 1


async def test_r25_a_resource_that_has_ended_can_be_forgotten_and_its_id_opens_anew(listener: Harness) -> None:
    await listener.post([packet(0), packet(1, last=True)])
    assert "is open; cancel it first" in (await listener.ask("DELETE", "/v1/resources/r")).problem["detail"]
    await process(listener)
    problem = (await listener.ask("DELETE", "/v1/resources/r")).problem
    assert (problem["status"], problem["code"]) == (409, "conflict")
    assert "a due delivery; give it up first" in problem["detail"]
    first = (await show(listener))["webhook_id"]
    await settle(listener, DeliveryState.DEAD, "HTTP 410")
    reply = await listener.ask("DELETE", "/v1/resources/r")
    assert (reply.status, reply.json) == (200, {"resource_id": "r", "purged": True})
    for method, path in (("GET", ""), ("GET", "/outputs"), ("DELETE", "")):
        assert (await listener.ask(method, f"/v1/resources/r{path}")).problem["code"] == "unknown"
    assert (await listener.post(packet(0, payload="another"))).json["status"] == "accepted"
    assert (await show(listener))["webhook_id"] != first


async def test_a_large_resource_is_forgotten_whole_before_the_answer(listener: Harness) -> None:
    await listener.post([packet(i, last=i == 2499) for i in range(2500)])
    await process(listener)
    await do(listener, "cancel")
    await settle(listener, DeliveryState.DELIVERED, "HTTP 200")
    assert (await listener.ask("DELETE", "/v1/resources/r")).status == 200
    assert await listener.ledger.counts() == Counts()
    assert await listener.ledger.purge(limit=10_000) == 0


async def test_forgetting_takes_no_orders(shared: Harness) -> None:
    assert (await shared.ask("DELETE", "/v1/resources/r", b'{"force": true}')).problem["code"] == "malformed"
    assert (await shared.ask("DELETE", "/v1/resources/r?force=true")).problem["code"] == "malformed"


@pytest.mark.parametrize("verb", ["complete", "cancel", "retry"])
async def test_repair_of_an_unknown_resource_gets_404(shared: Harness, verb: str) -> None:
    body = {"force": True} if verb == "complete" else None
    assert (await do(shared, verb, body, "nobody")).problem["code"] == "unknown"


@pytest.mark.parametrize("verb", ["cancel", "retry"])
async def test_repair_takes_no_orders_that_it_does_not_know(shared: Harness, verb: str) -> None:
    assert (await do(shared, verb, {"force": True})).problem["code"] == "malformed"


# Paths and methods.


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/resources/r", "DELETE, GET, HEAD"),
        ("DELETE", "/v1/resources", "GET, HEAD"),
        ("GET", "/v1/resources/r/complete", "POST"),
        ("PUT", "/healthz", "GET, HEAD"),
        ("POST", "/v1/resources/r/packets/0", "GET, HEAD, PUT"),
    ],
)
async def test_another_method_gets_405_with_what_is_allowed(
    shared: Harness, method: str, path: str, allowed: str
) -> None:
    reply = await shared.ask(method, path)
    assert (reply.status, reply.problem["code"], reply.headers["allow"]) == (405, "method_not_allowed", allowed)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/packets/", "/v1/resources/", "/v1/resources/r/", "/healthz/", "/%"])
async def test_an_unknown_path_gets_404(shared: Harness, path: str) -> None:
    problem = (await shared.ask("GET", path)).problem
    assert problem["code"] == "not_found"
    assert problem["detail"] == f"unknown path {path}; see /openapi.json for the API"


async def test_head_gets_no_body(shared: Harness) -> None:
    async with shared.wire() as wire:
        await wire.send(request("HEAD", "/healthz") + request("GET", "/healthz"))
        status, headers = await wire.head()
        assert (status, int(headers["content-length"]) > 0) == (200, True)
        assert (await wire.reply()).json == {"status": "alive"}


# Watching.


async def test_healthz_needs_nothing(listener: Harness) -> None:
    listener.intake.drain()
    listener.reasons.append("the disk is full")
    assert (await listener.ask("GET", "/healthz")).json == {"status": "alive"}


async def test_readyz_gives_its_reasons(listener: Harness) -> None:
    assert (await listener.ask("GET", "/readyz")).json == {"status": "ready", "risks": []}
    listener.reasons.append("the disk is full")
    reply = await listener.ask("GET", "/readyz")
    assert (reply.status, reply.problem["reasons"]) == (503, ["the disk is full"])
    listener.intake.drain()
    assert (await listener.ask("GET", "/readyz")).problem["reasons"] == [
        "the service is stopping; try again later, or another node",
        "the disk is full",
    ]


async def test_metrics_hold_what_the_store_holds(listener: Harness) -> None:
    await listener.post([packet(0), packet(1), packet(0, "s")])
    reply = await listener.ask("GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    lines = reply.body.decode().splitlines()
    assert 'collator_resources{state="open"} 2.0' in lines
    assert "collator_packets_waiting 3.0" in lines
    assert "collator_backlog_bytes 435.0" in lines  # each of them 57, and each resource 132
    assert "collator_open_bytes 264.0" in lines


async def test_a_list_by_time_takes_filters_and_one_by_id_takes_none_of_them(listener: Harness) -> None:
    for name in "cab":
        await listener.post([packet(0, name)])
        listener.clock.advance(60.0)

    async def names(query: str) -> str:
        reply = await listener.ask("GET", f"/v1/resources{query}")
        assert reply.status == 200, reply
        return "".join(one["resource_id"] for one in reply.json["resources"])

    assert await names("") == await names("?order=id") == "abc"
    assert await names("?order=newest") == "bac"
    assert await names("?order=oldest&limit=2") == "ca"
    assert await names("?opened_since=2000-01-01T00:00:00Z") == "bac"
    assert await names("?failed=true") == await names("?undelivered=true") == ""
    assert await names("?failed=false&undelivered=false") == "abc"
    reply = await listener.ask("GET", "/v1/resources?order=id&failed=true")
    assert (reply.status, reply.json["code"]) == (422, "malformed")
