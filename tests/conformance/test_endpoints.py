"""Endpoints that are paused, and deliveries that are large: what is handed out, and what is not (R23, P4)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from collator.clock import rfc3339
from collator.messages import LARGE_BODY, Attempt, Output, Pause
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import DeliveryState
from tests.conformance.steps import claim, delivered, due, due_one, echo, finish, listed, packets, replay, send
from tests.conformance.store import Store

TERMS = LedgerLimits(delivery_lease=30.0)
LARGE = (b'"' + b"x" * (LARGE_BODY // 2) + b'"',) * 2


def route(name: str) -> list[str]:
    return ["a", "b"] if name.startswith("both") else ["default"]


async def test_r23_to_a_paused_endpoint_nothing_is_handed_out_and_what_is_due_stays_due(store: Store) -> None:
    ledger = await store.open(TERMS, route=route)
    await finish(ledger, "both")
    assert await ledger.pause("a", reason="by a person")
    await finish(ledger, "both-later")
    assert not await due(ledger, "a")
    assert await ledger.due_endpoints() == {"b"}
    assert {delivery.resource_id for delivery in await due(ledger, "b")} == {"both", "both-later"}
    store.clock.advance(1_000_000)
    assert {report.state for report in await listed(ledger, endpoint="a")} == {DeliveryState.DUE}
    assert not await ledger.claim_deliveries("a", capacity=1, probe=True)
    assert await ledger.resume("a")
    assert {delivery.resource_id for delivery in await due(ledger, "a")} == {"both", "both-later"}


async def test_r23_what_is_born_for_a_paused_endpoint_is_not_leased_to_its_caller(store: Store) -> None:
    ledger = await store.open(TERMS, route=route)
    await ledger.pause("a", reason="by a person")
    await send(ledger, *packets(1, "both"))
    outcome = await ledger.record(echo(await claim(ledger)), capacity={"a": 9, "b": 9})
    assert [delivery.endpoint for delivery in outcome.deliveries] == ["b"]


async def test_r23_pausing_and_resuming_may_be_repeated(store: Store) -> None:
    ledger = await store.open()
    at = rfc3339(store.clock.wall())
    assert [await ledger.pause("a", reason=reason) for reason in ("first", "second")] == [True, False]
    assert await ledger.paused() == {"a": Pause(since=at, reason="first")}
    assert [await ledger.resume("a") for _ in range(2)] == [True, False]
    assert await ledger.paused() == {}


@pytest.mark.parametrize("end", ["reopen", "crash"])
async def test_r23_a_pause_outlives_the_process(store: Store, end: str) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    await ledger.pause("default", reason="HTTP 410")
    paused = await ledger.paused()
    ledger = await getattr(store, end)(down=100.0)
    assert await ledger.paused() == paused
    assert not await due(ledger)
    await ledger.resume("default")
    ledger = await getattr(store, end)()
    assert await ledger.paused() == {}
    assert (await due_one(ledger)).resource_id == "r"


async def test_r23_an_attempt_that_pauses_does_so_where_it_is_stored(store: Store) -> None:
    ledger = await store.open(TERMS)
    for name in "abc":
        await finish(ledger, name)
    first, second = await due(ledger, capacity=2)
    gone = Attempt(first, DeliveryState.DUE, "HTTP 410: gone", counted=False, pauses=True)
    assert await ledger.record_attempts([gone]) == [True]
    ledger = await store.crash()
    assert (await ledger.paused())["default"].reason == "HTTP 410: gone"
    assert not await due(ledger)
    assert [report.attempts for report in await listed(ledger, state=DeliveryState.DUE)] == [0, 0, 0]
    await ledger.resume("default")
    assert len(await due(ledger)) == 3
    assert second.resource_id == "c"  # which became due last


async def test_r24_a_stale_attempt_pauses_nothing(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    lost = await due_one(ledger)
    store.clock.advance(31)
    await due_one(ledger)
    assert await ledger.record_attempts([Attempt(lost, DeliveryState.DUE, "HTTP 410", counted=False, pauses=True)]) == [
        False
    ]
    assert await ledger.paused() == {}


async def test_p4_a_2xx_of_what_was_under_way_counts_while_its_endpoint_is_paused(ledger: Ledger) -> None:
    await finish(ledger)
    delivery = await due_one(ledger)
    await ledger.pause("default", reason="by a person")
    assert await ledger.record_attempts([delivered(delivery)]) == [True]
    await replay(ledger, resource_id="r")
    assert not await due(ledger)


async def test_p5_what_is_large_takes_the_room_of_no_other(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "large-1", LARGE)
    await finish(ledger, "small-1")
    await finish(ledger, "large-2", LARGE)
    await finish(ledger, "small-2", LARGE[:1])
    small = await ledger.claim_deliveries("default", capacity=2)
    assert [(one.resource_id, one.large) for one in small] == [("small-1", False), ("small-2", False)]
    assert await ledger.claim_deliveries("default", capacity=9) == []
    large = await ledger.claim_deliveries("default", capacity=1, large=True)
    large = [*large, *await ledger.claim_deliveries("default", capacity=9, large=True, probe=True)]
    assert [(one.resource_id, one.large, one.body) for one in large] == [
        ("large-1", True, None),
        ("large-2", True, None),
    ]
    assert [len(await ledger.body(one)) > LARGE_BODY for one in large] == [True, True]


@pytest.mark.parametrize(("outputs", "leased"), [(LARGE, 0), (LARGE[:1], 1)])
async def test_p5_what_is_born_large_is_not_leased_to_its_caller(
    store: Store, outputs: Sequence[bytes], leased: int
) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, *packets(len(outputs)))
    results = [Output(task.lease, outputs[task.key.index]) for task in await claim(ledger)]
    outcome = await ledger.record(results, capacity={"default": 9})
    assert (len(outcome.deliveries), outcome.endpoints) == (leased, frozenset() if leased else {"default"})
    assert len(await ledger.claim_deliveries("default", capacity=9, large=True)) == 1 - leased
