"""Outcomes taken in: each counts once, and the one that was missing closes the resource in the same step."""

from __future__ import annotations

import pytest

from collator.messages import Batch, Failure, Lease, Output, Recorded, Result, Retry, RunOutputs
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import EndedBy, OnFailure, State
from tests.conformance.steps import (
    PLENTY,
    claim,
    claim_one,
    due,
    echo,
    fail,
    joined,
    outputs,
    packet,
    packets,
    places,
    process,
    record,
    send,
    webhook,
)
from tests.conformance.store import Store

RECORDED, LOST, CLOSED = Recorded.RECORDED, Recorded.LOST, Recorded.CLOSED


async def test_record_answers_each_result_in_its_place(ledger: Ledger) -> None:
    await send(ledger, *packets(4, last=False))
    done, failed, retried, given_back = await claim(ledger)
    await ledger.release([given_back.lease])
    results: list[Result] = [
        Output(Lease(0, 2**40), b"0"),
        Output(done.lease, b'"done"'),
        Output(given_back.lease, b'"late"'),
        Failure(failed.lease, "bad"),
        Retry(retried.lease, "busy", 5.0),
    ]
    assert await record(ledger, *results) == [LOST, RECORDED, LOST, RECORDED, RECORDED]
    assert await outputs(ledger, "r") == [(done.key.index, b'"done"')]


async def test_p6_record_names_a_packet_that_has_failed_for_good(ledger: Ledger) -> None:
    await send(ledger, *packets(3, last=False))
    late, retried, failed = await claim(ledger)
    await ledger.release([late.lease])
    passing = await ledger.record([Failure(late.lease, "late"), Retry(retried.lease, "busy", 5.0)], capacity={})
    assert passing.failed is None
    assert (await ledger.record([Failure(failed.lease, "bad")], capacity={})).failed == failed.key


async def test_outputs_of_a_run_count_each_by_itself(ledger: Ledger) -> None:
    await send(ledger, *packets(6))
    tasks = await claim(ledger)
    await ledger.release([tasks[2].lease])
    first, *later = joined([*echo(tasks[:5]), Failure(tasks[5].lease, "bad")])
    assert (type(first), len(later)) == (RunOutputs, 1)
    assert await record(ledger, first, *later) == [RECORDED, RECORDED, LOST, RECORDED, RECORDED, RECORDED]
    assert [index for index, _ in await outputs(ledger, "r")] == [tasks[at].key.index for at in (0, 1, 3, 4)]
    assert await record(ledger, first) == [LOST] * 5
    assert (await process(ledger)).closed == 1


async def test_r19_of_outputs_of_a_run_the_one_that_is_too_large_fails(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_body=20))
    (run,) = (await ledger.accept(Batch(packets(3)).groups, capacity=3)).runs
    outcome = await ledger.record([RunOutputs(run.lease, [b"1" * 9, b"2" * 11, b"3"])], capacity={})
    assert ([*outcome.statuses], outcome.closed) == ([RECORDED] * 3, 1)
    assert outcome.failed is not None
    assert outcome.failed.index == run.indexes[1]
    assert await outputs(ledger, "r") == [(run.indexes[0], b"1" * 9), (run.indexes[2], b"3")]


async def test_record_of_nothing_is_nothing(ledger: Ledger) -> None:
    outcome = await ledger.record([], capacity={"default": 1})
    assert ([*outcome.statuses], [*outcome.deliveries], outcome.closed) == ([], [], 0)


async def test_p2_an_outcome_counts_once_within_a_batch_and_after_it(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 1))
    task, _ = await claim(ledger)
    results: list[Result] = [
        Output(task.lease, b'"first"'),
        Output(task.lease, b'"second"'),
        Failure(task.lease, "third"),
    ]
    assert await record(ledger, *results) == [RECORDED, LOST, LOST]
    assert await record(ledger, Output(task.lease, b'"fourth"'), Retry(task.lease, "fifth", 0.0)) == [LOST, LOST]
    report = await ledger.resource("r")
    assert (report.done, report.failed) == (1, 0)
    assert await outputs(ledger, "r") == [(task.key.index, b'"first"')]


async def test_p2_an_outcome_is_there_after_an_unclean_stop(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0), packet("r", 1))
    await record(ledger, *echo(await claim(ledger, 1)))
    ledger = await store.crash()
    assert (await ledger.resource("r")).done == 1
    assert len(await claim(ledger)) == 1


async def test_r10_a_resource_is_finished_by_the_set_of_its_indexes(ledger: Ledger) -> None:
    await send(ledger, packet("r", 3, last=True), packet("r", 0), packet("r", 0), packet("r", 0), packet("r", 2))
    await process(ledger)
    assert (await ledger.resource("r")).state is State.OPEN
    await send(ledger, packet("r", 1))
    assert (await process(ledger)).closed == 1
    assert (await ledger.resource("r")).state is State.COLLATED


async def test_r10_nothing_is_finished_before_its_total_is_known(ledger: Ledger) -> None:
    await send(ledger, *packets(3, last=False))
    assert (await process(ledger)).closed == 0
    await send(ledger, packet("r", 3, last=True))
    assert (await ledger.resource("r")).state is State.OPEN
    assert (await process(ledger)).closed == 1


