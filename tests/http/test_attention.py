"""What the status says needs the attention of a person, endpoint by endpoint (R20, R23)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collator.messages import Attempt, Output, tasks_of
from collator.states import DeliveryState
from collator.web import attention
from tests.http.listener import Harness, open_door, packet

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

DUE, DELIVERED, DEAD = DeliveryState.DUE, DeliveryState.DELIVERED, DeliveryState.DEAD
ENDPOINTS = ("archive", "crm", "gone")


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path, endpoints=ENDPOINTS) as listener:
        yield listener


async def finish(listener: Harness, *resource_ids: str) -> None:
    """Let resources end; each has a delivery to every endpoint."""
    await listener.post([packet(0, name, last=True) for name in resource_ids])
    tasks = tasks_of(await listener.ledger.claim(capacity=1000))
    await listener.ledger.record([Output(task.lease, task.payload) for task in tasks], capacity={})


async def settle(listener: Harness, endpoint: str, state: DeliveryState, reason: str, *, capacity: int = 1000) -> None:
    """End an attempt of what is due to *endpoint*."""
    claimed = await listener.ledger.claim_deliveries(endpoint, capacity=capacity)
    await listener.ledger.record_attempts([Attempt(one, state, reason, 25.0) for one in claimed])


async def needing(listener: Harness) -> dict[str, dict[str, Any]]:
    """What needs attention, by endpoint."""
    told: list[dict[str, Any]] = (await listener.ask("GET", "/v1/status")).json["attention"]
    assert [one["endpoint"] for one in told] == sorted(one["endpoint"] for one in told)
    return {one["endpoint"]: one for one in told}


async def causes(listener: Harness) -> dict[str, list[str]]:
    return {name: one["causes"] for name, one in (await needing(listener)).items()}


async def test_where_all_is_well_nothing_needs_attention(listener: Harness) -> None:
    assert await causes(listener) == {}
    await finish(listener, "r")
    assert await causes(listener) == {}  # it is due, and that is no trouble yet
    for name in ENDPOINTS:
        await settle(listener, name, DELIVERED, "HTTP 200")
    listener.clock.advance(attention.OVERDUE + 1)
    assert await causes(listener) == {}


async def test_r23_a_receiver_that_refuses_everything_is_told_with_what_it_says(listener: Harness) -> None:
    await finish(listener, "a")
    listener.clock.advance(10)
    await finish(listener, "b")
    for name in ENDPOINTS:
        await settle(listener, name, DUE if name == "crm" else DELIVERED, "HTTP 401: no such key")
    listener.clock.advance(attention.OVERDUE - 11)
    assert await causes(listener) == {}
    listener.clock.advance(1)
    (one,) = (await needing(listener)).values()
    assert (one["endpoint"], one["causes"], one["due"], one["due_more"]) == ("crm", ["overdue"], 2, False)
    closed = (await listener.ask("GET", "/v1/resources/a")).json["closed_at"]
    oldest = one["oldest_due"]
    assert (oldest["resource_id"], oldest["created_at"], oldest["attempts"]) == ("a", closed, 1)
    assert oldest["reason"] == "HTTP 401: no such key"
    assert (one["dead"], one["oldest_dead"], one["why_not_sent"]) == (0, None, None)


async def test_r23_an_open_breaker_is_told_with_when_it_is_tried_next(listener: Harness) -> None:
    listener.sender.trouble["crm"] = "breaker open, next try in 12 s (HTTP 503)"
    listener.sender.tries["crm"] = 11.5
    (one,) = (await needing(listener)).values()
    assert (one["causes"], one["next_try_in"]) == (["failing"], 11.5)
    assert one["why_not_sent"] == listener.sender.trouble["crm"]
    # To wait because a receiver asked for that is no trouble by itself.
    listener.sender.tries.clear()
    assert await causes(listener) == {}


async def test_r23_what_is_paused_dead_or_without_an_endpoint_is_told(listener: Harness) -> None:
    await finish(listener, "a", "b", "c")
    await listener.ledger.pause("archive", reason="HTTP 410")
    await settle(listener, "crm", DEAD, "HTTP 400: what is this", capacity=2)
    listener.sender.names = ("archive", "crm")
    found = await needing(listener)
    assert {name: one["causes"] for name, one in found.items()} == {
        "archive": ["paused"], "crm": ["dead"], "gone": ["not_configured"],
    }  # fmt: skip
    assert {name: (one["due"], one["dead"]) for name, one in found.items()} == {
        "archive": (3, 0), "crm": (1, 2), "gone": (3, 0),
    }  # fmt: skip
    assert found["crm"]["oldest_dead"]["reason"] == "HTTP 400: what is this"
    listener.clock.advance(attention.OVERDUE)
    assert await causes(listener) == {
        "archive": ["paused", "overdue"], "crm": ["overdue", "dead"], "gone": ["not_configured", "overdue"],
    }  # fmt: skip


async def test_p5_no_more_is_counted_than_a_number_and_that_is_told(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finish(listener, "a", "b")
    await settle(listener, "crm", DEAD, "HTTP 400")
    monkeypatch.setattr(attention, "LISTED", 3)
    one = (await needing(listener))["crm"]
    assert (one["dead"], one["dead_more"], one["due_more"]) == (2, False, True)  # of four that are due


async def test_p5_what_is_dead_is_found_behind_what_is_due(listener: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sqlite", "postgresql"):
        monkeypatch.setattr(f"collator.ledgers.{module}.deliveries.LOOKED", 1)
    await finish(listener, "a", "b")  # of six deliveries
    claimed = await listener.ledger.claim_deliveries("gone", capacity=2)
    await listener.ledger.record_attempts([Attempt(one, DEAD, "HTTP 400") for one in claimed])
    assert (await needing(listener))["gone"]["dead"] == 2
    monkeypatch.setattr(attention, "_LOOKS", 5)
    one = (await needing(listener))["gone"]
    assert (one["dead"], one["dead_more"]) == (1, True)


async def test_metrics_tell_what_is_due_to_each_endpoint_for_how_long_and_what_is_under_way(listener: Harness) -> None:
    await finish(listener, "a")
    listener.clock.advance(100.0)
    await finish(listener, "b")
    await settle(listener, "archive", DELIVERED, "HTTP 200")
    await settle(listener, "crm", DEAD, "HTTP 400", capacity=1)
    listener.clock.advance(50.0)
    for _ in range(2):
        told = (await listener.ask("GET", "/metrics")).body.decode().splitlines()
        found = dict(
            line.rsplit(" ", 1) for line in told if line.startswith(("collator_endpoint_", "collator_packets_"))
        )
        due = {name: found.get(f'collator_endpoint_due{{endpoint="{name}"}}') for name in ENDPOINTS}
        assert due == {"archive": None, "crm": "1.0", "gone": "2.0"}
        age = float(found['collator_endpoint_oldest_due_seconds{endpoint="gone"}'])
        assert age == pytest.approx(150.0, abs=1.0)
        assert found['collator_endpoint_requests_in_flight{endpoint="crm"}'] == "3.0"
        assert found["collator_packets_in_hand"] == "7.0"
    assert (await listener.ask("GET", "/v1/status")).json["under_way"] == {"packets": 7, "deliveries": 9}
