"""The outbox: handed out by capacity, kept until it ends, and what each ending means (P4, R22 to R24)."""

from __future__ import annotations

import pytest

from collator.errors import Unknown
from collator.messages import DeliveryReport
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import DeliveryState
from tests.conformance.steps import (
    again,
    dead,
    delivered,
    drain,
    due,
    due_one,
    finish,
    listed,
    packet,
    packets,
    process,
    replay,
    send,
)
from tests.conformance.store import Store

DUE, LEASED, DELIVERED, DEAD = DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.DELIVERED, DeliveryState.DEAD
TERMS = LedgerLimits(delivery_lease=30.0)


async def report(ledger: Ledger, resource_id: str = "r") -> DeliveryReport:
    """The only delivery of a resource, as views show it."""
    (shown,) = (await ledger.resource(resource_id)).deliveries
    return shown


async def test_p4_a_delivery_is_leased_to_one_only(ledger: Ledger) -> None:
    for name in "abc":
        await finish(ledger, name)
    first, second = await due(ledger, capacity=2), await due(ledger, capacity=2)
    assert sorted(delivery.resource_id for delivery in [*first, *second]) == ["a", "b", "c"]
    assert len({delivery.lease for delivery in [*first, *second]}) == 3
    assert not await due(ledger)


async def test_p4_a_first_attempt_is_attempt_one_step_nought(ledger: Ledger) -> None:
    await finish(ledger)
    delivery = await due_one(ledger)
    assert (delivery.endpoint, delivery.attempt, delivery.step, delivery.known_at) == ("default", 1, 0, 0.0)


async def test_claim_deliveries_gives_the_longest_due_first(store: Store) -> None:
    ledger = await store.open(TERMS)
    for name in "cab":
        await finish(ledger, name)
        store.clock.advance(1)
    assert [delivery.resource_id for delivery in await due(ledger)] == ["c", "a", "b"]


async def test_r23_a_probe_takes_what_was_tried_least_and_else_what_is_due_next(store: Store) -> None:
    ledger = await store.open(LedgerLimits(delivery_lease=1000.0))
    for name, delay in (("later", 500.0), ("after", 50.0), ("tried", 0.5), ("put off", 0.5)):
        await finish(ledger, name)
        await ledger.record_attempts([again(await due_one(ledger), delay, counted=name == "tried")])
    for name in ("old", "new"):
        store.clock.advance(1)
        await finish(ledger, name)
    found = [await ledger.claim_deliveries("default", capacity=1, probe=True) for _ in range(7)]
    assert [[delivery.resource_id for delivery in one] for one in found] == [
        ["put off"], ["old"], ["new"], ["tried"], ["after"], ["later"], [],
    ]  # fmt: skip
    assert await ledger.claim_deliveries("other", capacity=1, probe=True) == []


async def test_r23_what_waits_for_a_receiver_that_is_back_is_brought_forward(store: Store) -> None:
    ledger = await store.open(LedgerLimits(delivery_lease=1000.0), route=lambda name: [name.split()[0]])
    attempts = {"x soon": (300.0, True), "x put off": (7200.0, False), "x far": (331.0, True), "y soon": (300.0, True)}
    for name, (delay, counted) in attempts.items():
        await finish(ledger, name)
        await ledger.record_attempts([again(await due_one(ledger, name[0]), delay, counted=counted)])
    assert await ledger.bring_forward("x", within=330.0, large=True) == 0
    assert await ledger.bring_forward("x", within=330.0) == 2
    assert await ledger.bring_forward("x", within=330.0) == 0
    found = {delivery.resource_id: delivery for delivery in await due(ledger, "x")}
    assert {name: (one.attempt, one.step) for name, one in found.items()} == {"x soon": (2, 1), "x put off": (1, 0)}
    assert not await due(ledger, "y")
    store.clock.advance(330.9)
    assert not await due(ledger, "x")
    store.clock.advance(0.1)
    assert [delivery.resource_id for delivery in await due(ledger, "x")] == ["x far"]


async def test_claim_deliveries_keeps_endpoints_apart(store: Store) -> None:
    ledger = await store.open(route=lambda name: [name[0]])
    for name in ("x1", "y1", "x2"):
        await finish(ledger, name)
    assert [delivery.resource_id for delivery in await due(ledger, "x")] == ["x1", "x2"]
    assert [delivery.resource_id for delivery in await due(ledger, "y")] == ["y1"]
    assert not await due(ledger, "z")