async def test_r10_the_last_outcome_closes_whichever_packet_it_is_of(ledger: Ledger) -> None:
    await send(ledger, *packets(3))
    first, *others = await claim(ledger)
    assert (await ledger.record(echo(others), capacity={})).closed == 0
    outcome = await ledger.record(echo([first]), capacity={})
    assert (outcome.closed, *outcome.endpoints) == (1, "default")


async def test_r10_many_resources_close_in_one_step_each_once(ledger: Ledger) -> None:
    await send(ledger, *(one for name in "abcde" for one in packets(3, name)))
    outcome = await process(ledger)
    assert outcome.closed == 5
    assert sorted(delivery.resource_id for delivery in await due(ledger)) == [*"abcde"]


async def test_p3_outputs_are_collated_in_order_of_index_whatever_came_first(ledger: Ledger) -> None:
    for index in (11, 2, 0, 10, 1, 9, 3, 8, 7, 4, 6, 5):
        await send(ledger, packet("r", index, last=index == 11))
    for task in reversed(await claim(ledger)):
        await record(ledger, Output(task.lease, b"[%d]" % task.key.index))
    assert (await webhook(ledger))["data"]["outputs"] == [[index] for index in range(12)]


async def test_r12_an_outcome_for_a_resource_that_has_ended_is_told_closed(ledger: Ledger) -> None:
    await send(ledger, packet("forced", 0), packet("cancelled", 0))
    tasks = await claim(ledger)
    await ledger.complete("forced", force=True)
    await ledger.cancel("cancelled")
    assert await record(ledger, *echo(tasks)) == [CLOSED, CLOSED]
    assert not await outputs(ledger, "forced")
    assert not await outputs(ledger, "cancelled")


@pytest.mark.parametrize("kind", ["output", "failure", "retry"])
async def test_r12_a_late_outcome_of_any_kind_changes_nothing(ledger: Ledger, kind: str) -> None:
    await send(ledger, packet("r", 0))
    task = await claim_one(ledger)
    await ledger.complete("r", force=True)
    before = await ledger.resource("r"), await ledger.counts()
    lease = task.lease
    late: dict[str, Result] = {
        "output": Output(lease, b"1"),
        "failure": Failure(lease, "x"),
        "retry": Retry(lease, "x", 0),
    }
    assert await record(ledger, late[kind]) == [CLOSED]
    assert (await ledger.resource("r"), await ledger.counts()) == before
    assert not await claim(ledger)


async def test_r12_a_resource_closes_once_though_a_batch_brings_more(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.FAIL_FAST))
    await send(ledger, *packets(3))
    one, two, three = await claim(ledger)
    results: list[Result] = [Failure(one.lease, "bad"), Output(two.lease, b"2"), Failure(three.lease, "worse")]
    outcome = await ledger.record(results, capacity={"default": 9})
    assert (outcome.closed, len(outcome.deliveries)) == (1, 1)
    assert outcome.statuses[0] is RECORDED
    assert not await due(ledger)


async def test_retry_is_due_after_its_delay_and_not_before(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0))
    await record(ledger, Retry((await claim_one(ledger)).lease, "busy", 60.0))
    store.clock.advance(59)
    assert not await claim(ledger)
    store.clock.advance(1)
    assert (await claim_one(ledger)).attempt == 2


async def test_retries_are_due_each_at_its_time(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(3))
    for task, delay in zip(await claim(ledger), (20.0, 10.0, 30.0), strict=True):
        await record(ledger, Retry(task.lease, "busy", delay))
    for index in (1, 0, 2):
        assert not await claim(ledger)
        store.clock.advance(10.0)
        assert places(await claim(ledger)) == [("r", index)]


async def test_of_packets_that_are_tried_again_together_no_attempt_is_left_behind(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(4, last=False))
    await record(ledger, *(Retry(task.lease, "busy", 5.0) for task in await claim(ledger)))
    store.clock.advance(5)
    assert (await process(ledger, 3)).statuses == [RECORDED] * 3
    assert [one.index for one in (await ledger.resource("r")).retrying] == [3]
    assert [(await ledger.packet("r", index)).attempts for index in range(4)] == [2, 2, 2, 1]


async def test_retry_without_delay_is_due_at_once(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0))
    await record(ledger, Retry((await claim_one(ledger)).lease, "busy", 0.0))
    assert (await claim_one(ledger)).attempt == 2


async def test_r27_a_retry_that_is_not_counted_uses_up_no_attempt(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0, last=True))
    for counted, attempt in ((False, 1), (False, 1), (True, 1), (False, 2), (True, 2), (False, 3)):
        task = await claim_one(ledger)
        assert task.attempt == attempt
        await record(ledger, Retry(task.lease, "away", 0.0, counted=counted))
        ledger = await store.reopen() if counted else ledger
    await record(ledger, Failure((await claim_one(ledger)).lease, "bad"))
    assert [one.attempts for one in (await ledger.resource("r")).failures] == [3]


