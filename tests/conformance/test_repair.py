"""What a person can do: complete, cancel and retry; each is safe to repeat (R15, R16)."""

from __future__ import annotations

import pytest

from collator.errors import Conflict, Ended, Unknown
from collator.messages import Failure, Retry
from collator.packet import Status
from collator.rules.footprint import of_packet
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import OnFailure, State
from tests.conformance.steps import (
    claim,
    due,
    fail,
    finish,
    packet,
    packets,
    places,
    process,
    record,
    send,
    webhook,
)
from tests.conformance.store import Store


async def test_r15_a_total_given_afterwards_collates_what_is_all_there(ledger: Ledger) -> None:
    await send(ledger, *packets(3, last=False))
    await process(ledger)
    outcome = await ledger.complete("r", total=3)
    assert (outcome.closed, *outcome.endpoints, *outcome.statuses) == (1, "default")
    said = await webhook(ledger)
    assert (said["type"], said["data"]["completed_by"]) == ("resource.collated", "total")
    assert said["data"]["outputs"] == [0, 1, 2]


async def test_r15_a_total_given_afterwards_waits_for_what_is_not_there(ledger: Ledger) -> None:
    await send(ledger, *packets(2, last=False))
    await process(ledger)
    assert (await ledger.complete("r", total=3)).closed == 0
    assert (await ledger.resource("r")).total == 3
    assert await send(ledger, packet("r", 3), packet("r", 2)) == [Status.CONFLICT, Status.ACCEPTED]
    assert (await process(ledger)).closed == 1


async def test_r15_a_total_given_afterwards_waits_for_outcomes(ledger: Ledger) -> None:
    await send(ledger, *packets(2, last=False))
    assert (await ledger.complete("r", total=2)).closed == 0
    assert (await process(ledger)).closed == 1


@pytest.mark.parametrize(("on_failure", "closed"), [(OnFailure.INCOMPLETE, 1), (OnFailure.HOLD, 0)])
async def test_r15_a_total_given_after_a_failure(store: Store, on_failure: OnFailure, closed: int) -> None:
    ledger = await store.open(LedgerLimits(on_failure=on_failure))
    await send(ledger, *packets(2, last=False))
    await fail(ledger)
    assert (await ledger.complete("r", total=2)).closed == closed
    assert (await ledger.resource("r")).state is (State.INCOMPLETE if closed else State.OPEN)


@pytest.mark.parametrize("total", [1, 2, 4])
async def test_r15_a_total_that_contradicts_what_is_there_conflicts(ledger: Ledger, total: int) -> None:
    await send(ledger, packet("r", 2, last=total == 4))
    before = await ledger.resource("r")
    with pytest.raises(Conflict):
        await ledger.complete("r", total=total)
    assert await ledger.resource("r") == before


async def test_r15_the_same_total_again_changes_nothing(ledger: Ledger) -> None:
    await send(ledger, packet("r", 1, last=True))
    assert (await ledger.complete("r", total=2)).closed == 0
    await send(ledger, packet("r", 0))
    await process(ledger)
    assert (await webhook(ledger))["data"]["completed_by"] == "last"


async def test_r15_the_same_total_after_the_end_changes_nothing_and_another_conflicts(ledger: Ledger) -> None:
    await finish(ledger, "r", [b"0", b"1"])
    before = await ledger.resource("r"), await ledger.counts()
    outcome = await ledger.complete("r", total=2)
    assert (outcome.closed, [*outcome.deliveries]) == (0, [])
    with pytest.raises(Conflict):
        await ledger.complete("r", total=3)
    assert (await ledger.resource("r"), await ledger.counts()) == before


FORCE = {
    "known total, gap": ([0, 2], 4, {}, State.INCOMPLETE),
    "known total, all there and done": ([0, 1], 3, {}, State.INCOMPLETE),
    "known total, unprocessed": ([0, 1], 2, {1: "held"}, State.INCOMPLETE),
    "known total, failed and missing": ([0, 1], 3, {1: "failed"}, State.INCOMPLETE),
    "unknown total, no gap": ([0, 1, 2], None, {}, State.COLLATED),
    "unknown total, gap": ([0, 2], None, {}, State.INCOMPLETE),
    "unknown total, first missing": ([1, 2], None, {}, State.INCOMPLETE),
    "unknown total, unprocessed": ([0, 1], None, {1: "held"}, State.INCOMPLETE),
    "unknown total, unprocessed below": ([0, 1], None, {0: "held"}, State.INCOMPLETE),
    "unknown total, failed": ([0, 1], None, {1: "failed"}, State.INCOMPLETE),
}


@pytest.mark.parametrize(("indexes", "total", "trouble", "state"), FORCE.values(), ids=FORCE)
async def test_r15_force_closes_now(
    ledger: Ledger, indexes: list[int], total: int | None, trouble: dict[int, str], state: State
) -> None:
    await send(ledger, *(packet("r", index, total=total) for index in indexes))
    tasks = {task.key.index: task for task in await claim(ledger)}
    await record(ledger, *(Failure(tasks[index].lease, "bad") for index in trouble if trouble[index] == "failed"))
    await ledger.release([task.lease for index, task in tasks.items() if index not in trouble])
    await process(ledger)
    assert (await ledger.resource("r")).state is State.OPEN
    assert (await ledger.complete("r", force=True)).closed == 1
    assert (await ledger.resource("r")).state is state
    data = (await webhook(ledger))["data"]
    assert data["completed_by"] == "forced"
    assert ("outputs" in data) is (state is State.COLLATED)


