"""The body of the webhook: exact, frozen, and the same at every attempt (R17 to R19, P3)."""

from __future__ import annotations

import json

import pytest

from collator.clock import rfc3339
from collator.messages import Failure, Output, Recorded
from collator.rules.body import MAX_FAILED
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import OnFailure, State
from tests.conformance.steps import (
    PLENTY,
    again,
    claim,
    claim_one,
    content,
    delivered,
    due_one,
    echo,
    fail,
    finish,
    packet,
    packets,
    process,
    record,
    replay,
    send,
    webhook,
)
from tests.conformance.store import Store

MEBIBYTE = 1024 * 1024


async def test_r18_the_body_of_a_collated_resource_is_exact(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("call-17", 2, last=True, metadata=b'{ "to": "Zo\xc3\xab" }'))
    await send(ledger, packet("call-17", 0), packet("call-17", 1))
    outputs = {0: b"[3, 5]", 1: b'{"b":1,"a":"\\u00e9"}', 2: b"null"}
    await record(ledger, *(Output(task.lease, outputs[task.key.index]) for task in await claim(ledger)))
    assert await ledger.body(await due_one(ledger)) == (
        b'{"type":"resource.collated","timestamp":"%s","data":{"resource_id":"call-17","completed_by":"last","total":3,'
        b'"metadata":{"to":"Zo\xc3\xab"},"outputs":[[3, 5],{"b":1,"a":"\\u00e9"},null]}}'
        % rfc3339(store.clock.wall()).encode()
    )


async def test_r18_the_body_of_an_incomplete_resource_is_exact(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *(packet("r", index) for index in (0, 1, 2, 3, 8, 10)), packet("r", 11))
    tasks = {task.key.index: task for task in await claim(ledger)}
    await record(ledger, Failure(tasks[1].lease, 'bad "x"'), *echo(tasks[index] for index in (0, 8)))
    await ledger.complete("r", force=True)
    assert await ledger.body(await due_one(ledger)) == (
        b'{"type":"resource.incomplete","timestamp":"%s","data":{"resource_id":"r","completed_by":"forced",'
        b'"total":null,"metadata":{},"partial":[{"index":0,"output":0},{"index":8,"output":8}],'
        b'"missing":[[4,7],[9,9]],"unfinished":[[2,3],[10,11]],'
        b'"failed":[{"index":1,"reason":"bad \\"x\\"","attempts":1}]}}' % rfc3339(store.clock.wall()).encode()
    )


async def test_r18_an_incomplete_resource_of_nothing_has_an_empty_partial(ledger: Ledger) -> None:
    await send(ledger, packet("r", 1, last=True))
    await ledger.complete("r", force=True)
    data = (await webhook(ledger))["data"]
    assert (data["partial"], data["missing"], data["unfinished"], data["failed"]) == ([], [[0, 0]], [[1, 1]], [])


async def test_r18_a_far_index_does_not_blow_up_the_body(ledger: Ledger) -> None:
    await send(ledger, packet("r", 999_999))
    await process(ledger)
    await ledger.complete("r", force=True)
    delivery = await due_one(ledger)
    assert len(await ledger.body(delivery)) < 500
    assert (await content(ledger, delivery))["data"]["missing"] == [[0, 999_998]]


async def test_r17_completed_by_says_last_or_total_by_whichever_fixed_it(ledger: Ledger) -> None:
    await send(ledger, packet("last", 0, last=True), packet("total", 0, total=1), packet("both", 1, last=True, total=2))
    await send(ledger, packet("both", 0, total=2), packet("afterwards", 0))
    await ledger.complete("afterwards", total=1)
    await process(ledger)
    deliveries = await ledger.claim_deliveries("default", capacity=9)
    said = {delivery.resource_id: (await content(ledger, delivery))["data"] for delivery in deliveries}
    found = {name: data["completed_by"] for name, data in said.items()}
    assert found == {"last": "last", "total": "total", "both": "last", "afterwards": "total"}


async def test_r17_completed_by_says_failure_for_fail_fast_only(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.FAIL_FAST))
    await send(ledger, *packets(2))
    await record(ledger, Failure((await claim(ledger))[0].lease, "bad"))
    assert (await webhook(ledger))["data"]["completed_by"] == "failure"


async def test_r17_a_failure_that_all_others_were_awaited_for_says_who_fixed_the_total(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0, total=1))
    await fail(ledger)
    assert (await webhook(ledger))["data"]["completed_by"] == "total"


