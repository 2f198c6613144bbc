"""What people do to deliveries: look for one, follow its history, send it again or give it up (R24, P4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from collator.clock import rfc3339
from collator.errors import Ended, Malformed, Unknown
from collator.messages import (
    LOG,
    AnswerReport,
    Attempt,
    Delivery,
    DeliveryFilter,
    DeliveryReport,
    FailedAnswer,
    delivery_id,
)
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import DeliveryState
from tests.conformance.steps import (
    again,
    claim,
    dead,
    delivered,
    drain,
    due,
    due_one,
    echo,
    finish,
    listed,
    packet,
    record,
    replay,
    send,
)
from tests.conformance.store import Store

DUE, DELIVERED, DEAD = DeliveryState.DUE, DeliveryState.DELIVERED, DeliveryState.DEAD
TERMS = LedgerLimits(delivery_lease=30.0)


async def only(ledger: Ledger) -> DeliveryReport:
    """The only delivery there is."""
    (report,) = await listed(ledger)
    return report


async def test_a_delivery_is_known_by_its_webhook_id_and_endpoint(store: Store) -> None:
    ledger = await store.open(route=lambda _: ["a", "b"])
    await finish(ledger, "x")
    await finish(ledger, "y")
    reports = await listed(ledger)
    assert len({report.id for report in reports}) == 4
    for report in reports:
        assert report.id == delivery_id(report.webhook_id, report.endpoint)
        detail = await ledger.delivery(report.id)
        assert (detail.resource_id, detail.endpoint, detail.state) == (report.resource_id, report.endpoint, DUE)


async def test_deliveries_are_found_by_the_webhook_id_of_each_generation(store: Store) -> None:
    ledger = await store.open(route=lambda _: ["a", "b"])
    await finish(ledger, "other")
    await send(ledger, packet("x"))
    await ledger.complete("x", force=True)
    await finish(ledger, "another")
    first = {report.webhook_id for report in await listed(ledger, resource_id="x")}
    assert await ledger.retry("x") == 1
    await record(ledger, *echo(await claim(ledger)))
    await ledger.complete("x", total=1)
    reports = await listed(ledger, resource_id="x")
    (second,) = {report.webhook_id for report in reports} - first
    for name in (*first, second):
        found = await listed(ledger, webhook_id=name, limit=1)
        assert found == [report for report in reports if report.webhook_id == name]
        assert [report.endpoint for report in found] == ["a", "b"]
        assert await listed(ledger, webhook_id=name, resource_id="x") == found
        assert await listed(ledger, webhook_id=name, endpoint="b") == found[1:]
        assert await listed(ledger, webhook_id=name, resource_id="other") == []
    for nobody in ("msg_" + "a" * 52, "nonsense", "", f"{second}:a"):
        assert await listed(ledger, webhook_id=nobody) == []


@pytest.mark.parametrize("wrong", ["", "nonsense", "msg_:default", "other endpoint", "other webhook"])
async def test_a_delivery_that_is_not_there_is_unknown(ledger: Ledger, wrong: str) -> None:
    await finish(ledger)
    report = await only(ledger)
    name = {
        "other endpoint": f"{report.webhook_id}:other",
        "other webhook": f"{report.webhook_id[:-1]}{'a' if report.webhook_id[-1] != 'a' else 'q'}:default",
    }.get(wrong, wrong)
    for look in (ledger.delivery(name), ledger.give_up(name), replay(ledger, id=name), listed(ledger, id=name)):
        with pytest.raises(Unknown):
            await look


async def test_the_history_of_a_delivery_has_each_attempt_that_was_sent(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    name = (await only(ledger)).id
    assert [*(await ledger.delivery(name)).log] == []
    began = []
    for ending in (again, again, delivered):
        attempt = ending(await due_one(ledger))
        began.append(rfc3339(store.clock.wall()))
        store.clock.advance(2.5)
        await ledger.record_attempts([Attempt(attempt.delivery, attempt.state, attempt.reason, 10.0, seconds=2.5)])
        store.clock.advance(10)
    ledger = await store.crash()
    detail = await ledger.delivery(name)
    assert [(one.attempt, one.at, one.seconds) for one in detail.log] == [(n, began[n - 1], 2.5) for n in (1, 2, 3)]
    assert [(one.result, one.reason) for one in detail.log] == [
        ("failed", "HTTP 503"),
        ("failed", "HTTP 503"),
        ("delivered", "HTTP 200"),
    ]
    assert (detail.attempts, detail.attempted_at, detail.state) == (3, began[2], DELIVERED)


async def test_the_history_of_a_delivery_leaves_out_what_was_not_sent(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    await ledger.record_attempts([again(await due_one(ledger), 0.0, counted=False)])
    report = await only(ledger)
    assert (report.attempts, report.attempted_at, report.reason) == (0, None, "HTTP 503")
    assert [*(await ledger.delivery(report.id)).log] == []


async def test_the_history_of_a_delivery_is_bounded(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    for _ in range(LOG + 6):
        await ledger.record_attempts([again(await due_one(ledger), 0.0)])
    detail = await ledger.delivery((await only(ledger)).id)
    assert [one.attempt for one in detail.log] == [*range(7, LOG + 7)]


async def test_the_history_of_a_delivery_goes_on_over_a_replay(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    await ledger.record_attempts([dead(await due_one(ledger))])
    await replay(ledger, resource_id="r")
    await drain(ledger)
    detail = await ledger.delivery((await only(ledger)).id)
    assert [(one.attempt, one.result) for one in detail.log] == [(1, "failed"), (2, "delivered")]


async def test_a_list_may_have_the_newest_first(store: Store) -> None:
    ledger = await store.open(route=lambda name: ["a", "b"] if name in "be" else ["a"])
    for name in "cabed":
        await finish(ledger, name)
        store.clock.advance(1.0)
    everything = {report.id for report in await listed(ledger)}
    for limit in (1, 2, 3, 100):
        found = await listed(ledger, newest=True, limit=limit)
        assert "".join(report.resource_id for report in found) == "deebbac"
        assert {report.id for report in found} == everything
        due = await listed(ledger, newest=True, limit=limit, state=DUE, endpoint="b")
        assert [report.resource_id for report in due] == ["e", "b"]
        assert len(await listed(ledger, newest=True, limit=limit, resource_id="e")) == 2
    page = await ledger.deliveries(DeliveryFilter(newest=True), limit=3)
    await finish(ledger, "young")
    assert page.after is not None
    rest = await ledger.deliveries(DeliveryFilter(newest=True), after=page.after, limit=9)
    names = [report.resource_id for report in (*page.deliveries, *rest.deliveries)]
    assert "".join(name for name in names if name != "young") == "deebbac"


async def test_deliveries_are_found_by_their_last_answer_and_by_a_time(store: Store) -> None:
    ledger = await store.open(route=lambda _: ["a", "b"])
    times = {}
    for name in ("early", "late"):
        await finish(ledger, name)
        times[name] = store.clock.wall()
        store.clock.advance(60.0)
    ends = {"early": dead, "late": again}
    await ledger.record_attempts([ends[one.resource_id](one) for one in await due(ledger, "a")])
    assert {one.resource_id for one in await listed(ledger, reason="HTTP 503")} == {"late"}
    assert {one.resource_id for one in await listed(ledger, reason="410", state=DEAD)} == {"early"}
    assert await listed(ledger, reason="HTTP 5%") == await listed(ledger, reason="http") == []
    for until, number in ((times["late"], 4), (times["late"] - 1, 2), (times["early"] - 1, 0)):
        assert len(await listed(ledger, until=until)) == number
    assert {one.resource_id for one in await listed(ledger, since=times["early"] + 1, until=times["late"])} == {"late"}


def refused(delivery: Delivery, text: str, **options: Any) -> Attempt:  # noqa: ANN401 - of the attempt
    """The receiver said 500, and *text*."""
    answer = FailedAnswer(status=500, media_type="text/plain", size=len(text.encode()), text=text)
    return replace(again(delivery, 0.0, **options), answer=answer)


async def answered(ledger: Ledger) -> tuple[str, str] | None:
    """When the only delivery was refused last, and the words."""
    answer = (await ledger.delivery((await only(ledger)).id)).answer
    return None if answer is None else (answer.at, answer.text)


ODD = "\0 \x1b[31m \U0001f600 'quoted' \"twice\" \\u0000 \ufffd\n"


@pytest.mark.parametrize("text", ["", "no such account", ODD, "\N{EURO SIGN}" * 682])
async def test_what_a_receiver_answered_is_kept_as_it_came(store: Store, text: str) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    assert await answered(ledger) is None
    attempt = refused(await due_one(ledger), text)
    at = rfc3339(store.clock.wall())
    assert await ledger.record_attempts([attempt]) == [True]
    ledger = await store.crash()
    told = (await ledger.delivery((await only(ledger)).id)).answer
    assert attempt.answer is not None
    assert told == AnswerReport(**asdict(attempt.answer), at=at)


async def test_of_several_answers_the_last_is_kept_that_was_no_success(store: Store) -> None:
    ledger = await store.open(TERMS, route=lambda _: ["default", "other"])
    await finish(ledger)
    other = (await listed(ledger, endpoint="other"))[0]
    name = (await listed(ledger, endpoint="default"))[0].id
    said = []
    for text, counted in (("first", True), ("second", False), ("third", True)):
        assert await ledger.record_attempts([refused(await due_one(ledger), text, counted=counted)]) == [True]
        said.append((await ledger.delivery(name)).answer)
        store.clock.advance(1.0)
    assert [one and one.text for one in said] == ["first", "second", "third"]
    await ledger.record_attempts([again(await due_one(ledger), 0.0)])  # no answer
    await drain(ledger)
    assert (await ledger.delivery(name)).answer == said[-1]
    assert (await ledger.delivery(other.id)).answer is None


async def test_what_a_receiver_answered_to_who_lost_the_lease_is_not_kept(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    late = await due_one(ledger)
    store.clock.advance(31.0)
    assert await ledger.record_attempts([refused(await due_one(ledger), "first")]) == [True]
    assert await ledger.record_attempts([refused(late, "late")]) == [False]
    found = await answered(ledger)
    assert found is not None
    assert found[1] == "first"


async def test_what_a_receiver_answered_goes_with_its_delivery(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    await ledger.record_attempts([refused(await due_one(ledger), "first")])
    assert await ledger.give_up((await only(ledger)).id)
    await ledger.purge(limit=1000, resource_id="r")
    await finish(ledger)
    assert await answered(ledger) is None


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
async def test_following_pages_shows_every_delivery_once(store: Store, limit: int) -> None:
    ledger = await store.open(route=lambda name: ["a", "b"] if name in "be" else ["a"])
    for name in "cabed":
        await finish(ledger, name)
    found = [(report.resource_id, report.endpoint) for report in await listed(ledger, limit=limit)]
    assert sorted(found) == [(name, "a") for name in "ab"] + [
        ("b", "b"),
        ("c", "a"),
        ("d", "a"),
        ("e", "a"),
        ("e", "b"),
    ]
    assert found == [(report.resource_id, report.endpoint) for report in await listed(ledger)]


async def test_following_pages_shows_what_was_there_all_the_time_though_others_come_and_go(ledger: Ledger) -> None:
    for name in "abcdef":
        await finish(ledger, name)
    await drain(ledger)
    page = await ledger.deliveries(DeliveryFilter(), limit=2)
    seen = [report.resource_id for report in page.deliveries]
    while page.after is not None:
        await ledger.purge(limit=1_000, resource_id=seen[-1])
        await finish(ledger, f"new {len(seen)}")
        page = await ledger.deliveries(DeliveryFilter(), after=page.after, limit=2)
        seen += [report.resource_id for report in page.deliveries]
    assert sorted(name for name in seen if "new" not in name) == [*"abcdef"]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("after", ["nonsense", "-1", "1", "1-2-3", "' or 1=1"])
async def test_a_page_behind_nothing_is_malformed(ledger: Ledger, after: str) -> None:
    with pytest.raises(Malformed):
        await ledger.deliveries(DeliveryFilter(), after=after)
    with pytest.raises(Malformed):
        await ledger.replay(DeliveryFilter(), after=after)


@pytest.mark.parametrize("prefix", ["%", "_", "a'", "*", "é"])
async def test_deliveries_take_a_prefix_as_it_is(ledger: Ledger, prefix: str) -> None:
    for name in (prefix, prefix + "1", "x" + prefix, "ax"):
        await finish(ledger, name)
    assert [report.resource_id for report in await listed(ledger, prefix=prefix)] == [prefix, prefix + "1"]


async def test_deliveries_of_resources_that_ended_since(store: Store) -> None:
    ledger = await store.open()
    for name in "abc":
        await finish(ledger, name)
        store.clock.advance(10)
    since = store.clock.wall() - 20
    assert [report.resource_id for report in await listed(ledger, since=since)] == ["b", "c"]
    assert [report.resource_id for report in await listed(ledger, since=since + 1)] == ["c"]


async def test_r24_replay_goes_in_steps_and_says_how_many(ledger: Ledger) -> None:
    for name in "abcde":
        await finish(ledger, name)
    await drain(ledger)
    steps, after = [], ""
    while True:
        step = await ledger.replay(DeliveryFilter(), after=after, limit=2)
        steps.append(step.replayed)
        if step.after is None:
            break
        after = step.after
    assert (sum(steps), max(steps)) == (5, 2)
    assert len(await due(ledger)) == 5


@pytest.mark.parametrize(("ending", "expected"), [(delivered, (1, 0)), (dead, (1, 1)), (again, (0, 0))])
async def test_r24_replay_says_how_many_were_dead(
    ledger: Ledger, ending: Callable[[Delivery], Attempt], expected: tuple[int, int]
) -> None:
    await finish(ledger, "r")
    await ledger.record_attempts([ending(await due_one(ledger))])
    step = await ledger.replay(DeliveryFilter(id=(await only(ledger)).id))
    assert (step.replayed, step.dead) == expected


async def test_r24_replay_leaves_out_what_was_born_after_its_first_step(ledger: Ledger) -> None:
    for name in "abc":
        await finish(ledger, name)
    await drain(ledger)
    step = await ledger.replay(DeliveryFilter(), limit=2)
    await finish(ledger, "new")
    await drain(ledger)
    assert step.after is not None
    step = await ledger.replay(DeliveryFilter(), after=step.after, limit=9)
    assert (step.replayed, step.after) == (1, None)
    assert [delivery.resource_id for delivery in await due(ledger)] == ["c"]


async def test_r24_replay_of_one_by_its_id(store: Store) -> None:
    ledger = await store.open(route=lambda _: ["a", "b"])
    await finish(ledger)
    await drain(ledger, "a")
    await drain(ledger, "b")
    name = next(report.id for report in await listed(ledger) if report.endpoint == "b")
    step = await ledger.replay(DeliveryFilter(id=name))
    assert (step.replayed, *step.endpoints, step.after) == (1, "b", None)
    assert not await due(ledger, "a")
    assert len(await due(ledger, "b")) == 1


async def test_r24_replay_again_changes_nothing(ledger: Ledger) -> None:
    await finish(ledger)
    await ledger.record_attempts([dead(await due_one(ledger))])
    steps = [await ledger.replay(DeliveryFilter()) for _ in range(2)]
    assert [step.replayed for step in steps] == [1, 0]
    counts = await ledger.counts()
    assert (counts.due, counts.dead) == (1, 0)


@pytest.mark.parametrize("state", ["due", "leased", "retried"])
async def test_stop_gives_up_a_delivery_that_is_due(store: Store, state: str) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    taken = [] if state == "due" else await due(ledger)
    if state == "retried":
        await ledger.record_attempts([again(delivery, 60.0) for delivery in taken])
    name = (await only(ledger)).id
    await ledger.give_up(name)
    await ledger.give_up(name)
    assert (await only(ledger)).state is DEAD
    counts = await ledger.counts()
    assert (counts.due, counts.dead) == (0, 1)
    assert await ledger.record_attempts([again(delivery) for delivery in taken]) == [False] * len(taken)
    store.clock.advance(1_000)
    assert not await due(ledger)


async def test_r24_an_attempt_under_way_at_a_stop_counts_if_it_succeeds(ledger: Ledger) -> None:
    await finish(ledger)
    delivery = await due_one(ledger)
    await ledger.give_up((await only(ledger)).id)
    assert await ledger.record_attempts([dead(delivery), delivered(delivery)]) == [False, True]
    assert (await only(ledger)).state is DELIVERED


async def test_stop_of_what_was_delivered_is_told_so(ledger: Ledger) -> None:
    await finish(ledger)
    await drain(ledger)
    with pytest.raises(Ended):
        await ledger.give_up((await only(ledger)).id)
    assert (await only(ledger)).state is DELIVERED


async def test_r24_what_was_stopped_may_be_replayed_at_once(ledger: Ledger) -> None:
    await finish(ledger)
    held = await due_one(ledger)
    await ledger.give_up((await only(ledger)).id)
    await replay(ledger, state=DEAD)
    replayed = await due_one(ledger)
    assert replayed.webhook_id == held.webhook_id
    assert await ledger.record_attempts([dead(held)]) == [False]


async def test_due_endpoints_are_those_with_something_due_leased_or_not(store: Store) -> None:
    ledger = await store.open(TERMS, route=lambda name: [name])
    assert await ledger.due_endpoints() == frozenset()
    for name in ("due", "leased", "retried", "dead", "delivered"):
        await finish(ledger, name)
    await due_one(ledger, "leased")
    await ledger.record_attempts([dead(await due_one(ledger, "dead")), again(await due_one(ledger, "retried"), 60.0)])
    await drain(ledger, "delivered")
    assert await ledger.due_endpoints() == {"due", "leased"}
    store.clock.advance(60)
    assert await ledger.due_endpoints() == {"due", "leased", "retried"}


async def test_a_list_shows_nothing_of_what_has_no_delivery(ledger: Ledger) -> None:
    await send(ledger, packet("open", 0))
    assert await listed(ledger) == []
    assert await listed(ledger, resource_id="open") == []