async def test_r15_force_with_a_total_fixes_it_first(ledger: Ledger) -> None:
    await send(ledger, *packets(2, last=False))
    await process(ledger)
    assert (await ledger.complete("r", total=3, force=True)).closed == 1
    data = (await webhook(ledger))["data"]
    assert (data["total"], data["missing"]) == (3, [[2, 2]])


async def test_r15_force_with_a_total_that_contradicts_closes_nothing(ledger: Ledger) -> None:
    await send(ledger, packet("r", 2))
    with pytest.raises(Conflict):
        await ledger.complete("r", total=2, force=True)
    report = await ledger.resource("r")
    assert (report.state, report.total) == (State.OPEN, None)


async def test_r15_force_again_changes_nothing(ledger: Ledger) -> None:
    await send(ledger, packet("r", 2))
    await ledger.complete("r", force=True)
    before = await ledger.resource("r"), await ledger.counts()
    assert (await ledger.complete("r", force=True)).closed == 0
    assert (await ledger.resource("r"), await ledger.counts()) == before
    assert len(await due(ledger)) == 1


async def test_r15_force_ends_a_hold(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *packets(1))
    await fail(ledger)
    assert (await ledger.complete("r", force=True)).closed == 1
    assert (await ledger.resource("r")).state is State.INCOMPLETE


async def test_complete_hands_out_deliveries_within_the_room(ledger: Ledger) -> None:
    await send(ledger, packet("a", 0), packet("b", 0))
    outcome = await ledger.complete("a", force=True, capacity={"default": 1})
    assert ([delivery.resource_id for delivery in outcome.deliveries], outcome.endpoints) == (["a"], frozenset())
    outcome = await ledger.complete("b", force=True)
    assert [*outcome.deliveries, *outcome.endpoints] == ["default"]
    assert [delivery.resource_id for delivery in await due(ledger)] == ["b"]


async def test_complete_cancel_and_retry_of_what_is_not_there_are_unknown(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0))
    for act in (ledger.complete("s", total=1), ledger.complete("s", force=True), ledger.cancel("s"), ledger.retry("s")):
        with pytest.raises(Unknown):
            await act


async def test_cancel_ends_without_a_webhook(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0, last=True))
    await ledger.cancel("r")
    report = await ledger.resource("r")
    assert (report.state, report.completed_by, [*report.deliveries]) == (State.CANCELLED, None, [])
    assert report.closed_at is not None
    assert not await due(ledger)
    assert not await claim(ledger)


async def test_cancel_again_changes_nothing(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0))
    await ledger.cancel("r")
    before = await ledger.resource("r"), await ledger.counts()
    await ledger.cancel("r")
    assert (await ledger.resource("r"), await ledger.counts()) == before


async def test_cancel_of_what_ended_otherwise_is_told_so(ledger: Ledger) -> None:
    await finish(ledger, "collated")
    await send(ledger, packet("forced", 1))
    await ledger.complete("forced", force=True)
    for name in ("collated", "forced"):
        before = await ledger.resource(name)
        with pytest.raises(Ended):
            await ledger.cancel(name)
        assert await ledger.resource(name) == before


async def test_r16_retry_gives_failed_packets_a_new_set_of_attempts(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *packets(3))
    done, *failing = await claim(ledger)
    await record(ledger, *(Failure(task.lease, "bad") for task in failing))
    assert await ledger.retry("r") == 2
    tasks = await claim(ledger)
    assert sorted(places(tasks)) == sorted(places(failing))
    assert {task.attempt for task in tasks} == {1}
    report = await ledger.resource("r")
    assert (report.done, report.failed, [*report.failures]) == (0, 0, [])
    assert await ledger.renew([done.lease]) == [True]


async def test_r16_retry_starts_the_attempts_of_a_packet_anew_though_it_had_many(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, packet("r", 0, b'"four"', last=True))
    for _ in range(3):
        await record(ledger, *(Retry(task.lease, "busy", 0.0) for task in await claim(ledger)))
    await fail(ledger)
    assert (await ledger.counts()).waiting == 0
    await ledger.retry("r")
    counts = await ledger.counts()
    assert (counts.waiting, counts.backlog - counts.open_bytes) == (1, of_packet(6))
    (task,) = await claim(ledger)
    assert task.attempt == 1
    await record(ledger, Retry(task.lease, "busy", 0.0))
    ledger = await store.reopen()
    assert [task.attempt for task in await claim(ledger)] == [2]


async def test_r16_retry_of_an_open_resource_with_other_packets_still_to_come(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 2, last=True))
    await fail(ledger)
    assert await ledger.retry("r") == 2
    assert sorted(places(await claim(ledger))) == [("r", 0), ("r", 2)]


async def test_r16_retry_where_nothing_failed_changes_nothing(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0))
    before = await ledger.resource("r"), await ledger.counts()
    assert not await ledger.retry("r")
    assert (await ledger.resource("r"), await ledger.counts()) == before


async def test_r16_a_failure_after_a_retry_counts_once(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *packets(2))
    for _ in range(3):
        await fail(ledger)
        await ledger.retry("r")
    await process(ledger)
    report = await ledger.resource("r")
    assert (report.state, report.done, report.failed) == (State.COLLATED, 2, 0)