async def test_p4_delivered_is_the_end(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    assert await ledger.record_attempts([delivered(await due_one(ledger))]) == [True]
    store.clock.advance(100_000)
    assert not await due(ledger)
    shown = await report(ledger)
    assert (shown.state, shown.attempts, shown.due_in, shown.reason) == (DELIVERED, 1, None, "HTTP 200")


async def test_p4_a_retry_is_due_after_its_delay_and_not_before(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    assert await ledger.record_attempts([again(await due_one(ledger), 300.0)]) == [True]
    shown = await report(ledger)
    assert (shown.state, shown.attempts, shown.due_in, shown.reason) == (DUE, 1, 300.0, "HTTP 503")
    store.clock.advance(299)
    assert not await due(ledger)
    store.clock.advance(1)
    delivery = await due_one(ledger)
    assert (delivery.attempt, delivery.step) == (2, 1)


@pytest.mark.parametrize("stop", ["reopen", "crash"])
async def test_r23_the_schedule_outlives_the_process(store: Store, stop: str) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    for step in range(3):
        delivery = await due_one(ledger)
        assert (delivery.attempt, delivery.step) == (step + 1, step)
        await ledger.record_attempts([again(delivery, 300.0)])
        ledger = await (store.crash if stop == "crash" else store.reopen)()
        store.clock.advance(299)
        assert not await due(ledger)
        store.clock.advance(1)


async def test_r23_an_attempt_that_sent_nothing_uses_nothing_up(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    await ledger.record_attempts([again(await due_one(ledger), 5.0)])
    for _ in range(3):
        store.clock.advance(5)
        delivery = await due_one(ledger)
        assert (delivery.attempt, delivery.step) == (2, 1)
        await ledger.record_attempts([again(delivery, 5.0, counted=False)])
    assert (await report(ledger)).attempts == 1


async def test_p4_a_dead_delivery_stays_visible_with_its_reason(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    assert await ledger.record_attempts([dead(await due_one(ledger))]) == [True]
    store.clock.advance(100_000)
    assert not await due(ledger)
    shown = await report(ledger)
    assert (shown.state, shown.reason, shown.due_in) == (DEAD, "HTTP 410", None)


async def test_r24_a_lease_that_has_ended_is_claimed_by_another(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    lost = await due_one(ledger)
    store.clock.advance(29)
    assert not await due(ledger)
    store.clock.advance(2)
    held = await due_one(ledger)
    assert (held.lease != lost.lease, held.webhook_id) == (True, lost.webhook_id)


async def test_r24_a_lease_from_record_ends_like_any_other(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, packet("r", 0))
    (lost,) = (await ledger.complete("r", force=True, capacity={"default": 1})).deliveries
    store.clock.advance(29)
    assert not await due(ledger)
    store.clock.advance(2)
    assert (await due_one(ledger)).lease != lost.lease


async def test_r24_a_stale_failure_is_ignored(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    lost = await due_one(ledger)
    store.clock.advance(31)
    held = await due_one(ledger)
    assert await ledger.record_attempts([dead(lost), again(lost)]) == [False, False]
    assert (await report(ledger)).state in {DUE, LEASED}
    assert await ledger.record_attempts([again(held)]) == [True]
    assert await ledger.record_attempts([dead(held), again(held, 0.0)]) == [False, False]
    assert not await due(ledger)
    assert (await report(ledger)).state is DUE


async def test_r24_a_late_2xx_wins_over_another_lease(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    lost = await due_one(ledger)
    store.clock.advance(31)
    held = await due_one(ledger)
    assert await ledger.record_attempts([delivered(lost)]) == [True]
    assert await ledger.record_attempts([dead(held), again(held)]) == [False, False]
    assert (await report(ledger)).state is DELIVERED
    assert not await due(ledger)


async def test_r24_a_late_2xx_ends_the_other_lease_so_that_a_replay_is_due_at_once(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    lost = await due_one(ledger)
    store.clock.advance(31)
    held = await due_one(ledger)
    await ledger.record_attempts([delivered(lost)])
    await replay(ledger, resource_id="r")
    replayed = await due_one(ledger)
    assert await ledger.record_attempts([dead(held), again(held)]) == [False, False]
    assert await ledger.record_attempts([delivered(replayed)]) == [True]


@pytest.mark.parametrize("ending", [again, dead])
async def test_r24_a_late_2xx_wins_over_a_retry_and_over_death(store: Store, ending: type) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    lost = await due_one(ledger)
    store.clock.advance(31)
    await ledger.record_attempts([ending(await due_one(ledger))])
    assert await ledger.record_attempts([delivered(lost)]) == [True]
    store.clock.advance(100_000)
    assert not await due(ledger)
    assert (await report(ledger)).state is DELIVERED
    counts = await ledger.counts()
    assert (counts.due, counts.dead) == (0, 0)


async def test_r24_a_late_2xx_wins_after_a_stop(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    lost = await due_one(ledger)
    ledger = await store.crash()
    assert await ledger.record_attempts([dead(lost)]) == [False]
    assert await ledger.record_attempts([delivered(lost)]) == [True]
    store.clock.advance(31)
    assert not await due(ledger)


async def test_settle_answers_each_attempt_in_its_place(ledger: Ledger) -> None:
    for name in "abcd":
        await finish(ledger, name)
    a, b, c, d = sorted(await due(ledger), key=lambda delivery: delivery.resource_id)
    await ledger.release([d.lease])
    assert await ledger.record_attempts([dead(d), delivered(a), again(b), again(b), dead(c)]) == [
        False,
        True,
        True,
        False,
        True,
    ]
    states = {shown.resource_id: shown.state for shown in await listed(ledger)}
    assert states == {"a": DELIVERED, "b": DUE, "c": DEAD, "d": DUE}


@pytest.mark.parametrize("ending", [delivered, dead])
async def test_r24_replay_keeps_id_and_bytes_and_starts_the_schedule_anew(store: Store, ending: type) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    first = await due_one(ledger)
    body = await ledger.body(first)
    await ledger.record_attempts([again(first, 5.0)])
    store.clock.advance(5)
    await ledger.record_attempts([ending(await due_one(ledger))])
    assert await replay(ledger, resource_id="r") == {"default"}
    replayed = await due_one(ledger)
    assert (replayed.attempt, replayed.step) == (3, 0)
    assert (replayed.webhook_id, await ledger.body(replayed)) == (first.webhook_id, body)
    await ledger.record_attempts([again(replayed, 5.0)])
    store.clock.advance(5)
    last = await due_one(ledger)
    assert (last.attempt, last.step) == (4, 1)


async def test_r24_replay_leaves_what_has_not_ended_alone(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "retried")
    await ledger.record_attempts([again(await due_one(ledger), 300.0)])
    await finish(ledger, "held")
    held = await due_one(ledger)
    await replay(ledger)
    assert not await due(ledger)
    assert await ledger.record_attempts([again(held)]) == [True]


FILTERS = {
    "all": ({}, {"a delivered", "b delivered", "a dead", "b dead"}),
    "dead": ({"state": DEAD}, {"a dead", "b dead"}),
    "delivered": ({"state": DELIVERED}, {"a delivered", "b delivered"}),
    "endpoint": ({"endpoint": "a"}, {"a delivered", "a dead"}),
    "endpoint and state": ({"endpoint": "b", "state": DEAD}, {"b dead"}),
    "resource": ({"resource_id": "a dead"}, {"a dead"}),
    "resource and state": ({"resource_id": "a dead", "state": DELIVERED}, set()),
}


@pytest.mark.parametrize(("chosen", "expected"), FILTERS.values(), ids=FILTERS)
async def test_r24_replay_by_filter(store: Store, chosen: dict[str, str], expected: set[str]) -> None:
    ledger = await store.open(route=lambda name: [name[0]])
    for name in ("a delivered", "b delivered", "a dead", "b dead"):
        await finish(ledger, name)
        delivery = await due_one(ledger, name[0])
        await ledger.record_attempts([dead(delivery) if "dead" in name else delivered(delivery)])
    endpoints = await replay(ledger, **chosen)  # type: ignore[arg-type]
    assert endpoints == {name[0] for name in expected}
    found = {delivery.resource_id for endpoint in "ab" for delivery in await due(ledger, endpoint)}
    assert found == expected


async def test_replay_of_what_has_no_delivery_is_unknown(ledger: Ledger) -> None:
    await send(ledger, packet("open", 0), packet("cancelled", 0))
    await ledger.cancel("cancelled")
    for name in ("open", "cancelled", "never seen"):
        with pytest.raises(Unknown):
            await replay(ledger, resource_id=name)


async def test_p4_a_resource_without_an_endpoint_has_no_delivery(store: Store) -> None:
    ledger = await store.open(route=lambda _: [])
    await send(ledger, *packets(1))
    outcome = await process(ledger)
    assert (outcome.closed, outcome.endpoints) == (1, frozenset())
    assert (await ledger.counts()).due == 0
    assert not await drain(ledger)