async def test_r27_what_is_given_back_keeps_its_place_and_resources_take_turns(ledger: Ledger) -> None:
    await send(ledger, *packets(4, "a"), *packets(2, "b"))
    first = await claim(ledger, 4)
    await record(ledger, *(Retry(task.lease, "away", 0.0, counted=False) for task in reversed(first)))
    again = places(await claim(ledger))
    assert [index for name, index in again if name == "a"] == [0, 1, 2, 3]
    assert [index for name, index in again if name == "b"] == [0, 1]


async def test_retry_holds_up_no_other_packet(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0), packet("r", 1))
    retried, _ = tasks = await claim(ledger)
    assert len(tasks) == 2
    await record(ledger, Retry(retried.lease, "busy", 60.0))
    await send(ledger, packet("r", 2))
    assert places(await claim(ledger)) == [("r", 2)]


async def test_attempts_are_counted_across_retries_and_restarts(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0, last=True))
    attempts = []
    for restart in (store.reopen, store.crash, store.reopen):
        task = await claim_one(ledger)
        attempts.append(task.attempt)
        await record(ledger, Retry(task.lease, "busy", 60.0))
        ledger = await restart()
        store.clock.advance(59)
        assert not await claim(ledger)
        store.clock.advance(1)
    await fail(ledger, "no such word")
    assert attempts == [1, 2, 3]
    assert (await webhook(ledger))["data"]["failed"] == [{"index": 0, "reason": "no such word", "attempts": 4}]


async def test_r16_by_default_a_failure_waits_for_all_others(ledger: Ledger) -> None:
    await send(ledger, *packets(3))
    one, two, three = await claim(ledger)
    assert (await ledger.record([Failure(two.lease, "bad"), *echo([one])], capacity={})).closed == 0
    assert (await ledger.record(echo([three]), capacity={})).closed == 1
    report = await ledger.resource("r")
    assert (report.state, report.completed_by) == (State.INCOMPLETE, EndedBy.LAST)


async def test_r16_a_resource_all_of_whose_packets_failed_is_incomplete(ledger: Ledger) -> None:
    await send(ledger, *packets(2))
    assert (await fail(ledger)).closed == 1
    assert (await ledger.resource("r")).state is State.INCOMPLETE


async def test_r16_fail_fast_closes_at_the_first_failed_packet(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.FAIL_FAST))
    await send(ledger, *packets(3, last=False))
    one, two, three = await claim(ledger)
    await record(ledger, *echo([one]))
    assert (await ledger.record([Failure(two.lease, "bad")], capacity={})).closed == 1
    assert await record(ledger, *echo([three])) == [CLOSED]
    report = await ledger.resource("r")
    assert (report.state, report.completed_by) == (State.INCOMPLETE, EndedBy.FAILURE)


async def test_r16_hold_stays_open_until_a_person_retries(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *packets(2))
    one, two = await claim(ledger)
    assert (await ledger.record([Failure(one.lease, "bad"), *echo([two])], capacity={})).closed == 0
    assert (await ledger.resource("r")).state is State.OPEN
    assert await ledger.retry("r") == 1
    assert (await process(ledger)).closed == 1
    assert (await ledger.resource("r")).state is State.COLLATED


async def test_r16_hold_still_collates_what_has_not_failed(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *packets(2))
    await process(ledger)
    assert (await webhook(ledger))["data"]["outputs"] == [0, 1]


async def test_a_failed_packet_is_not_handed_out_again(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *packets(2))
    await fail(ledger)
    store.clock.advance(100_000)
    assert not await claim(ledger)
    assert not await ledger.work_due()
    assert await send(ledger, packet("r", 0)) == [Status.DUPLICATE]


@pytest.mark.parametrize("capacity", [0, 1, 2, 9])
async def test_record_hands_out_deliveries_within_the_room_and_names_the_rest(ledger: Ledger, capacity: int) -> None:
    await send(ledger, *(one for name in "abc" for one in packets(1, name)))
    outcome = await ledger.record(echo(await claim(ledger)), capacity={"default": capacity})
    assert len(outcome.deliveries) == min(capacity, 3)
    assert outcome.endpoints == ({"default"} if capacity < 3 else frozenset())
    assert len(await due(ledger)) == 3 - len(outcome.deliveries)


async def test_record_leases_each_endpoint_by_its_own_room(store: Store) -> None:
    ledger = await store.open(route=lambda _: ["full", "free"])
    await send(ledger, *packets(1))
    outcome = await ledger.record(echo(await claim(ledger)), capacity={"free": PLENTY, "other": PLENTY})
    assert [delivery.endpoint for delivery in outcome.deliveries] == ["free"]
    assert outcome.endpoints == {"full"}
    assert not await due(ledger, "free")
    assert len(await due(ledger, "full")) == 1


async def test_record_passes_on_when_the_last_output_was_known(ledger: Ledger) -> None:
    await send(ledger, *packets(2))
    one, two = await claim(ledger)
    outcome = await ledger.record(
        [Output(one.lease, b"1", known_at=5.0), Output(two.lease, b"2", known_at=7.0)], capacity={"default": 1}
    )
    assert [delivery.known_at for delivery in outcome.deliveries] == [7.0]
