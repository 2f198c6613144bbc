"""What a packet becomes when it is offered: stored, a duplicate, or a conflict (R4 to R7)."""

from __future__ import annotations

import pytest

from collator.messages import Batch, Retry, tasks_of
from collator.packet import Status
from collator.seams.ledger import Ledger
from collator.states import State
from tests.conformance.steps import (
    PLENTY,
    claim,
    claim_one,
    due,
    finish,
    offer,
    packet,
    packets,
    places,
    process,
    record,
    send,
    webhook,
)
from tests.conformance.store import Store

ACCEPTED, DUPLICATE, CONFLICT = Status.ACCEPTED, Status.DUPLICATE, Status.CONFLICT


async def test_accept_answers_each_packet_in_its_place(ledger: Ledger) -> None:
    await send(ledger, packet("a", 1))
    given = [packet("b", 0), packet("a", 1), packet("a", 1, b'"other"'), packet("c", 0)]
    assert await send(ledger, *given) == [ACCEPTED, DUPLICATE, CONFLICT, ACCEPTED]


async def test_accept_of_nothing_is_nothing(ledger: Ledger) -> None:
    accepted = await ledger.accept(Batch([]).groups, capacity=5)
    assert [*accepted.receipts, *accepted.runs, *accepted.endpoints] == []
    assert accepted.waiting == 0


async def test_accept_gives_a_reason_where_a_packet_was_not_taken(ledger: Ledger) -> None:
    taken, refused = await offer(ledger, packet("r", 0), packet("r", 0, b'"other"'))
    assert taken.reason is None
    assert refused.reason


@pytest.mark.parametrize("capacity", [0, 1, 2, 3, 100])
async def test_accept_hands_out_no_more_than_the_capacity_and_counts_the_rest(ledger: Ledger, capacity: int) -> None:
    accepted = await ledger.accept(Batch(packets(3)).groups, capacity=capacity)
    handed = min(capacity, 3)
    assert places(tasks_of(accepted.runs)) == [("r", index) for index in range(handed)]
    assert accepted.waiting == 3 - handed


async def test_accept_hands_out_no_more_than_the_capacity_of_several_resources_together(ledger: Ledger) -> None:
    given = [packet(resource_id, index) for resource_id in "abc" for index in range(2)]
    accepted = await ledger.accept(Batch(given).groups, capacity=3)
    assert places(tasks_of(accepted.runs)) == [("a", 0), ("a", 1), ("b", 0)]
    assert accepted.waiting == 3
    assert places(await claim(ledger)) == [("b", 1), ("c", 0), ("c", 1)]


async def test_accept_leases_what_it_hands_out(ledger: Ledger) -> None:
    accepted = await ledger.accept(Batch(packets(3)).groups, capacity=2)
    assert [(task.payload, task.attempt) for task in tasks_of(accepted.runs)] == [(b"0", 1), (b"1", 1)]
    assert places(await claim(ledger)) == [("r", 2)]


async def test_accept_hands_out_nothing_while_other_packets_wait(ledger: Ledger) -> None:
    await send(ledger, packet("first", 0))
    accepted = await ledger.accept(Batch([packet("second", 0)]).groups, capacity=PLENTY)
    assert not tasks_of(accepted.runs)
    assert accepted.waiting == 1
    assert places(await claim(ledger)) == [("first", 0), ("second", 0)]


@pytest.mark.parametrize("delay", [0.0, 60.0])
async def test_accept_hands_out_nothing_while_a_retry_is_due(store: Store, delay: float) -> None:
    ledger = await store.open()
    await send(ledger, packet("first", 0))
    await record(ledger, Retry((await claim_one(ledger)).lease, "busy", delay))
    store.clock.advance(delay)
    assert not tasks_of((await ledger.accept(Batch([packet("second", 0)]).groups, capacity=PLENTY)).runs)
    assert sorted(places(await claim(ledger))) == [("first", 0), ("second", 0)]


async def test_accept_hands_out_again_once_nobody_waits(ledger: Ledger) -> None:
    await send(ledger, packet("first", 0))
    await process(ledger)
    assert places(tasks_of((await ledger.accept(Batch([packet("second", 0)]).groups, capacity=1)).runs)) == [
        ("second", 0)
    ]


async def test_accept_neither_hands_out_nor_hints_at_what_it_did_not_accept(ledger: Ledger) -> None:
    await ledger.accept(Batch([packet("r", 0)]).groups, capacity=1)
    accepted = await ledger.accept(
        Batch([packet("r", 0), packet("r", 0, b"9"), packet("r", 1)]).groups, capacity=PLENTY
    )
    assert (places(tasks_of(accepted.runs)), accepted.waiting) == ([("r", 1)], 0)


