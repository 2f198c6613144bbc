"""An answer that is lost: the step was taken, and nobody knows. The call is made again, and changes nothing more (P2).

With the id of the same operation it gives the first answer. With another id, it is another call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import getmembers, isfunction, signature
from typing import Any, NamedTuple

import pytest

from collator.errors import Uncertain
from collator.messages import DeliveryFilter, Recorded, ResourceFilter, tasks_of
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.audit import AuditLog
from collator.seams.ledger import Ledger
from collator.seams.views import Views
from collator.states import DeliveryState, OnFailure, State
from tests.conformance.steps import (
    claim,
    claim_one,
    delivered,
    drain,
    due_one,
    echo,
    fail,
    finish,
    listed,
    packet,
    packets,
    places,
    record,
    send,
)
from tests.conformance.store import Store

pytestmark = pytest.mark.one_holder  # whoever calls again asks the same node

LIMITS = LedgerLimits(
    on_failure=OnFailure.HOLD, idle_timeout=None, deadline=100.0, retention=100.0, task_lease=30.0, delivery_lease=1e6
)
ONE = {"default": 1}
TOLD_BY_THE_LEASE = {"renew", "release", "record_attempts", "bring_forward"}
"""Verbs that change nothing the second time without an operation."""
CHANGE_NOTHING = {"work_due", "body", "pieces"}
"""Verbs that only look, beside those in the seams of views and of the audit log."""


class Case(NamedTuple):
    """One verb: what is there before, how it is called, and what it says the first time, and to another call."""

    prepare: Callable[[Store, Ledger], Awaitable[Any]]
    call: Callable[[Ledger, Any, str], Awaitable[Any]]
    """The ledger, what was prepared, and the id of the operation."""
    told: Callable[[Any], object]
    """What counts of an answer."""
    first: object
    other: object


async def nothing(_store: Store, _ledger: Ledger) -> None:
    pass


async def two_packets(_store: Store, ledger: Ledger) -> None:
    await send(ledger, *packets(2))


async def task(_store: Store, ledger: Ledger) -> Any:  # noqa: ANN401 - each case has its own
    await send(ledger, *packets(1))
    return await claim_one(ledger)


async def one_overdue(store: Store, ledger: Ledger) -> None:
    await send(ledger, packet("r", 0))
    store.clock.advance(101)


async def one_with_a_gap(_store: Store, ledger: Ledger) -> None:
    await send(ledger, packet("r", 1))


async def one_failed(_store: Store, ledger: Ledger) -> None:
    await send(ledger, *packets(1))
    await fail(ledger)


async def two_to_send(store: Store, ledger: Ledger) -> None:
    for name in "ab":
        await finish(ledger, name)
        store.clock.advance(1)


async def one_to_send(_store: Store, ledger: Ledger) -> str:
    await finish(ledger)
    (report,) = await listed(ledger)
    return report.id


async def one_sent(_store: Store, ledger: Ledger) -> None:
    await finish(ledger)
    await drain(ledger)


async def one_to_forget(store: Store, ledger: Ledger) -> None:
    await one_sent(store, ledger)
    store.clock.advance(101)


async def one_paused(_store: Store, ledger: Ledger) -> None:
    await ledger.pause("default", reason="maintenance")


CASES = {
    "accept": Case(
        nothing,
        lambda ledger, _, operation: ledger.accept([packets(2)], capacity=1, operation=operation),
        lambda answer: ([receipt.status for receipt in answer.receipts], places(tasks_of(answer.runs))),
        ([Status.ACCEPTED] * 2, [("r", 0)]),
        ([Status.DUPLICATE] * 2, []),
    ),
    "claim": Case(
        two_packets,
        lambda ledger, _, operation: ledger.claim(capacity=1, operation=operation),
        lambda answer: places(tasks_of(answer)),
        [("r", 0)],
        [("r", 1)],
    ),
    "record": Case(
        task,
        lambda ledger, task, operation: ledger.record(echo([task]), capacity=ONE, operation=operation),
        lambda answer: (Recorded.RECORDED in answer.statuses, answer.closed, len(answer.deliveries)),
        (True, 1, 1),
        (False, 0, 0),
    ),
    "expire": Case(
        one_overdue,
        lambda ledger, _, operation: ledger.expire(accepting=True, limit=9, capacity=ONE, operation=operation),
        lambda answer: (answer.closed, len(answer.deliveries)),
        (1, 1),
        (0, 0),
    ),
    "claim_deliveries": Case(
        two_to_send,
        lambda ledger, _, operation: ledger.claim_deliveries("default", capacity=1, operation=operation),
        lambda answer: [delivery.resource_id for delivery in answer],
        ["a"],
        ["b"],
    ),
    "complete": Case(
        one_with_a_gap,
        lambda ledger, _, operation: ledger.complete("r", force=True, capacity=ONE, operation=operation),
        lambda answer: (answer.closed, len(answer.deliveries)),
        (1, 1),
        (0, 0),
    ),
    "cancel": Case(
        one_with_a_gap, lambda ledger, _, operation: ledger.cancel("r", operation=operation), bool, True, False
    ),
    "retry": Case(one_failed, lambda ledger, _, operation: ledger.retry("r", operation=operation), int, 1, 0),
    "retry_all": Case(
        one_failed,
        lambda ledger, _, operation: ledger.retry_all(ResourceFilter(state=State.OPEN), operation=operation),
        lambda answer: (answer.resources, answer.packets),
        (1, 1),
        (0, 0),
    ),
    "replay": Case(
        one_sent,
        lambda ledger, _, operation: ledger.replay(DeliveryFilter(), operation=operation),
        lambda answer: answer.replayed,
        1,
        0,
    ),
    "give_up": Case(
        one_to_send, lambda ledger, which, operation: ledger.give_up(which, operation=operation), bool, True, False
    ),
    "pause": Case(
        nothing,
        lambda ledger, _, operation: ledger.pause("default", reason="maintenance", operation=operation),
        bool,
        True,
        False,
    ),
    "resume": Case(
        one_paused, lambda ledger, _, operation: ledger.resume("default", operation=operation), bool, True, False
    ),
    "purge": Case(
        one_to_forget, lambda ledger, _, operation: ledger.purge(limit=1_000, operation=operation), bool, True, False
    ),
}


async def look(ledger: Ledger) -> object:
    """All that the ledger shows."""
    summaries = await ledger.resources()
    reports = [await ledger.resource(summary.resource_id) for summary in summaries]
    return await ledger.counts(), summaries, reports, await listed(ledger), await ledger.paused()


def test_every_verb_is_here() -> None:
    verbs = {name: verb for name, verb in getmembers(Ledger, isfunction) if not name.startswith("_")}
    assert {name for name, verb in verbs.items() if "operation" in signature(verb).parameters} == {*CASES}
    views = {name for protocol in (Views, AuditLog) for name, _ in getmembers(protocol, isfunction)}
    assert {*verbs} - views == {*CASES, *TOLD_BY_THE_LEASE, *CHANGE_NOTHING}


@pytest.mark.parametrize("verb", CASES)
async def test_p2_a_call_whose_answer_was_lost_is_made_again(store: Store, verb: str) -> None:
    case, ledger = CASES[verb], await store.open(LIMITS)
    prepared = await case.prepare(store, ledger)
    store.lose_answer(ledger, verb)
    with pytest.raises(Uncertain):
        await case.call(ledger, prepared, "one")
    before = await look(ledger)
    for _ in range(2):
        assert case.told(await case.call(ledger, prepared, "one")) == case.first
    assert await look(ledger) == before
    assert case.told(await case.call(ledger, prepared, "another")) == case.other


async def test_p2_what_a_lost_answer_handed_out_is_held_and_good_for_one_report(store: Store) -> None:
    ledger = await store.open(LIMITS)
    await send(ledger, *packets(1))
    store.lose_answer(ledger, "claim")
    with pytest.raises(Uncertain):
        await ledger.claim(capacity=1, operation="one")
    assert not await claim(ledger)
    tasks = tasks_of(await ledger.claim(capacity=1, operation="one"))
    assert await record(ledger, *echo(tasks)) == [Recorded.RECORDED]


# Those that are told by the lease whether they were taken already.


async def test_p2_outcomes_whose_answer_was_lost_are_recorded_once(store: Store) -> None:
    ledger = await store.open(LIMITS)
    await send(ledger, *packets(2))
    tasks = await claim(ledger)
    store.lose_answer(ledger, "record")
    with pytest.raises(Uncertain):
        await record(ledger, *echo(tasks[:1]))
    before = await look(ledger)
    assert await record(ledger, *echo(tasks[:1])) == [Recorded.LOST]
    assert await look(ledger) == before


async def test_r24_attempts_whose_answer_was_lost_count_once(store: Store) -> None:
    ledger = await store.open(LIMITS)
    await finish(ledger)
    attempt = delivered(await due_one(ledger))
    store.lose_answer(ledger, "record_attempts")
    with pytest.raises(Uncertain):
        await ledger.record_attempts([attempt])
    await ledger.record_attempts([attempt])
    (report,) = await listed(ledger)
    assert (report.state, report.attempts) == (DeliveryState.DELIVERED, 1)
    assert len((await ledger.delivery(report.id)).log) == 1


async def test_a_renewal_whose_answer_was_lost_holds(store: Store) -> None:
    ledger = await store.open(LIMITS)
    await send(ledger, packet("r", 0))
    held = await claim_one(ledger)
    store.clock.advance(20)
    store.lose_answer(ledger, "renew")
    with pytest.raises(Uncertain):
        await ledger.renew([held.lease])
    store.clock.advance(20)
    assert await ledger.renew([held.lease]) == [True]


async def test_what_was_given_back_twice_as_an_answer_was_lost_is_not_taken_from_who_has_it_now(store: Store) -> None:
    ledger = await store.open(LIMITS)
    await send(ledger, packet("r", 0))
    old = await claim_one(ledger)
    store.lose_answer(ledger, "release")
    with pytest.raises(Uncertain):
        await ledger.release([old.lease])
    new = await claim_one(ledger)
    await ledger.release([old.lease])
    assert not await claim(ledger)
    assert await record(ledger, *echo([new])) == [Recorded.RECORDED]
