"""Who follows a resource by `seq` sees each outcome once, in the order in which they were recorded (R26)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from collator.errors import Conflict, Unknown
from collator.messages import Failure, OutcomeReport, Output, Retry
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import EndedBy, OnFailure, State
from tests.conformance.steps import claim, drain, echo, fail, finish, packet, packets, process, record, send
from tests.conformance.store import Store

HOLD = LedgerLimits(on_failure=OnFailure.HOLD)
HOUR = 3600.0


async def record_in_order(ledger: Ledger, indexes: Sequence[int], *, together: bool = True) -> None:
    """Claim all that is due, and record the outputs in the order of *indexes*; what else was claimed is given back."""
    tasks = {task.key.index: task for task in await claim(ledger)}
    results = echo([tasks.pop(index) for index in indexes])
    for group in [results] if together else [[one] for one in results]:
        await record(ledger, *group)
    await ledger.release([task.lease for task in tasks.values()])


async def numbers(ledger: Ledger, resource_id: str = "r", after_seq: int = 0) -> list[tuple[int, int]]:
    """The outcomes behind *after_seq*: seq and index of each."""
    found = (await ledger.outcomes(resource_id, after_seq=after_seq)).outcomes
    return [(one.seq, one.index) for one in found]


@pytest.mark.parametrize("together", [True, False])
async def test_r26_outcomes_are_numbered_as_they_are_recorded(ledger: Ledger, *, together: bool) -> None:
    await send(ledger, *packets(5))
    order = [3, 0, 4, 1, 2]
    await record_in_order(ledger, order, together=together)
    assert await numbers(ledger) == [*enumerate(order, start=1)]
    page = await ledger.outputs("r")
    assert [(one.index, one.seq) for one in page.outcomes] == [(0, 2), (1, 4), (2, 5), (3, 1), (4, 3)]


async def test_r26_what_comes_out_of_order_is_not_missed(ledger: Ledger) -> None:
    """A cursor over indexes stands at 4 when 0 comes."""
    await send(ledger, *packets(5))
    seen: list[OutcomeReport] = []
    page = await ledger.outcomes("r")
    for indexes in ([4], [], [0, 2], [1], [3]):
        await record_in_order(ledger, indexes)
        page = await ledger.outcomes("r", after_seq=seen[-1].seq if seen else 0)
        assert [one.index for one in page.outcomes] == indexes
        seen += page.outcomes
    assert [one.output for one in seen] == [b"4", b"0", b"2", b"1", b"3"]
    assert (page.state, page.completed_by, page.total) == (State.COLLATED, EndedBy.LAST, 5)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("order", [range(20), [*reversed(range(20))], [*range(1, 20), 0], [19, *range(19)]])
async def test_r26_pages_of_any_size_hold_each_outcome_once(ledger: Ledger, order: Sequence[int], limit: int) -> None:
    await send(ledger, *packets(20))
    await record_in_order(ledger, order)
    seen: list[int] = []
    while page := (await ledger.outcomes("r", after_seq=len(seen), limit=limit)).outcomes:
        assert len(page) == min(limit, 20 - len(seen))
        seen += [one.index for one in page]
    assert seen == [*order]


async def test_p5_pages_by_seq_come_in_a_size(ledger: Ledger) -> None:
    for index, length in enumerate((10, 20, 30, 100, 5)):
        await send(ledger, packet("r", index, b'"%s"' % (b"x" * (length - 2))))
    await record_in_order(ledger, [4, 3, 2, 1, 0])
    pages, after = [], 0
    while page := (await ledger.outcomes("r", after_seq=after, size=40)).outcomes:
        pages.append([len(one.output or b"") for one in page])
        after = page[-1].seq
    assert pages == [[5], [100], [30], [20, 10]]


async def test_r26_a_failure_has_a_number_and_its_reason(store: Store) -> None:
    ledger = await store.open(HOLD)
    await send(ledger, *packets(3))
    (zero, one, two) = await claim(ledger)
    await record(
        ledger, Output(two.lease, b'"two"'), Failure(one.lease, "no such word"), Retry(zero.lease, "busy", 9.0)
    )
    assert (await ledger.outcomes("r")).outcomes == [
        OutcomeReport(1, 2, b'"two"'),
        OutcomeReport(2, 1, None, "no such word", 1),
    ]
    assert [outcome.index for outcome in (await ledger.outputs("r")).outcomes] == [2]


async def test_r26_a_retry_withdraws_the_number_of_a_failure_and_gives_a_new_one(store: Store) -> None:
    ledger = await store.open(HOLD)
    await send(ledger, *packets(3))
    (zero, one, two) = await claim(ledger)
    await record(ledger, Failure(one.lease, "no"), Output(zero.lease, b"0"), Failure(two.lease, "no"))
    assert await numbers(ledger, after_seq=1) == [(2, 0), (3, 2)]
    await ledger.retry("r")
    assert await numbers(ledger) == [(2, 0)]
    assert await numbers(ledger, after_seq=3) == []
    ledger = await store.crash()
    await fail(ledger)
    await ledger.retry("r")
    await process(ledger)
    after = await ledger.outcomes("r", after_seq=3)
    assert sorted(one.seq for one in after.outcomes) == [6, 7]
    assert sorted(one.index for one in after.outcomes) == [1, 2]
    assert after.state is State.COLLATED


async def test_r26_numbers_go_on_over_an_unclean_stop(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(4))
    await record_in_order(ledger, [2])
    await record_in_order(await store.reopen(), [0])
    ledger = await store.crash()
    await record_in_order(ledger, [3])
    await process(ledger)
    assert await numbers(ledger) == [(1, 2), (2, 0), (3, 3), (4, 1)]


async def test_r26_each_resource_has_numbers_of_its_own(ledger: Ledger) -> None:
    await send(ledger, *packets(2, "a"), *packets(3, "b"))
    tasks = {(task.key.resource_id, task.key.index): task for task in await claim(ledger)}
    order = [("b", 2), ("a", 1), ("b", 0), ("a", 0), ("b", 1)]
    await record(ledger, *echo([tasks[key] for key in order]))
    assert await numbers(ledger, "a") == [(1, 1), (2, 0)]
    assert await numbers(ledger, "b") == [(1, 2), (2, 0), (3, 1)]


async def test_r26_what_is_dropped_has_no_number(ledger: Ledger) -> None:
    await send(ledger, *packets(2))
    (zero, one) = await claim(ledger)
    await record(ledger, Output(one.lease, b"1"))
    await record(ledger, Output(one.lease, b"again"))
    await ledger.cancel("r")
    await record(ledger, Output(zero.lease, b"late"))
    page = await ledger.outcomes("r")
    assert (page.outcomes, page.state) == ([OutcomeReport(1, 1, b"1")], State.CANCELLED)


async def test_r26_a_number_of_an_old_generation_does_not_apply_to_a_new_one(ledger: Ledger) -> None:
    await finish(ledger, "r", [b"0", b"1", b"2"])
    old = await ledger.outcomes("r", after_seq=3)
    await drain(ledger)
    await ledger.purge(limit=1_000, resource_id="r")
    with pytest.raises(Unknown):
        await ledger.outcomes("r", after_seq=3)
    await send(ledger, *packets(5))
    await record_in_order(ledger, [0])
    with pytest.raises(Conflict, match="opened again"):
        await ledger.outcomes("r", after_seq=3)
    await process(ledger)
    for look in (
        ledger.outcomes("r", after_seq=3, webhook_id=old.webhook_id),
        ledger.outputs("r", webhook_id=old.webhook_id),
    ):
        with pytest.raises(Conflict, match="opened again"):
            await look
    new = (await ledger.outcomes("r")).webhook_id
    assert len((await ledger.outcomes("r", after_seq=3, webhook_id=new)).outcomes) == 2


@pytest.mark.one_holder
async def test_r26_a_hint_comes_with_an_outcome_and_with_the_end(ledger: Ledger) -> None:
    """A hint that is missing costs its deadline, so that each is waited for."""
    await send(ledger, *packets(3), *packets(1, "other"))
    with ledger.hint("r") as hint:
        await record_in_order(ledger, [1])
        await asyncio.wait_for(hint.wait(), 10)
        hint.clear()
        await ledger.complete("r", force=True)
        await asyncio.wait_for(hint.wait(), 10)
    with ledger.hint("unknown") as hint:
        await ledger.complete("unknown", total=0)
        await asyncio.wait_for(hint.wait(), 10)


@pytest.mark.one_holder
async def test_r26_all_who_wait_are_hinted(ledger: Ledger) -> None:
    await send(ledger, *packets(2), *packets(2, "other"))
    with ledger.hint("r") as first:
        with ledger.hint("r") as second:
            await record(ledger, *echo([task for task in await claim(ledger) if task.key.resource_id == "r"][:1]))
            await asyncio.wait_for(asyncio.gather(first.wait(), second.wait()), 10)
        first.clear()
        await ledger.cancel("r")
        await asyncio.wait_for(first.wait(), 10)


@pytest.mark.one_holder
async def test_r13_an_end_by_time_is_hinted(store: Store) -> None:
    ledger = await store.open(LedgerLimits(idle_timeout=HOUR))
    await send(ledger, packet("r", 0))
    await process(ledger)
    await ledger.expire(accepting=True, limit=10, capacity={})
    store.clock.advance(HOUR + 1)
    with ledger.hint("r") as hint:
        await ledger.expire(accepting=True, limit=10, capacity={})
        await asyncio.wait_for(hint.wait(), 10)