async def test_r4_last_first_is_right(ledger: Ledger) -> None:
    await send(ledger, packet("r", 2, last=True))
    await process(ledger)
    assert await send(ledger, packet("r", 0), packet("r", 1)) == [ACCEPTED, ACCEPTED]
    await process(ledger)
    assert (await webhook(ledger))["data"]["outputs"] == [0, 1, 2]


async def test_r4_a_total_on_any_packet_does_the_same_as_last(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 1, total=3), packet("r", 2))
    await process(ledger)
    said = (await webhook(ledger))["data"]
    assert (said["outputs"], said["total"], said["completed_by"]) == ([0, 1, 2], 3, "total")


async def test_r4_last_on_the_only_packet_closes_a_resource_of_one(ledger: Ledger) -> None:
    await finish(ledger, outputs=[b'"all"'])
    assert (await webhook(ledger))["data"]["outputs"] == ["all"]


async def test_r4_last_twice_on_the_same_packet_is_harmless(ledger: Ledger) -> None:
    given = [packet("r", 1, last=True), packet("r", 1, last=True), packet("r", 0)]
    assert await send(ledger, *given) == [ACCEPTED, DUPLICATE, ACCEPTED]


async def test_r4_metadata_may_come_with_any_packet_and_is_the_resources(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 1, metadata=b'{"to": 7, "from": "x"}'), packet("r", 2, last=True))
    await process(ledger)
    assert (await webhook(ledger))["data"]["metadata"] == {"to": 7, "from": "x"}


async def test_r4_metadata_may_be_repeated_in_other_words(ledger: Ledger) -> None:
    given = [packet("r", 0, metadata=b'{"a":1,"b":2}'), packet("r", 1, metadata=b'{ "b": 2, "a": 1 }')]
    assert await send(ledger, *given) == [ACCEPTED, ACCEPTED]


async def test_r4_no_metadata_is_an_empty_object(ledger: Ledger) -> None:
    await finish(ledger)
    assert (await webhook(ledger))["data"]["metadata"] == {}


async def test_r5_a_repeat_is_a_duplicate_within_a_batch_and_after_it(ledger: Ledger) -> None:
    assert await send(ledger, packet("r", 3), packet("r", 3)) == [ACCEPTED, DUPLICATE]
    assert await send(ledger, packet("r", 3)) == [DUPLICATE]
    assert places(await claim(ledger)) == [("r", 3)]


async def test_r5_a_repeat_is_a_duplicate_whatever_became_of_the_first(ledger: Ledger) -> None:
    await ledger.accept(Batch([packet("r", 0)]).groups, capacity=1)
    assert await send(ledger, packet("r", 0)) == [DUPLICATE]
    await send(ledger, packet("r", 1))
    await process(ledger)
    assert await send(ledger, packet("r", 1)) == [DUPLICATE]
    assert not await claim(ledger)


async def test_r5_a_repeat_may_still_fix_the_total(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 1))
    assert await send(ledger, packet("r", 1, last=True)) == [DUPLICATE]
    await process(ledger)
    assert (await webhook(ledger))["data"]["completed_by"] == "last"


async def test_r5_a_repeat_that_fixes_the_total_of_what_is_done_closes_it(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 1))
    await process(ledger)
    accepted = await ledger.accept(Batch([packet("r", 1, last=True)]).groups, capacity=0)
    assert (accepted.receipts[0].status, *accepted.endpoints) == (DUPLICATE, "default")
    assert (await ledger.resource("r")).state is State.COLLATED
    assert len(await due(ledger)) == 1


async def test_r5_a_repeat_may_bring_the_metadata(ledger: Ledger) -> None:
    given = [packet("r", 0), packet("r", 0, metadata=b'{"a":1}'), packet("r", 1, last=True)]
    assert await send(ledger, *given) == [ACCEPTED, DUPLICATE, ACCEPTED]
    await process(ledger)
    assert (await webhook(ledger))["data"]["metadata"] == {"a": 1}


async def test_r5_a_later_last_of_false_withdraws_nothing(ledger: Ledger) -> None:
    await send(ledger, packet("r", 1, last=True))
    assert await send(ledger, packet("r", 1), packet("r", 0)) == [DUPLICATE, ACCEPTED]
    assert (await ledger.resource("r")).total == 2


@pytest.mark.parametrize("other", [b'{"a": 1}', b'{"a":1.0}', b'{"a":1 }', b"null"])
async def test_r6_other_bytes_under_the_same_index_conflict(ledger: Ledger, other: bytes) -> None:
    assert await send(ledger, packet("r", 0, b'{"a":1}'), packet("r", 0, other)) == [ACCEPTED, CONFLICT]
    assert await send(ledger, packet("r", 0, other), packet("r", 0, b'{"a":1}')) == [CONFLICT, DUPLICATE]


