"""`/v1/deliveries` over HTTP: lists, one with its history, replay, stop (R20, R22 to R25)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collator.exchange import Attempt, Output
from collator.states import DeliveryState
from collator.web import deliveries
from tests.http.door import Harness, Reply, open_door, packet

DUE, DELIVERED, DEAD = DeliveryState.DUE, DeliveryState.DELIVERED, DeliveryState.DEAD


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path, endpoints=("crm", "archive")) as door:
        yield door


async def finish(door: Harness, *resource_ids: str) -> None:
    """Let resources end; each has a delivery to both endpoints."""
    await door.post([packet(0, name, last=True) for name in resource_ids])
    tasks = await door.ledger.claim(claim_id=resource_ids[0], room=1000)
    await door.ledger.record([Output(task.lease, task.payload) for task in tasks], room={})


async def settle(door: Harness, endpoint: str, state: DeliveryState, reason: str, *, room: int = 1000) -> None:
    """End an attempt of everything that is due to *endpoint*."""
    claimed = await door.ledger.claim_deliveries(endpoint, room=room)
    await door.ledger.settle([Attempt(one, state, reason, 25.0, seconds=0.5) for one in claimed])


async def listed(door: Harness, query: str = "") -> list[tuple[str, str]]:
    """Resource and endpoint of what a list shows, all pages."""
    found, cursor = list[tuple[str, str]](), ""
    while cursor is not None:
        sign = "&" if "?" in query else "?"
        reply = await door.ask("GET", f"/v1/deliveries{query}" + (f"{sign}cursor={cursor}" if cursor else ""))
        assert reply.status == 200, reply
        assert {*reply.json} == {"deliveries", "next_cursor"}
        found += [(one["resource_id"], one["endpoint"]) for one in reply.json["deliveries"]]
        cursor = reply.json["next_cursor"]
    return found


async def one(door: Harness, resource_id: str = "r", endpoint: str = "crm") -> str:
    """The id of a delivery."""
    reply = await door.ask("GET", f"/v1/deliveries?resource_id={resource_id}&endpoint={endpoint}")
    name: str = reply.json["deliveries"][0]["id"]
    return name


async def show(door: Harness, name: str) -> dict[str, Any]:
    reply = await door.ask("GET", f"/v1/deliveries/{name}")
    assert reply.status == 200, reply
    shown: dict[str, Any] = reply.json
    return shown


async def replay(door: Harness, **said: object) -> Reply:
    return await door.ask("POST", "/v1/deliveries/replay", json.dumps(said).encode())


# Looking.


async def test_r20_every_endpoint_that_matches_has_a_delivery_of_its_own(door: Harness) -> None:
    await finish(door, "r")
    assert sorted(await listed(door)) == [("r", "archive"), ("r", "crm")]
    shown = (await door.ask("GET", "/v1/resources/r")).json
    assert {one["id"] for one in shown["deliveries"]} == {
        f"{shown['webhook_id']}:{name}" for name in ("crm", "archive")
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
async def test_r20_pages_over_http_are_exact_though_a_resource_has_several_endpoints(door: Harness, limit: int) -> None:
    names = [f"r{number}" for number in range(5)]
    await finish(door, *names)
    found = await listed(door, f"?limit={limit}")
    assert sorted(found) == sorted((name, endpoint) for name in names for endpoint in ("crm", "archive"))


async def test_a_list_takes_filters(door: Harness) -> None:
    await finish(door, "a1", "a2")
    door.clock.advance(100)
    await finish(door, "b1")
    await settle(door, "crm", DEAD, "HTTP 410", room=1)
    assert await listed(door, "?state=dead") == [("a1", "crm")]
    assert await listed(door, "?endpoint=crm&state=due") == [("a2", "crm"), ("b1", "crm")]
    assert await listed(door, "?endpoint=archive&prefix=a") == [("a1", "archive"), ("a2", "archive")]
    assert sorted(await listed(door, "?resource_id=b1")) == [("b1", "archive"), ("b1", "crm")]
    closed = (await door.ask("GET", "/v1/resources/b1")).json["closed_at"]
    assert await listed(door, f"?endpoint=crm&since={closed.replace(':', '%3A')}") == [("b1", "crm")]
    assert await listed(door, "?resource_id=nobody") == []
    assert len(await listed(door, "?since=1970-01-01T00:00:00Z")) == 6
    assert await listed(door, "?since=2999-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    "query",
    [
        "state=leased", "state=DEAD", "limit=0", "limit=1001", "limit=x", "since=today", "since=2026-01-01T00:00:00",
        "since=1", "cursor=x", "cursor=1", "what=1", "state=due&state=dead",
    ],
)  # fmt: skip
async def test_a_list_says_what_it_does_not_take(door: Harness, query: str) -> None:
    assert (await door.ask("GET", f"/v1/deliveries?{query}")).problem["code"] == "malformed"


async def test_r24_one_shows_its_attempts_with_time_answer_and_duration(door: Harness) -> None:
    await finish(door, "r")
    name = await one(door)
    before = await show(door, name)
    assert (before["state"], before["attempts"], before["log"], before["attempted_at"]) == ("due", 0, [], None)
    assert before["why_undelivered"] == "being sent"
    await settle(door, "crm", DUE, "HTTP 503")
    door.clock.advance(25)
    await settle(door, "crm", DEAD, "HTTP 410: the receiver wants no more of it")
    shown = await show(door, name)
    assert (shown["state"], shown["attempts"], shown["due_in"]) == ("dead", 2, None)
    assert [(entry["attempt"], entry["result"], entry["reason"], entry["seconds"]) for entry in shown["log"]] == [
        (1, "failed", "HTTP 503", 0.5),
        (2, "failed", "HTTP 410: the receiver wants no more of it", 0.5),
    ]
    assert shown["attempted_at"] == shown["log"][-1]["at"] > shown["log"][0]["at"]
    assert "given up after 2 attempts" in shown["why_undelivered"]


async def test_r23_one_says_that_its_receiver_is_paused(door: Harness) -> None:
    await finish(door, "r")
    door.sender.trouble["crm"] = "paused for 12 s more, as its receiver fails (HTTP 503)"
    assert (await show(door, await one(door)))["why_undelivered"] == door.sender.trouble["crm"]
    assert (await show(door, await one(door, endpoint="archive")))["why_undelivered"] == "being sent"


@pytest.mark.parametrize("name", ["msg_nobody:crm", "replay", "x%2Fy", "%3A", "msg_" + "a" * 52 + ":crm"])
@pytest.mark.parametrize(("method", "verb"), [("GET", ""), ("POST", "/replay"), ("POST", "/stop")])
async def test_an_unknown_delivery_gets_404(door: Harness, name: str, method: str, verb: str) -> None:
    reply = await door.ask(method, f"/v1/deliveries/{name}{verb}", b"" if method == "POST" else None)
    assert reply.problem["code"] == "unknown"


async def test_an_id_may_come_percent_encoded(door: Harness) -> None:
    await finish(door, "r")
    name = await one(door)
    assert (await show(door, name.replace(":", "%3A")))["id"] == name


# Sending again.


async def test_r24_one_is_sent_again_by_its_id_with_the_same_webhook_id(door: Harness) -> None:
    await finish(door, "r")
    await settle(door, "crm", DELIVERED, "HTTP 200")
    name = await one(door)
    for _ in range(2):  # safe to repeat
        reply = await door.ask("POST", f"/v1/deliveries/{name}/replay", b"")
        assert (reply.status, reply.json["state"], reply.json["attempts"]) == (200, "due", 1)
    assert door.sender.endpoints == {"crm"}
    (again,) = await door.ledger.claim_deliveries("crm", room=10)
    assert (f"{again.webhook_id}:crm", again.attempt, again.step) == (name, 2, 0)
    assert len(await door.ledger.claim_deliveries("archive", room=10)) == 1


async def test_r24_a_replay_by_filter_takes_the_dead_unless_told(door: Harness) -> None:
    await finish(door, "a1", "a2", "b1")
    await settle(door, "crm", DEAD, "HTTP 410")
    await settle(door, "archive", DELIVERED, "HTTP 200")
    assert (await replay(door, prefix="a")).json == {"replayed": 2, "next_cursor": None}
    assert door.sender.endpoints == {"crm"}
    assert await listed(door, "?state=due") == [("a1", "crm"), ("a2", "crm")]
    assert (await replay(door, prefix="a")).json["replayed"] == 0
    assert (await replay(door, state="delivered", resource_id="b1")).json["replayed"] == 1
    assert (await replay(door, endpoint="archive", state="delivered")).json["replayed"] == 2
    assert (await replay(door, since="2000-01-01T00:00:00+01:00")).json["replayed"] == 1
    assert await listed(door, "?state=dead") == await listed(door, "?state=delivered") == []


async def test_p5_a_replay_goes_by_steps_and_says_where_to_go_on(
    door: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_SLICE", 2)
    monkeypatch.setattr(deliveries, "_STEPS", 2)
    await finish(door, *(f"r{number}" for number in range(10)))
    await settle(door, "crm", DEAD, "HTTP 410")
    counts, cursor = list[int](), ""
    while cursor is not None:
        reply = await replay(door, state="dead", cursor=cursor)
        counts.append(reply.json["replayed"])
        cursor = reply.json["next_cursor"]
    assert sum(counts) == 10
    assert max(counts) == 4


@pytest.mark.parametrize(
    "said",
    [
        {}, [], 3, {"cursor": ""}, {"state": "due"}, {"state": "leased"}, {"prefix": ""}, {"since": "today"},
        {"since": "2026-01-01T00:00:00"}, {"endpoints": "crm"}, {"state": "dead", "cursor": "x"}, {"resource_id": 3},
    ],
)  # fmt: skip
async def test_a_replay_says_what_it_wants(door: Harness, said: object) -> None:
    body = json.dumps(said).encode()
    assert (await door.ask("POST", "/v1/deliveries/replay", body)).problem["code"] == "malformed"


async def test_a_replay_of_what_has_no_delivery_is_unknown(door: Harness) -> None:
    assert (await replay(door, resource_id="nobody")).problem["code"] == "unknown"


# Giving up.


async def test_r24_r25_a_person_stops_a_delivery_and_may_purge_then(door: Harness) -> None:
    await finish(door, "r")
    await settle(door, "crm", DUE, "HTTP 503")
    await settle(door, "archive", DELIVERED, "HTTP 200")
    assert (await door.ask("DELETE", "/v1/resources/r")).problem["code"] == "conflict"
    name = await one(door)
    for _ in range(2):  # safe to repeat
        reply = await door.ask("POST", f"/v1/deliveries/{name}/stop", b"")
        assert (reply.status, reply.json["state"], reply.json["reason"]) == (200, "dead", "stopped by a person")
    shown = await show(door, name)
    assert [entry["reason"] for entry in shown["log"]] == ["HTTP 503"]
    assert shown["why_undelivered"] == "given up after 1 attempt (stopped by a person); it can be replayed"
    assert (await door.ask("DELETE", "/v1/resources/r")).status == 200
    assert (await door.ask("GET", f"/v1/deliveries/{name}")).problem["code"] == "unknown"


async def test_r24_what_was_delivered_cannot_be_stopped(door: Harness) -> None:
    await finish(door, "r")
    await settle(door, "crm", DELIVERED, "HTTP 200")
    assert (await door.ask("POST", f"/v1/deliveries/{await one(door)}/stop", b"")).problem["code"] == "ended"


@pytest.mark.parametrize("verb", ["replay", "stop"])
async def test_repair_of_one_takes_no_body(door: Harness, verb: str) -> None:
    await finish(door, "r")
    reply = await door.ask("POST", f"/v1/deliveries/{await one(door)}/{verb}", b'{"force": true}')
    assert reply.problem["code"] == "malformed"


async def test_deliveries_take_the_methods_that_they_take(door: Harness) -> None:
    assert (await door.ask("POST", "/v1/deliveries", b"{}")).problem["code"] == "method"
    assert (await door.ask("PUT", "/v1/deliveries/x/stop", b"{}")).problem["code"] == "method"
