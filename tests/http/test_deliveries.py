"""`/v1/deliveries` over HTTP: lists, one with its history, replay, stop (R20, R22 to R25)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collator.errors import Unavailable
from collator.messages import Attempt, Output, tasks_of
from collator.states import DeliveryState
from collator.web import deliveries
from tests.http.listener import Harness, Reply, open_door, packet

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

DUE, DELIVERED, DEAD = DeliveryState.DUE, DeliveryState.DELIVERED, DeliveryState.DEAD


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path, endpoints=("crm", "archive")) as listener:
        yield listener


async def finish(listener: Harness, *resource_ids: str) -> None:
    """Let resources end; each has a delivery to both endpoints."""
    await listener.post([packet(0, name, last=True) for name in resource_ids])
    tasks = tasks_of(await listener.ledger.claim(capacity=1000))
    await listener.ledger.record([Output(task.lease, task.payload) for task in tasks], capacity={})


async def settle(listener: Harness, endpoint: str, state: DeliveryState, reason: str, *, capacity: int = 1000) -> None:
    """End an attempt of everything that is due to *endpoint*."""
    claimed = await listener.ledger.claim_deliveries(endpoint, capacity=capacity)
    await listener.ledger.record_attempts([Attempt(one, state, reason, 25.0, seconds=0.5) for one in claimed])


async def listed(listener: Harness, query: str = "") -> list[tuple[str, str]]:
    """Resource and endpoint of what a list shows, all pages."""
    found, cursor = list[tuple[str, str]](), ""
    while cursor is not None:
        sign = "&" if "?" in query else "?"
        reply = await listener.ask("GET", f"/v1/deliveries{query}" + (f"{sign}cursor={cursor}" if cursor else ""))
        assert reply.status == 200, reply
        assert {*reply.json} == {"deliveries", "next_cursor"}
        found += [(one["resource_id"], one["endpoint"]) for one in reply.json["deliveries"]]
        cursor = reply.json["next_cursor"]
    return found


async def one(listener: Harness, resource_id: str = "r", endpoint: str = "crm") -> str:
    """The id of a delivery."""
    reply = await listener.ask("GET", f"/v1/deliveries?resource_id={resource_id}&endpoint={endpoint}")
    name: str = reply.json["deliveries"][0]["id"]
    return name


async def show(listener: Harness, name: str) -> dict[str, Any]:
    reply = await listener.ask("GET", f"/v1/deliveries/{name}")
    assert reply.status == 200, reply
    shown: dict[str, Any] = reply.json
    return shown


async def replay(listener: Harness, **said: object) -> Reply:
    return await listener.ask("POST", "/v1/deliveries/replay", json.dumps(said).encode())


# Looking.


async def test_r20_every_endpoint_that_matches_has_a_delivery_of_its_own(listener: Harness) -> None:
    await finish(listener, "r")
    assert sorted(await listed(listener)) == [("r", "archive"), ("r", "crm")]
    shown = (await listener.ask("GET", "/v1/resources/r")).json
    assert {one["id"] for one in shown["deliveries"]} == {
        f"{shown['webhook_id']}:{name}" for name in ("crm", "archive")
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
async def test_r20_pages_over_http_are_exact_though_a_resource_has_several_endpoints(
    listener: Harness, limit: int
) -> None:
    names = [f"r{number}" for number in range(5)]
    await finish(listener, *names)
    found = await listed(listener, f"?limit={limit}")
    assert sorted(found) == sorted((name, endpoint) for name in names for endpoint in ("crm", "archive"))


async def test_a_list_takes_filters(listener: Harness) -> None:
    await finish(listener, "a1", "a2")
    listener.clock.advance(100)
    await finish(listener, "b1")
    await settle(listener, "crm", DEAD, "HTTP 410", capacity=1)
    assert await listed(listener, "?state=dead") == [("a1", "crm")]
    assert await listed(listener, "?endpoint=crm&state=due") == [("a2", "crm"), ("b1", "crm")]
    assert await listed(listener, "?endpoint=archive&prefix=a") == [("a1", "archive"), ("a2", "archive")]
    assert sorted(await listed(listener, "?resource_id=b1")) == [("b1", "archive"), ("b1", "crm")]
    closed = (await listener.ask("GET", "/v1/resources/b1")).json["closed_at"]
    assert await listed(listener, f"?endpoint=crm&since={closed.replace(':', '%3A')}") == [("b1", "crm")]
    assert await listed(listener, "?resource_id=nobody") == []
    webhook = (await one(listener, "b1")).partition(":")[0]
    assert sorted(await listed(listener, f"?webhook_id={webhook}")) == [("b1", "archive"), ("b1", "crm")]
    assert await listed(listener, f"?webhook_id={webhook}&endpoint=crm") == [("b1", "crm")]
    assert len(await listed(listener, "?since=1970-01-01T00:00:00Z")) == 6
    assert await listed(listener, "?since=2999-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    "query",
    [
        "state=leased", "state=DEAD", "limit=0", "limit=1001", "limit=x", "since=today", "since=2026-01-01T00:00:00",
        "since=1", "cursor=x", "cursor=1", "what=1", "state=due&state=dead",
    ],
)  # fmt: skip
async def test_a_list_says_what_it_does_not_take(listener: Harness, query: str) -> None:
    assert (await listener.ask("GET", f"/v1/deliveries?{query}")).problem["code"] == "malformed"


async def test_r24_one_shows_its_attempts_with_time_answer_and_duration(listener: Harness) -> None:
    await finish(listener, "r")
    name = await one(listener)
    before = await show(listener, name)
    assert (before["state"], before["attempts"], before["log"], before["attempted_at"]) == ("due", 0, [], None)
    assert before["why_undelivered"] == "being sent"
    await settle(listener, "crm", DUE, "HTTP 503")
    listener.clock.advance(25)
    await settle(listener, "crm", DEAD, "HTTP 410: the receiver wants no more of it")
    shown = await show(listener, name)
    assert (shown["state"], shown["attempts"], shown["due_in"]) == ("dead", 2, None)
    assert [(entry["attempt"], entry["result"], entry["reason"], entry["seconds"]) for entry in shown["log"]] == [
        (1, "failed", "HTTP 503", 0.5),
        (2, "failed", "HTTP 410: the receiver wants no more of it", 0.5),
    ]
    assert shown["attempted_at"] == shown["log"][-1]["at"] > shown["log"][0]["at"]
    assert "given up after 2 attempts" in shown["why_undelivered"]


async def test_r23_one_says_that_its_receiver_is_paused(listener: Harness) -> None:
    await finish(listener, "r")
    listener.sender.trouble["crm"] = "breaker open, next try in 12 s (HTTP 503)"
    assert (await show(listener, await one(listener)))["why_undelivered"] == listener.sender.trouble["crm"]
    assert (await show(listener, await one(listener, endpoint="archive")))["why_undelivered"] == "being sent"


@pytest.mark.parametrize("name", ["msg_nobody:crm", "replay", "x%2Fy", "%3A", "msg_" + "a" * 52 + ":crm"])
@pytest.mark.parametrize(("method", "verb"), [("GET", ""), ("POST", "/replay"), ("POST", "/stop")])
async def test_an_unknown_delivery_gets_404(listener: Harness, name: str, method: str, verb: str) -> None:
    reply = await listener.ask(method, f"/v1/deliveries/{name}{verb}", b"" if method == "POST" else None)
    assert reply.problem["code"] == "unknown"


async def test_an_id_may_come_percent_encoded(listener: Harness) -> None:
    await finish(listener, "r")
    name = await one(listener)
    assert (await show(listener, name.replace(":", "%3A")))["id"] == name


# Sending again.


async def test_r24_one_is_sent_again_by_its_id_with_the_same_webhook_id(listener: Harness) -> None:
    await finish(listener, "r")
    await settle(listener, "crm", DELIVERED, "HTTP 200")
    name = await one(listener)
    for was in ("delivered", "due"):  # safe to repeat
        reply = await listener.ask("POST", f"/v1/deliveries/{name}/replay", b"")
        assert (reply.status, reply.json["state"], reply.json["attempts"]) == (200, "due", 1)
        assert reply.json == await show(listener, name) | {"due_in": reply.json["due_in"], "was": was}
    await listener.ask("POST", f"/v1/deliveries/{await one(listener, endpoint='archive')}/stop", b"")
    dead = await one(listener, endpoint="archive")
    assert (await listener.ask("POST", f"/v1/deliveries/{dead}/replay", b"")).json["was"] == "dead"
    assert listener.sender.endpoints == {"crm", "archive"}
    (again,) = await listener.ledger.claim_deliveries("crm", capacity=10)
    assert (f"{again.webhook_id}:crm", again.attempt, again.step) == (name, 2, 0)
    assert len(await listener.ledger.claim_deliveries("archive", capacity=10)) == 1


async def test_r24_a_replay_by_filter_takes_the_dead_unless_told(listener: Harness) -> None:
    await finish(listener, "a1", "a2", "b1")
    await settle(listener, "crm", DEAD, "HTTP 410")
    await settle(listener, "archive", DELIVERED, "HTTP 200")
    assert (await replay(listener, prefix="a")).json == {"replayed": 2, "next_cursor": None}
    assert listener.sender.endpoints == {"crm"}
    assert await listed(listener, "?state=due") == [("a1", "crm"), ("a2", "crm")]
    assert (await replay(listener, prefix="a")).json["replayed"] == 0
    assert (await replay(listener, state="delivered", resource_id="b1")).json["replayed"] == 1
    assert (await replay(listener, endpoint="archive", state="delivered")).json["replayed"] == 2
    assert (await replay(listener, since="2000-01-01T00:00:00+01:00")).json["replayed"] == 1
    assert await listed(listener, "?state=dead") == await listed(listener, "?state=delivered") == []


async def test_p5_a_replay_goes_by_steps_and_says_where_to_go_on(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_SLICE", 2)
    monkeypatch.setattr(deliveries, "_STEPS", 2)
    await finish(listener, *(f"r{number}" for number in range(10)))
    await settle(listener, "crm", DEAD, "HTTP 410")
    counts, cursor = list[int](), ""
    while cursor is not None:
        reply = await replay(listener, state="dead", cursor=cursor)
        counts.append(reply.json["replayed"])
        cursor = reply.json["next_cursor"]
    assert sum(counts) == 10
    assert max(counts) == 4


async def test_a_replay_that_the_ledger_stops_says_what_it_did_and_then_why(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "_SLICE", 2)
    await finish(listener, "a", "b", "c")
    await settle(listener, "crm", DEAD, "HTTP 410")
    replay_step, asked = listener.ledger.replay, list[str]()

    async def replay_once(*given: Any, **options: Any) -> Any:  # noqa: ANN401 - as the ledger has it
        asked.append(options["after"])
        if len(asked) > 1:
            raise Unavailable("away", retry_after=1.0)
        return await replay_step(*given, **options)

    monkeypatch.setattr(listener.ledger, "replay", replay_once, raising=False)
    done = (await replay(listener, state="dead")).json
    assert (done["replayed"], done["next_cursor"], listener.sender.endpoints) == (2, asked[1], {"crm"})
    reply = await replay(listener, state="dead", cursor=done["next_cursor"])
    assert (reply.status, reply.problem["detail"]) == (503, "away")


@pytest.mark.parametrize(
    "said",
    [
        {}, [], 3, {"cursor": ""}, {"state": "due"}, {"state": "leased"}, {"prefix": ""}, {"since": "today"},
        {"since": "2026-01-01T00:00:00"}, {"endpoints": "crm"}, {"state": "dead", "cursor": "x"}, {"resource_id": 3},
    ],
)  # fmt: skip
async def test_a_replay_says_what_it_wants(listener: Harness, said: object) -> None:
    body = json.dumps(said).encode()
    assert (await listener.ask("POST", "/v1/deliveries/replay", body)).problem["code"] == "malformed"


async def test_a_replay_of_what_has_no_delivery_is_unknown(listener: Harness) -> None:
    assert (await replay(listener, resource_id="nobody")).problem["code"] == "unknown"


# Giving up.


async def test_r24_r25_a_person_stops_a_delivery_and_may_purge_then(listener: Harness) -> None:
    await finish(listener, "r")
    await settle(listener, "crm", DUE, "HTTP 503")
    await settle(listener, "archive", DELIVERED, "HTTP 200")
    assert (await listener.ask("DELETE", "/v1/resources/r")).problem["code"] == "conflict"
    name = await one(listener)
    for _ in range(2):  # safe to repeat
        reply = await listener.ask("POST", f"/v1/deliveries/{name}/stop", b"")
        assert (reply.status, reply.json["state"], reply.json["reason"]) == (200, "dead", "given up by a person")
    shown = await show(listener, name)
    assert [entry["reason"] for entry in shown["log"]] == ["HTTP 503"]
    assert shown["why_undelivered"] == "given up after 1 attempt (given up by a person); it can be replayed"
    assert (await listener.ask("DELETE", "/v1/resources/r")).status == 200
    assert (await listener.ask("GET", f"/v1/deliveries/{name}")).problem["code"] == "unknown"


async def test_r24_what_was_delivered_cannot_be_stopped(listener: Harness) -> None:
    await finish(listener, "r")
    await settle(listener, "crm", DELIVERED, "HTTP 200")
    assert (await listener.ask("POST", f"/v1/deliveries/{await one(listener)}/stop", b"")).problem["code"] == "ended"


@pytest.mark.parametrize("verb", ["replay", "stop"])
async def test_repair_of_one_takes_no_body(listener: Harness, verb: str) -> None:
    await finish(listener, "r")
    reply = await listener.ask("POST", f"/v1/deliveries/{await one(listener)}/{verb}", b'{"force": true}')
    assert reply.problem["code"] == "malformed"


async def test_deliveries_take_the_methods_that_they_take(listener: Harness) -> None:
    assert (await listener.ask("POST", "/v1/deliveries", b"{}")).problem["code"] == "method_not_allowed"
    assert (await listener.ask("PUT", "/v1/deliveries/x/stop", b"{}")).problem["code"] == "method_not_allowed"