async def test_r6_a_second_total_conflicts(ledger: Ledger) -> None:
    await send(ledger, packet("r", 2, last=True))
    given = [packet("r", 1, last=True), packet("r", 0, total=4), packet("r", 0, total=2), packet("r", 2, total=3)]
    assert await send(ledger, *given) == [CONFLICT, CONFLICT, CONFLICT, DUPLICATE]


async def test_r6_a_total_at_or_below_an_index_that_is_there_conflicts(ledger: Ledger) -> None:
    await send(ledger, packet("r", 5))
    given = [packet("r", 3, last=True), packet("r", 4, last=True), packet("r", 0, total=5), packet("r", 0, total=6)]
    assert await send(ledger, *given) == [CONFLICT, CONFLICT, CONFLICT, ACCEPTED]


async def test_r6_an_index_at_or_above_the_total_conflicts(ledger: Ledger) -> None:
    await send(ledger, packet("r", 2, last=True))
    assert await send(ledger, packet("r", 3), packet("r", 400), packet("r", 1)) == [CONFLICT, CONFLICT, ACCEPTED]


async def test_r6_other_metadata_conflicts(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0, metadata=b'{"a":1}'))
    given = [packet("r", 1, metadata=b'{"a":2}'), packet("r", 2, metadata=b"{}"), packet("r", 3, metadata=b'{"a":1}')]
    assert await send(ledger, *given) == [CONFLICT, CONFLICT, ACCEPTED]


async def test_r6_a_conflict_changes_nothing(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 4))
    before = await ledger.resource("r"), await ledger.counts()
    given = [packet("r", 2, total=3, metadata=b'{"a":1}'), packet("r", 0, b"9", total=9, metadata=b'{"a":2}')]
    assert await send(ledger, *given) == [CONFLICT, CONFLICT]
    assert (await ledger.resource("r"), await ledger.counts()) == before
    assert await send(ledger, packet("r", 1, total=5, metadata=b'{"a":3}')) == [ACCEPTED]


async def test_r7_packets_of_a_batch_count_one_by_one_in_order(ledger: Ledger) -> None:
    given = [packet("r", 4), packet("r", 1, last=True), packet("r", 4, last=True), packet("r", 5), packet("r", 0)]
    assert await send(ledger, *given) == [ACCEPTED, CONFLICT, DUPLICATE, CONFLICT, ACCEPTED]


@pytest.mark.parametrize("processed", [False, True])
async def test_r7_indexes_that_come_twice_are_judged_beside_what_is_there(ledger: Ledger, processed: bool) -> None:
    await send(ledger, packet(index=0), packet(index=5), packet(index=1))
    if processed:
        await process(ledger)
    again = [packet(index=index) for index in (2, 2, 0, 3, 5, 7, 3, 1)]
    others = [packet(index=index, payload=b'"other"') for index in (3, 4, 0, 6)]
    end = [packet(index=4), packet(index=8, last=True), packet(index=9), packet(index=8)]
    assert await send(ledger, *again, *others, *end) == [
        *(ACCEPTED, DUPLICATE, DUPLICATE, ACCEPTED, DUPLICATE, ACCEPTED, DUPLICATE, DUPLICATE),
        *(CONFLICT, ACCEPTED, CONFLICT, ACCEPTED),
        *(CONFLICT, ACCEPTED, CONFLICT, DUPLICATE),
    ]
    assert (await ledger.resource("r")).received == 9
    await process(ledger)
    assert (await webhook(ledger))["data"]["outputs"] == [0, 1, 2, 3, "other", 5, "other", 7, 8]


async def test_r7_resources_of_a_batch_do_not_touch_each_other(ledger: Ledger) -> None:
    given = [packet("a", 1, last=True), packet("b", 2), packet("a", 2), packet("b", 1), packet("a", 0)]
    assert await send(ledger, *given) == [ACCEPTED, ACCEPTED, CONFLICT, ACCEPTED, ACCEPTED]
    assert (await ledger.resource("b")).total is None


async def test_p1_what_was_accepted_is_there_after_an_unclean_stop(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0, b'{"x": [1,  2]}'), packet("r", 1, metadata=b'{"a":1}', last=True))
    ledger = await store.crash()
    assert await send(ledger, packet("r", 0, b'{"x": [1,  2]}')) == [DUPLICATE]
    assert [task.payload for task in await claim(ledger)] == [b'{"x": [1,  2]}', b"1"]


@pytest.mark.parametrize("resource_id", ["Zoë/..%2F?", "a'b\"c;--", "%_*[x]", "." * 255, "😀" * 63, " ", "0", "00"])
async def test_r1_any_text_is_an_id_and_no_two_are_the_same(ledger: Ledger, resource_id: str) -> None:
    await send(ledger, packet(resource_id[:-1] + "y", 0), packet(resource_id, 0, last=True), packet("%", 0))
    assert (await ledger.resource(resource_id)).resource_id == resource_id
    await process(ledger)
    assert (await webhook(ledger))["data"]["resource_id"] == resource_id