async def test_r17_the_timestamp_is_the_closing_time_on_every_attempt(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(1))
    store.clock.advance(12.345678)
    await process(ledger)
    closing = rfc3339(store.clock.wall())
    store.clock.advance(500)
    delivery = await due_one(ledger)
    assert (await content(ledger, delivery))["timestamp"] == closing
    report = await ledger.resource("r")
    assert report.closed_at == closing


async def test_p3_the_body_is_the_same_bytes_on_every_attempt(store: Store) -> None:
    ledger = await store.open(route=lambda _: ["default", "other"])
    await send(ledger, *packets(3))
    (first, *_) = (await ledger.record(echo(await claim(ledger)), capacity={"default": 1})).deliveries
    body = await ledger.body(first)
    assert first.body in {None, body}
    for restart in (None, store.reopen, store.crash):
        await ledger.record_attempts([again(first)])
        ledger = ledger if restart is None else await restart()
        store.clock.advance(60)
        first = await due_one(ledger)
        assert (await ledger.body(first), first.body in {None, body}) == (body, True)
    await ledger.record_attempts([delivered(first)])
    await replay(ledger, resource_id="r")
    assert await ledger.body(await due_one(ledger)) == body
    assert await ledger.body(await due_one(ledger, "other")) == body


async def test_p3_a_large_body_is_asked_for_and_the_same_bytes_every_time(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(3))
    texts = [b'"%s"' % (letter * 500_000) for letter in (b"a", b"b", b"c")]
    results = [Output(task.lease, texts[task.key.index]) for task in await claim(ledger)]
    assert not (await ledger.record(results, capacity={"default": 1})).deliveries
    delivery = await due_one(ledger)
    assert (delivery.body, delivery.large) == (None, True)
    body = await ledger.body(delivery)
    assert body.endswith(b'"outputs":[%s]}}' % b",".join(texts))
    await ledger.record_attempts([again(delivery, 0.0)])
    for restart in (store.reopen, store.crash):
        ledger = await restart()
        store.clock.advance(31)
        assert await ledger.body(await due_one(ledger)) == body


async def test_p3_a_body_that_is_large_by_what_has_failed_is_asked_for_too(ledger: Ledger) -> None:
    await send(ledger, *packets(5_000))
    reason = "x" * 500
    await record(ledger, *(Failure(task.lease, reason) for task in await claim(ledger)))
    delivery = await due_one(ledger)
    assert delivery.body is None
    body = await ledger.body(delivery)
    assert len(body) > 2 * MEBIBYTE
    assert len(json.loads(body)["data"]["failed"]) == 5_000


async def test_r18_of_very_many_that_have_failed_the_first_are_told_with_reasons_and_the_others_as_ranges(
    ledger: Ledger,
) -> None:
    await send(ledger, *packets(MAX_FAILED + 5))
    tasks = await claim(ledger)
    await record(
        ledger, *(Failure(t.lease, "x") if t.key.index != MAX_FAILED + 2 else Output(t.lease, b"0") for t in tasks)
    )
    data = json.loads(await ledger.body(await due_one(ledger)))["data"]
    assert [failure["index"] for failure in data["failed"]] == [*range(MAX_FAILED)]
    assert data["failed_more"] == [[MAX_FAILED, MAX_FAILED + 1], [MAX_FAILED + 3, MAX_FAILED + 4]]
    assert (await ledger.resource("r")).failed == MAX_FAILED + 4


async def test_r18_as_many_as_are_told_with_reasons_leave_no_others(ledger: Ledger) -> None:
    await send(ledger, *packets(MAX_FAILED))
    await fail(ledger)
    data = json.loads(await ledger.body(await due_one(ledger)))["data"]
    assert (len(data["failed"]), "failed_more" in data) == (MAX_FAILED, False)


async def test_p3_a_large_partial_body_holds_what_is_there(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 7), packet("r", 9))
    *worked, _ = await claim(ledger)
    await record(ledger, *(Output(task.lease, b'"%s"' % (b"x" * 700_000)) for task in worked))
    await ledger.complete("r", force=True)
    delivery = await due_one(ledger)
    assert delivery.body is None
    data = (await content(ledger, delivery))["data"]
    assert [(item["index"], len(item["output"])) for item in data["partial"]] == [(0, 700_000), (7, 700_000)]
    assert (data["missing"], data["unfinished"]) == ([[1, 6], [8, 8]], [[9, 9]])


async def test_p3_a_small_body_comes_with_its_delivery(ledger: Ledger) -> None:
    await finish(ledger, "r", [b'"%s"' % (b"x" * 1_000)] * 100)
    delivery = await due_one(ledger)
    assert delivery.body == await ledger.body(delivery)


