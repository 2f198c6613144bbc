"""A retry of what ended early: a new generation of the same packets, beside the one that was told (R11, R16)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from collator.errors import Conflict, Ended, Malformed, Unavailable, Uncertain, Unknown
from collator.messages import DeliveryFilter, Failure, Output, Recorded, ResourceFilter
from collator.packet import Status
from collator.rules.footprint import of_packet
from collator.rules.repair import MAX_SUPERSEDED
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import DeliveryState, EndedBy, OnFailure, State
from tests.conformance.steps import (
    again,
    claim,
    claim_one,
    content,
    dead,
    delivered,
    drain,
    due,
    due_one,
    echo,
    fail,
    finish,
    listed,
    outputs,
    packet,
    packets,
    places,
    process,
    purge,
    record,
    replay,
    retry_all,
    send,
    unfinished,
    webhook,
)
from tests.conformance.store import Store

EARLY = ResourceFilter()


async def fail_some(ledger: Ledger, resource_id: str = "r", *, count: int = 3, bad: Sequence[int] = (1,)) -> None:
    """A resource of *count* packets that ends as incomplete, as those of *bad* fail and the others have outputs."""
    await send(ledger, *packets(count, resource_id))
    tasks = [task for task in await claim(ledger) if task.key.resource_id == resource_id]
    await record(ledger, *echo(task for task in tasks if task.key.index not in bad))
    await record(ledger, *(Failure(task.lease, "no such word") for task in tasks if task.key.index in bad))


async def look(ledger: Ledger, resource_id: str = "r") -> object:
    """All that a retry may change."""
    return await ledger.resource(resource_id), await ledger.counts(), await listed(ledger)


async def webhook_id(ledger: Ledger, resource_id: str = "r") -> str:
    return (await ledger.resource(resource_id)).webhook_id


# The new generation.


async def test_r16_a_retry_mends_what_ended_with_failures(ledger: Ledger) -> None:
    await fail_some(ledger)
    (old,) = await drain(ledger)
    assert await ledger.retry("r") == 1
    task = await claim_one(ledger)
    assert (task.key.index, task.attempt) == (1, 1)
    assert task.key.generation != old.generation
    assert (await ledger.record(echo([task]), capacity={})).closed == 1
    new = await due_one(ledger)
    said = await content(ledger, new)
    assert said["type"] == "resource.collated"
    assert said["data"] == {
        "resource_id": "r",
        "completed_by": "last",
        "total": 3,
        "metadata": {},
        "supersedes": old.webhook_id,
        "outputs": [0, 1, 2],
    }
    assert new.webhook_id != old.webhook_id
    assert (new.attempt, new.step) == (1, 0)


async def test_r16_what_is_open_again_is_shown_as_what_it_is(store: Store) -> None:
    ledger = await store.open()
    await fail_some(ledger)
    old = await ledger.resource("r")
    store.clock.advance(60.0)
    await ledger.retry("r")
    report = await ledger.resource("r")
    assert (report.state, report.completed_by, report.closed_at) == (State.OPEN, None, None)
    assert (report.total, report.received, report.done, report.failed) == (3, 3, 2, 0)
    assert (report.supersedes, old.supersedes) == (old.webhook_id, None)
    assert report.webhook_id != old.webhook_id
    assert report.opened_at > old.opened_at
    assert ([*report.unfinished], [*report.failures], [*report.deliveries]) == ([(1, 1)], [], [])
    counts = await ledger.counts()
    assert (counts.open, counts.incomplete, counts.waiting, counts.due) == (1, 0, 1, 1)
    assert counts.backlog - counts.open_bytes == of_packet(1)
    assert await outputs(ledger) == [(0, b"0"), (2, b"2")]


async def test_r16_a_retry_of_what_is_open_again_already_changes_nothing(ledger: Ledger) -> None:
    await fail_some(ledger)
    await ledger.retry("r")
    before = await look(ledger)
    assert await ledger.retry("r") == 0
    assert await look(ledger) == before


async def test_r16_what_fails_again_ends_again_and_can_be_retried_again(ledger: Ledger) -> None:
    await fail_some(ledger)
    ids = [await webhook_id(ledger)]
    for _ in range(2):
        await ledger.retry("r")
        await fail(ledger, "still no such word")
        ids.append(await webhook_id(ledger))
    await ledger.retry("r")
    await process(ledger)
    bodies = [(one.webhook_id, (await content(ledger, one))["data"]) for one in await due(ledger)]
    ids.append(await webhook_id(ledger))
    assert [id_ for id_, _ in bodies] == ids
    assert [body.get("supersedes") for _, body in bodies] == [None, *ids[:-1]]
    assert [bool(body.get("failed")) for _, body in bodies] == [True, True, True, False]
    assert len({*ids}) == 4


async def test_r16_what_was_retried_too_often_is_told_so(ledger: Ledger) -> None:
    await fail_some(ledger)
    for _ in range(MAX_SUPERSEDED):
        await ledger.retry("r")
        await fail(ledger)
        await drain(ledger)
    before = await look(ledger)
    with pytest.raises(Ended, match=f"after {MAX_SUPERSEDED} retries"):
        await ledger.retry("r")
    assert await retry_all(ledger, EARLY) == 0
    assert await look(ledger) == before


async def test_r16_what_was_not_finished_at_the_end_waits_again_and_old_leases_are_lost(store: Store) -> None:
    """With `fail_fast`, or by force, packets may be in work as their resource ends."""
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.FAIL_FAST))
    await send(ledger, *packets(4))
    tasks = await claim(ledger, 3)
    await record(ledger, Failure(tasks[0].lease, "bad"))
    assert (await ledger.resource("r")).completed_by is EndedBy.FAILURE
    assert await ledger.retry("r") == 4
    assert await ledger.renew([tasks[1].lease]) == [False]
    assert await record(ledger, Output(tasks[1].lease, b'"late"')) == [Recorded.LOST]
    await ledger.release([tasks[2].lease])
    assert sorted(places(await claim(ledger))) == [("r", 0), ("r", 1), ("r", 2), ("r", 3)]
    store.clock.advance(31)  # those leases have ended
    await process(ledger)
    (_, new) = await due(ledger)
    assert (await content(ledger, new))["data"]["outputs"] == [0, 1, 2, 3]


async def force(_store: Store, ledger: Ledger) -> None:
    await ledger.complete("r", force=True)


async def pass_the_deadline(store: Store, ledger: Ledger) -> None:
    store.clock.advance(101)
    await ledger.expire(accepting=True, limit=9, capacity={})


@pytest.mark.parametrize(("end", "by"), [(force, EndedBy.FORCED), (pass_the_deadline, EndedBy.DEADLINE)])
async def test_r16_what_ended_before_its_packets_were_processed_is_mended_too(
    store: Store, end: Callable[[Store, Ledger], Any], by: EndedBy
) -> None:
    """The service may have been away until then: none has failed, and no one has an output."""
    ledger = await store.open(LedgerLimits(deadline=100.0))
    await send(ledger, *packets(2))
    await end(store, ledger)
    report = await ledger.resource("r")
    assert (report.completed_by, report.failed) == (by, 0)
    assert await ledger.retry("r") == 2
    await process(ledger)
    data = [(await content(ledger, one))["data"] for one in await due(ledger)]
    assert [("supersedes" in one, one["completed_by"]) for one in data] == [(False, by), (True, "last")]


async def test_r16_what_is_missing_may_come_once_it_is_open_again(store: Store) -> None:
    ledger = await store.open(LedgerLimits(idle_timeout=100.0))
    await ledger.expire(accepting=True, limit=9, capacity={})
    await send(ledger, packet("r", 0), packet("r", 2, last=True))
    await fail(ledger)
    store.clock.advance(101)
    await ledger.expire(accepting=True, limit=9, capacity={})
    assert (await ledger.resource("r")).completed_by is EndedBy.IDLE_TIMEOUT
    assert await send(ledger, packet("r", 1), packet("r", 0, b'"other"')) == [Status.CLOSED, Status.DUPLICATE]
    assert await ledger.retry("r") == 2
    given = packet("r", 1), packet("r", 0, b'"other"'), packet("r", 0), packet("r", 3)
    assert await send(ledger, *given) == [Status.ACCEPTED, Status.CONFLICT, Status.DUPLICATE, Status.CONFLICT]
    await process(ledger)
    (_, new) = await due(ledger)
    assert (await content(ledger, new))["data"]["outputs"] == [0, 1, 2]


@pytest.mark.parametrize("limits", [{"idle_timeout": 100.0}, {"idle_timeout": None, "deadline": 100.0}])
async def test_r13_r14_what_is_open_again_has_all_its_time_again(store: Store, limits: dict[str, Any]) -> None:
    ledger = await store.open(LedgerLimits(**limits))
    await ledger.expire(accepting=True, limit=9, capacity={})
    await send(ledger, packet("r", 0), packet("r", 2, last=True))
    await fail(ledger)
    for _ in range(2):
        store.clock.advance(99)
        assert (await ledger.expire(accepting=True, limit=9, capacity={})).closed == 0
        store.clock.advance(2)
        assert (await ledger.expire(accepting=True, limit=9, capacity={})).closed == 1
        store.clock.advance(50)
        await ledger.retry("r")
        await fail(ledger)


async def test_r16_what_never_said_its_total_still_has_none(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0), packet("r", 1))
    await fail(ledger)
    await ledger.complete("r", force=True)
    await ledger.retry("r")
    await process(ledger)
    report = await ledger.resource("r")
    assert (report.state, report.total) == (State.OPEN, None)
    assert await send(ledger, packet("r", 2, last=True)) == [Status.ACCEPTED]
    await process(ledger)
    assert (await ledger.resource("r")).completed_by is EndedBy.LAST


async def test_r26_outcomes_go_on_being_counted(ledger: Ledger) -> None:
    await fail_some(ledger, count=4, bad=(1, 2))
    before = (await ledger.outcomes("r")).outcomes
    kept = [one for one in before if one.output is not None]
    await ledger.retry("r")
    assert (await ledger.outcomes("r")).outcomes == kept
    await process(ledger)
    page = await ledger.outcomes("r", after_seq=before[-1].seq)
    assert sorted(one.index for one in page.outcomes) == [1, 2]
    seqs = [one.seq for one in (await ledger.outcomes("r")).outcomes]
    assert (len({*seqs}), seqs) == (4, sorted(seqs))
    with pytest.raises(Conflict):
        await ledger.outcomes("r", after_seq=1, webhook_id=page.webhook_id[:-1])


async def test_r27_a_packet_that_has_failed_has_all_its_attempts_again(ledger: Ledger) -> None:
    await fail_some(ledger)
    await ledger.retry("r")
    (task,) = await claim(ledger)
    assert task.attempt == 1
    await ledger.release([task.lease])


@pytest.mark.parametrize("clean", [True, False])
async def test_p1_what_was_opened_again_is_after_a_start(store: Store, clean: bool) -> None:
    ledger = await store.open()
    await fail_some(ledger)
    (old,) = await drain(ledger)
    await ledger.retry("r")
    ledger = await (store.reopen() if clean else store.crash())
    assert places(await claim(ledger)) == [("r", 1)]
    ledger = await store.crash()
    await process(ledger)
    assert (await webhook(ledger))["data"]["supersedes"] == old.webhook_id


# What a retry does not mend.


async def collated(ledger: Ledger) -> None:
    await finish(ledger)


async def cancelled(ledger: Ledger) -> None:
    await send(ledger, *packets(2))
    await fail(ledger)
    await ledger.retry("r")
    await ledger.cancel("r")


async def only_missing(ledger: Ledger) -> None:
    await send(ledger, packet("r", 1, last=True))
    await process(ledger)
    await ledger.complete("r", force=True)


async def empty(ledger: Ledger) -> None:
    await ledger.complete("r", total=0)


@pytest.mark.parametrize("prepare", [collated, cancelled, only_missing, empty])
async def test_r16_where_nothing_can_be_mended_it_is_told_so(ledger: Ledger, prepare: Callable[[Ledger], Any]) -> None:
    await prepare(ledger)
    before = await look(ledger)
    with pytest.raises(Ended):
        await ledger.retry("r")
    assert await look(ledger) == before
    assert not await unfinished(ledger, EARLY)
    assert await retry_all(ledger, EARLY) == 0


async def test_r25_what_is_gone_after_its_retention_is_not_retried(store: Store) -> None:
    ledger = await store.open(LedgerLimits(retention=100.0))
    await fail_some(ledger)
    await drain(ledger)
    store.clock.advance(101)
    await purge(ledger)
    with pytest.raises(Unknown, match="removed after its retention"):
        await ledger.retry("r")
    assert not await unfinished(ledger, EARLY)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (LedgerLimits(max_open=1), "max_open"),
        (LedgerLimits(max_backlog=380), "max_backlog"),
    ],
)
async def test_r9_a_limit_refuses_a_retry_before_anything_changes(
    store: Store, limits: LedgerLimits, words: str
) -> None:
    ledger = await store.open(limits)
    await fail_some(ledger)
    await send(ledger, packet("late", 0))
    before = await look(ledger)
    with pytest.raises(Unavailable, match=words):
        await ledger.retry("r")
    with pytest.raises(Unavailable, match=words):
        await ledger.retry_all(EARLY)
    assert await look(ledger) == before
    await ledger.cancel("late")
    assert await ledger.retry("r") == 1


async def test_r9_what_the_backlog_can_never_hold_is_told_so_and_holds_up_no_other(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_backlog=3_000))
    for index in range(4):  # one after the other there is room for them
        await send(ledger, packet("a", index, b'"%s"' % (b"x" * 900), last=index == 3))
        await fail(ledger)
    await fail_some(ledger, "b")
    before = await ledger.resource("a")
    with pytest.raises(Ended, match=r"more than the whole backlog may have \(max_backlog\)"):
        await ledger.retry("a")
    assert await retry_all(ledger, EARLY) == 1
    assert (await ledger.resource("b")).state is State.OPEN
    assert await ledger.resource("a") == before


# The generation before.


@pytest.mark.parametrize("when", ["due", "leased", "dead", "delivered"])
@pytest.mark.parametrize("lost", [False, True])
async def test_p3_p4_the_webhook_before_stays_what_it_is(store: Store, when: str, lost: bool) -> None:
    """Whatever becomes of the new generation, the old one keeps its id, its bytes and its state."""
    ledger = await store.open()
    await fail_some(ledger, count=4, bad=(1, 2))
    delivery = await due_one(ledger)
    body = await ledger.body(delivery)
    if when == "due":
        await ledger.release([delivery.lease])
    elif when != "leased":
        await ledger.record_attempts([{"dead": dead, "delivered": delivered}[when](delivery)])
    (before,) = await listed(ledger)
    await ledger.retry("r")
    assert await ledger.body(delivery) == body
    if when == "leased":
        assert await ledger.record_attempts([again(delivery, 0.0)]) == [True]
    await process(ledger)
    if lost:
        ledger = await store.crash()
    after, new = await listed(ledger, resource_id="r")
    assert (after.id, after.webhook_id) == (before.id, before.webhook_id)
    assert new.webhook_id != before.webhook_id
    assert await ledger.body(delivery) == body
    if when in {"dead", "delivered"}:
        assert after == before
        assert (await ledger.replay(DeliveryFilter(id=before.id))).replayed == 1
    sent = {one.webhook_id: one for one in await drain(ledger)}
    assert {*sent} == {before.webhook_id, new.webhook_id}
    assert await ledger.body(sent[before.webhook_id]) == body
    ends = await listed(ledger)
    assert {one.state for one in ends} == {DeliveryState.DELIVERED}
    assert (await ledger.delivery(before.id)).attempts == ends[0].attempts


@pytest.mark.parametrize("large", [0, 1])
async def test_p3_a_body_that_is_being_read_goes_on_over_a_retry(ledger: Ledger, large: int) -> None:
    size = 300_000
    payloads = [b'"%d%s"' % (index, b"x" * (size if index != large else 0)) for index in range(3)]
    await send(ledger, *(packet("r", index, payload, last=index == 2) for index, payload in enumerate(payloads)))
    tasks = await claim(ledger)
    reason = "r" * size
    await record(ledger, *echo(tasks[:2]), Failure(tasks[2].lease, reason))
    delivery = await due_one(ledger)
    whole = await ledger.body(delivery)
    pieces = ledger.pieces(delivery)
    read = [await anext(pieces)]
    await ledger.retry("r")
    read.append(await anext(pieces))
    await process(ledger)
    read += [piece async for piece in pieces]
    assert b"".join(read) == whole
    assert reason.encode() in whole


async def test_r24_the_webhook_before_may_be_given_up_and_replayed_while_the_new_one_is_made(ledger: Ledger) -> None:
    await fail_some(ledger)
    (before,) = await listed(ledger)
    await ledger.retry("r")
    assert await ledger.give_up(before.id)
    assert (await ledger.counts()).dead == 1
    assert await replay(ledger, resource_id="r", state=DeliveryState.DEAD) == {"default"}
    (old,) = await drain(ledger)
    assert old.webhook_id == before.webhook_id
    assert await process(ledger)
    assert len(await drain(ledger)) == 1


@pytest.mark.parametrize("held", ["since before the retry", "since after it"])
async def test_r25_a_resource_is_kept_until_the_webhooks_of_all_generations_have_ended(store: Store, held: str) -> None:
    ledger = await store.open(LedgerLimits(retention=100.0))
    await fail_some(ledger)
    old = await due_one(ledger)
    await ledger.retry("r")
    await process(ledger)
    (new,) = await due(ledger)
    await ledger.record_attempts([delivered(new)])
    store.clock.advance(1000)
    await purge(ledger)
    with pytest.raises(Conflict, match="due delivery"):
        await ledger.purge(limit=9, resource_id="r")
    if held == "since after it":  # the lease from before has ended
        old = await due_one(ledger)
    await ledger.record_attempts([delivered(old)])
    store.clock.advance(99)
    assert await purge(ledger) == 0
    store.clock.advance(2)
    await purge(ledger)
    assert not await ledger.resources()
    assert not await listed(ledger)
    for name in (f"{old.webhook_id}:default", f"{new.webhook_id}:default"):
        with pytest.raises(Unknown):
            await ledger.delivery(name)


async def test_r25_what_is_open_again_is_not_forgotten_though_its_webhook_before_was_delivered(store: Store) -> None:
    ledger = await store.open(LedgerLimits(retention=100.0, idle_timeout=None))
    await fail_some(ledger)
    old = await due_one(ledger)
    await ledger.retry("r")
    await ledger.record_attempts([delivered(old)])
    store.clock.advance(1000)
    assert await purge(ledger) == 0
    await process(ledger)
    await drain(ledger)
    store.clock.advance(101)
    await purge(ledger)
    assert not await ledger.resources()


@pytest.mark.parametrize("end", ["cancel", "process"])
async def test_r25_a_dead_webhook_before_keeps_its_resource(store: Store, end: str) -> None:
    ledger = await store.open(LedgerLimits(retention=100.0))
    await fail_some(ledger)
    await ledger.record_attempts([dead(await due_one(ledger))])
    await ledger.retry("r")
    if end == "cancel":
        await ledger.cancel("r")
    else:
        await process(ledger)
        await drain(ledger)
    store.clock.advance(1000)
    await purge(ledger)
    assert (await ledger.counts()).dead == 1
    await ledger.purge(limit=9, resource_id="r")
    counts = await ledger.counts()
    assert (counts.dead, counts.due, counts.cancelled, counts.collated) == (0, 0, 0, 0)


# Many at once.


async def many(store: Store, **limits: Any) -> Ledger:  # noqa: ANN401 - those of the ledger
    """Some resources that ended early, a minute after each other, and others."""
    ledger = await store.open(LedgerLimits(**limits))
    for number in range(4):
        await fail_some(ledger, f"a{number}", count=2, bad=(0, 1) if number == 1 else (1,))
        store.clock.advance(60)
    await finish(ledger, "b-collated")
    await send(ledger, packet("b-forced", 0, last=True), packet("b-open", 1))
    await ledger.complete("b-forced", force=True)
    await send(ledger, packet("c", 0, last=True))
    (task,) = [task for task in await claim(ledger) if task.key.resource_id == "c"]
    await record(ledger, Failure(task.lease, "HTTP 500: out of memory"))
    return ledger


async def test_r16_all_that_ended_early_are_counted_and_then_retried(store: Store) -> None:
    ledger = await many(store)
    before = await ledger.counts()
    found = await unfinished(ledger, EARLY, limit=2)
    assert [(one.resource_id, one.packets) for one in found] == [
        *[("a0", 1), ("a1", 2), ("a2", 1), ("a3", 1)],
        *[("b-forced", 1), ("c", 1)],
    ]
    assert await ledger.counts() == before
    assert await retry_all(ledger, EARLY, limit=2) == sum(one.packets for one in found)
    assert not await unfinished(ledger, EARLY)
    assert await retry_all(ledger, EARLY) == 0
    after = await ledger.counts()
    assert (after.open, after.incomplete) == (before.open + 6, 0)
    store.clock.advance(60)
    await process(ledger)
    reports = [await ledger.resource(one.resource_id) for one in found]
    assert {report.state for report in reports} == {State.COLLATED}
    assert [report.supersedes for report in reports] == [one.webhook_id for one in found]


async def test_r16_a_filter_says_which_are_retried(store: Store) -> None:
    ledger = await many(store)
    start = store.clock.wall()
    filters: dict[str, tuple[ResourceFilter, list[str]]] = {
        "prefix": (ResourceFilter(prefix="a"), ["a0", "a1", "a2", "a3"]),
        "since": (ResourceFilter(since=start - 130), ["a2", "a3", "b-forced", "c"]),
        "completed_by": (ResourceFilter(completed_by=EndedBy.FORCED), ["b-forced"]),
        "reason": (ResourceFilter(reason="out of memory"), ["c"]),
        "all": (ResourceFilter(prefix="c", since=start, completed_by=EndedBy.LAST, reason="HTTP 500"), ["c"]),
        "none": (ResourceFilter(prefix="a", reason="HTTP 500"), []),
        "as text": (ResourceFilter(reason="%"), []),
        "open": (ResourceFilter(state=State.OPEN), []),
    }
    for wanted, names in filters.values():
        assert [one.resource_id for one in await unfinished(ledger, wanted)] == names
    for name in ("reason", "completed_by", "prefix"):
        wanted, names = filters[name]
        assert (await ledger.retry_all(wanted)).resources == len(names)
    assert (await ledger.counts()).incomplete == 0


async def test_r16_failed_packets_of_resources_that_are_held_open_are_retried_by_filter_too(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *packets(2, "a"), *packets(3, "b"), packet("c", 0))
    tasks = {(task.key.resource_id, task.key.index): task for task in await claim(ledger)}
    await record(ledger, *(Failure(tasks[one].lease, "bad") for one in [("a", 0), ("a", 1), ("b", 2)]))
    held = ResourceFilter(state=State.OPEN)
    assert [(one.resource_id, one.packets) for one in await unfinished(ledger, held)] == [("a", 2), ("b", 1)]
    ids = {name: await webhook_id(ledger, name) for name in "ab"}
    step = await ledger.retry_all(held)
    assert (step.resources, step.packets, step.after) == (2, 3, None)
    assert {name: await webhook_id(ledger, name) for name in "ab"} == ids
    assert not await unfinished(ledger, held)


@pytest.mark.one_ledger("each ledger has a bound of its own")
async def test_r9_a_retry_of_many_goes_on_where_a_limit_has_stopped_it(store: Store) -> None:
    ledger = await many(store, max_open=3)
    await ledger.cancel("b-open")
    step = await ledger.retry_all(EARLY)
    assert (step.resources, step.packets) == (3, 4)
    assert step.after is not None
    with pytest.raises(Unavailable, match="max_open"):
        await ledger.retry_all(EARLY, after=step.after)
    await process(ledger)
    step = await ledger.retry_all(EARLY, after=step.after)
    assert (step.resources, step.after) == (3, None)
    await process(ledger)
    assert (await ledger.counts()).incomplete == 0


async def test_r16_who_goes_on_does_not_meet_what_came_later(store: Store) -> None:
    ledger = await many(store)
    step = await ledger.retry_all(EARLY, limit=1)
    assert step.after is not None
    await fail_some(ledger, "d")
    step = await ledger.retry_all(EARLY, after=step.after)
    assert step.after is None
    assert [one.resource_id for one in await unfinished(ledger, EARLY)] == ["d"]


@pytest.mark.parametrize("after", ["nonsense", "-a", "1", "x-a", "1" * 30 + "-a"])
async def test_a_place_that_no_step_gave_is_told_so(ledger: Ledger, after: str) -> None:
    for step in (ledger.retry_all(EARLY, after=after), ledger.unfinished(EARLY, after=after)):
        with pytest.raises(Malformed, match="cursor"):
            await step


async def test_r11_retries_at_the_same_time_open_a_generation_once(store: Store) -> None:
    ledger = await many(store)
    found = await unfinished(ledger, EARLY)
    steps, packets = await asyncio.gather(
        asyncio.gather(*(ledger.retry_all(EARLY) for _ in range(3))),
        asyncio.gather(*(ledger.retry(name) for name in ("a1", "c"))),
    )
    assert sum(step.packets for step in steps) + sum(packets) == sum(one.packets for one in found)
    for one in found:
        assert (await ledger.resource(one.resource_id)).supersedes == one.webhook_id
    waiting = [("a0", 1), ("a1", 0), ("a1", 1), ("a2", 1), ("a3", 1), ("b-forced", 0), ("c", 0)]
    assert sorted(places(await claim(ledger))) == waiting


@pytest.mark.one_holder
@pytest.mark.parametrize("verb", ["retry", "retry_all"])
async def test_p2_a_retry_whose_answer_was_lost_is_made_again(store: Store, verb: str) -> None:
    ledger = await store.open()
    await fail_some(ledger)
    given = "r" if verb == "retry" else EARLY
    store.lose_answer(ledger, verb)
    with pytest.raises(Uncertain):
        await getattr(ledger, verb)(given, operation="one")
    before = await look(ledger)
    answers = [await getattr(ledger, verb)(given, operation=which) for which in ("one", "one", "another")]
    assert [one if isinstance(one, int) else one.packets for one in answers] == [1, 1, 0]
    assert await look(ledger) == before


async def test_r16_a_retry_while_the_webhooks_before_are_replayed(ledger: Ledger) -> None:
    """Both may be asked for at once: the one sends again what was said, the other makes what will be said."""
    names = [f"r{number}" for number in range(5)]
    for name in names:
        await fail_some(ledger, name, count=2)
    old = {one.resource_id: one.webhook_id for one in await drain(ledger)}
    replayed, retried = await asyncio.gather(
        ledger.replay(DeliveryFilter(state=DeliveryState.DELIVERED)), ledger.retry_all(EARLY)
    )
    assert (replayed.replayed, retried.resources) == (5, 5)
    await process(ledger)
    sent = await drain(ledger)
    assert len(sent) == 10
    assert {one.webhook_id for one in sent} == {*old.values()} | {await webhook_id(ledger, name) for name in names}


async def test_r17_a_generation_that_ends_early_again_supersedes_too(ledger: Ledger) -> None:
    await fail_some(ledger)
    (old,) = await drain(ledger)
    await ledger.retry("r")
    await fail(ledger, "other words")
    said = msgspec.json.decode(await ledger.body(await due_one(ledger)))
    assert [*said["data"]] == [
        *["resource_id", "completed_by", "total", "metadata", "supersedes"],
        *["partial", "missing", "unfinished", "failed"],
    ]
    assert said["data"]["supersedes"] == old.webhook_id
    assert said["data"]["failed"] == [{"index": 1, "reason": "other words", "attempts": 1}]