async def test_p3_late_packets_and_outcomes_change_no_body(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 1))
    tasks = await claim(ledger)
    await ledger.complete("r", force=True)
    delivery = await due_one(ledger)
    body = await ledger.body(delivery)
    await record(ledger, *echo(tasks))
    await send(ledger, packet("r", 2, metadata=b'{"a":1}', last=True))
    assert await ledger.body(delivery) == body


async def test_p3_bodies_of_a_thousand_packets_are_whole_and_in_order(ledger: Ledger) -> None:
    await send(ledger, *reversed(packets(1_000)))
    while tasks := await claim(ledger, capacity=37):
        await record(ledger, *(Output(task.lease, b'{"at":%d}' % task.key.index) for task in tasks))
    assert (await webhook(ledger))["data"]["outputs"] == [{"at": index} for index in range(1_000)]


async def test_r19_the_output_that_would_exceed_the_body_fails_its_packet(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_body=10_000))
    await send(ledger, *packets(3))
    tasks = await claim(ledger)
    big = b'"%s"' % (b"x" * 6_000)
    statuses = await record(
        ledger, *(Output(task.lease, size) for task, size in zip(tasks, [big, big, b"1"], strict=True))
    )
    assert statuses == [Recorded.RECORDED] * 3
    report = await ledger.resource("r")
    assert (report.state, report.done, report.failed) == (State.INCOMPLETE, 2, 1)
    body = await ledger.body(await due_one(ledger))
    data = json.loads(body)["data"]
    assert [item["index"] for item in data["partial"]] == [0, 2]
    assert "body" in data["failed"][0]["reason"]
    assert len(body) <= 10_000


@pytest.mark.parametrize(("beyond", "state"), [(0, State.COLLATED), (1, State.INCOMPLETE)])
async def test_r19_the_limit_is_exact(store: Store, beyond: int, state: State) -> None:
    ledger = await store.open(LedgerLimits(max_body=1_000))
    await send(ledger, *packets(2))
    sizes = (400, 1_000 - 400 - 2 + beyond)  # and a separator behind each
    tasks = await claim(ledger)
    outputs = [Output(task.lease, b"1" * size) for task, size in zip(tasks, sizes, strict=True)]
    assert await record(ledger, *outputs) == [Recorded.RECORDED] * 2
    assert (await ledger.resource("r")).state is state


@pytest.mark.parametrize(("beyond", "state"), [(0, State.COLLATED), (1, State.INCOMPLETE)])
async def test_r19_the_limit_is_exact_for_outputs_that_come_in_turns(store: Store, beyond: int, state: State) -> None:
    ledger = await store.open(LedgerLimits(max_body=1_000))
    await send(ledger, *packets(3))
    first = [Output(task.lease, b"1" * 300) for task in await claim(ledger, 2)]
    assert await record(ledger, *first) == [Recorded.RECORDED] * 2
    last = Output((await claim_one(ledger)).lease, b"1" * (1_000 - 2 * 300 - 3 + beyond))
    assert await record(ledger, last) == [Recorded.RECORDED]
    assert (await ledger.resource("r")).state is state


async def test_r19_the_size_of_the_body_outlives_the_process(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_body=10_000))
    await send(ledger, packet("r", 0), packet("r", 1, last=True))
    big = b'"%s"' % (b"x" * 6_000)
    await record(ledger, Output((await claim(ledger, 1))[0].lease, big))
    ledger = await store.crash()
    await record(ledger, Output((await claim_one(ledger)).lease, big))
    assert (await ledger.resource("r")).state is State.INCOMPLETE


async def test_r19_a_body_within_the_limit_is_whole(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_body=10_000))
    await send(ledger, *packets(4))
    results = [Output(task.lease, b'"%s"' % (b"x" * 2_400)) for task in await claim(ledger)]
    (delivery,) = (await ledger.record(results, capacity={"default": PLENTY})).deliveries
    assert len(await ledger.body(delivery)) <= 10_000
    assert (await ledger.resource("r")).state is State.COLLATED


async def test_r20_a_delivery_for_each_endpoint_under_one_id_with_one_body(store: Store) -> None:
    ledger = await store.open(route=lambda name: ["a", "b"] if name == "both" else [])
    await finish(ledger, "both")
    await finish(ledger, "none")
    one, two = await due_one(ledger, "a"), await due_one(ledger, "b")
    assert (one.webhook_id, await ledger.body(one)) == (two.webhook_id, await ledger.body(two))
    assert (one.endpoint, two.endpoint) == ("a", "b")
    report = await ledger.resource("none")
    assert (report.state, [*report.deliveries]) == (State.COLLATED, [])
