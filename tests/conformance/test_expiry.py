"""Resources that nobody finishes: the idle timeout (R13) and the deadline (R14)."""

from __future__ import annotations

import pytest

from collator.messages import Retry
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
    packet,
    process,
    record,
    send,
    webhook,
)
from tests.conformance.store import Store

IDLE = LedgerLimits(idle_timeout=100.0, task_lease=10_000.0)


async def expire(ledger: Ledger, *, accepting: bool = True) -> int:
    """Close what has timed out: how many resources."""
    return (await ledger.expire(accepting=accepting, limit=PLENTY, capacity={})).closed


async def start(store: Store, ledger_limits: LedgerLimits = IDLE) -> Ledger:
    """A service that has just begun to look for silence."""
    ledger = await store.open(ledger_limits)
    assert await expire(ledger) == 0
    return ledger


async def test_r13_silence_closes_as_incomplete(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0), packet("r", 2))
    await process(ledger)
    store.clock.advance(99)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1
    report = await ledger.resource("r")
    assert (report.state, report.completed_by) == (State.INCOMPLETE, EndedBy.IDLE_TIMEOUT)
    said = await webhook(ledger)
    assert (said["type"], said["data"]["completed_by"]) == ("resource.incomplete", "idle_timeout")


@pytest.mark.parametrize("before", [None, 100_000.0, 1.0])
async def test_r13_a_timeout_that_was_changed_holds_for_what_is_open(store: Store, before: float | None) -> None:
    ledger = await start(store, LedgerLimits(idle_timeout=before))
    await send(ledger, packet("r", 0))
    await process(ledger)
    await store.stop_all()
    ledger = await start(store)
    store.clock.advance(99)
    assert await expire(ledger) == 0
    store.clock.advance(102)
    assert await expire(ledger) == 1


async def test_r13_those_who_spoke_keep_none_who_is_silent_waiting(store: Store) -> None:
    ledger = await start(store)
    busy = [f"busy{number}" for number in range(20)]
    await send(ledger, *(packet(resource_id, 0) for resource_id in [*busy, "silent"]))
    await process(ledger)
    store.clock.advance(60)
    await send(ledger, *(packet(resource_id, 1) for resource_id in busy))
    await process(ledger)
    store.clock.advance(41)
    asked, closed, more = 0, 0, True
    while more:
        outcome = await ledger.expire(accepting=True, limit=5, capacity={})
        asked, closed, more = asked + 1, closed + outcome.closed, outcome.more
        assert asked < 100
    assert closed == 1
    assert (await ledger.resource("silent")).state is State.INCOMPLETE


async def test_r13_silence_without_gaps_is_incomplete_too_as_the_total_is_unknown(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0), packet("r", 1))
    await process(ledger)
    store.clock.advance(101)
    assert await expire(ledger) == 1
    assert (await ledger.resource("r")).state is State.INCOMPLETE


async def test_r13_it_runs_from_the_last_accepted_packet(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0, last=False))
    await process(ledger)
    for index in range(1, 5):
        store.clock.advance(90)
        assert await expire(ledger) == 0
        await send(ledger, packet("r", index))
        await record(ledger, *echo(await claim(ledger)))
    store.clock.advance(101)
    assert await expire(ledger) == 1


async def test_r13_it_runs_from_the_last_outcome(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0))
    task = await claim_one(ledger)
    store.clock.advance(500)
    await record(ledger, *echo([task]))
    store.clock.advance(99)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1


@pytest.mark.parametrize("stage", ["waiting", "leased", "retry"])
async def test_r13_an_unprocessed_packet_stops_it(store: Store, stage: str) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0), packet("r", 5))
    tasks = await claim(ledger, 1)
    await record(ledger, *echo(tasks))
    held = [] if stage == "waiting" else await claim(ledger)
    if stage == "retry":
        await record(ledger, Retry(held[0].lease, "busy", 5_000.0))
    store.clock.advance(1_000)
    assert await expire(ledger) == 0


async def test_r13_a_failed_packet_does_not_stop_it(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0), packet("r", 2, last=True))
    await fail(ledger)
    store.clock.advance(101)
    assert await expire(ledger) == 1
    data = (await webhook(ledger))["data"]
    assert (data["total"], data["missing"], len(data["failed"])) == (3, [[1, 1]], 2)


async def test_r13_it_does_not_run_where_no_packet_is_missing(store: Store) -> None:
    ledger = await start(store, LedgerLimits(idle_timeout=100.0, on_failure=OnFailure.HOLD))
    await send(ledger, packet("r", 0, last=True))
    await fail(ledger)
    store.clock.advance(1_000)
    assert await expire(ledger) == 0
    assert (await ledger.resource("r")).state is State.OPEN


async def test_r13_it_does_not_run_while_the_service_refuses(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(60)
    assert await expire(ledger) == 0
    store.clock.advance(1_000)
    assert await expire(ledger, accepting=False) == 0
    assert await expire(ledger) == 0
    store.clock.advance(39)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1


async def test_r13_it_does_not_run_while_packets_are_refused(store: Store) -> None:
    ledger = await start(store, LedgerLimits(idle_timeout=100.0, max_backlog=1500))
    await send(ledger, packet("r", 0))
    await process(ledger)
    await send(ledger, packet("big", 0, b'"%s"' % (b"x" * 1000)))
    store.clock.advance(60)
    assert await send(ledger, packet("r", 1, b'"%s"' % (b"x" * 500))) == [Status.REFUSED]
    store.clock.advance(60)
    assert await expire(ledger) == 0
    store.clock.advance(99)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1


async def test_r13_it_has_not_run_where_packets_were_refused_before_a_stop(store: Store) -> None:
    ledger = await start(store, LedgerLimits(idle_timeout=100.0, max_backlog=1500))
    await send(ledger, packet("r", 0))
    await process(ledger)
    await send(ledger, packet("big", 0, b'"%s"' % (b"x" * 1000)))
    store.clock.advance(60)
    assert await send(ledger, packet("r", 1, b'"%s"' % (b"x" * 500))) == [Status.REFUSED]
    ledger = await store.reopen()
    store.clock.advance(99)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1


async def test_r13_it_has_not_run_while_the_service_refused_before_a_crash(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(90)
    await send(ledger, packet("s", 0))  # nobody knows yet whether the time until here counts
    assert await expire(ledger, accepting=False) == 0
    ledger = await store.crash()
    assert await expire(ledger) == 0
    store.clock.advance(20)
    assert await expire(ledger) == 0


@pytest.mark.parametrize("stop", ["clean", "unclean"])
async def test_r13_downtime_does_not_count(store: Store, stop: str) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(60)
    assert await expire(ledger) == 0
    ledger = await (store.reopen if stop == "clean" else store.crash)(down=100_000.0)
    assert await expire(ledger) == 0
    store.clock.advance(39)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1


async def test_r13_a_resource_opened_after_a_pause_has_all_of_its_time(store: Store) -> None:
    ledger = await start(store)
    store.clock.advance(1_000)
    await expire(ledger, accepting=False)
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(99)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1


async def test_r13_a_retry_of_nothing_starts_nothing_anew(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(60)
    await expire(ledger)
    assert not await ledger.retry("r")
    store.clock.advance(41)
    assert await expire(ledger) == 1


async def test_r13_a_repeat_starts_nothing_anew(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(60)
    await expire(ledger)
    assert await send(ledger, packet("r", 0), packet("r", 0, b"9")) == [Status.DUPLICATE, Status.CONFLICT]
    store.clock.advance(41)
    assert await expire(ledger) == 1


async def test_r13_can_be_off(store: Store) -> None:
    ledger = await start(store, LedgerLimits(idle_timeout=None))
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(10_000_000)
    assert await expire(ledger) == 0


async def test_r14_the_deadline_closes_whatever_is_there(store: Store) -> None:
    ledger = await start(store, LedgerLimits(deadline=200.0, idle_timeout=None))
    await send(ledger, packet("r", 0), packet("r", 1), packet("r", 4))
    await record(ledger, *echo(await claim(ledger, 1)))
    store.clock.advance(199)
    assert await expire(ledger) == 0
    store.clock.advance(2)
    assert await expire(ledger) == 1
    data = (await webhook(ledger))["data"]
    assert (data["completed_by"], data["partial"]) == ("deadline", [{"index": 0, "output": 0}])
    assert (data["missing"], data["unfinished"]) == ([[2, 3]], [[1, 1], [4, 4]])
    assert not await claim(ledger)


async def test_r14_the_deadline_is_absolute(store: Store) -> None:
    ledger = await start(store, LedgerLimits(deadline=200.0, idle_timeout=150.0))
    await send(ledger, packet("r", 0))
    store.clock.advance(100)
    await send(ledger, packet("r", 1))
    await process(ledger)
    store.clock.advance(99)
    assert await expire(ledger, accepting=False) == 0
    store.clock.advance(2)
    assert await expire(ledger, accepting=False) == 1
    assert (await ledger.resource("r")).completed_by is EndedBy.DEADLINE


async def test_r14_the_deadline_passes_in_downtime(store: Store) -> None:
    ledger = await start(store, LedgerLimits(deadline=200.0, idle_timeout=None))
    await send(ledger, packet("r", 0))
    ledger = await store.reopen(down=201.0)
    assert await expire(ledger) == 1


async def test_r14_the_deadline_ends_a_hold(store: Store) -> None:
    ledger = await start(store, LedgerLimits(deadline=200.0, on_failure=OnFailure.HOLD))
    await send(ledger, packet("r", 0, last=True))
    await fail(ledger)
    store.clock.advance(201)
    assert await expire(ledger) == 1
    assert (await ledger.resource("r")).completed_by is EndedBy.DEADLINE


async def test_r14_is_off_by_default(store: Store) -> None:
    ledger = await start(store, LedgerLimits(idle_timeout=None))
    await send(ledger, packet("r", 0))
    store.clock.advance(10_000_000)
    assert await expire(ledger) == 0


async def test_r12_a_packet_that_came_first_wins(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.advance(101)
    assert await send(ledger, packet("r", 1)) == [Status.ACCEPTED]
    assert await expire(ledger) == 0


async def test_expire_keeps_to_its_limit_and_comes_to_an_end(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, *(packet(name, 0) for name in "abcde"), packet("young", 0))
    store.clock.advance(50)
    await process(ledger)
    store.clock.advance(99)
    await send(ledger, packet("young", 1))
    await process(ledger)
    store.clock.advance(2)
    closed = [(await ledger.expire(accepting=True, limit=2, capacity={})).closed for _ in range(4)]
    assert closed == [2, 2, 1, 0]
    assert (await ledger.counts()).open == 1


@pytest.mark.one_ledger("each ledger has a share of the capacity, whether it can use it or not")
async def test_expire_hands_out_deliveries_within_the_room(store: Store) -> None:
    ledger = await start(store)
    await send(ledger, *(packet(name, 0) for name in "abc"))
    await process(ledger)
    store.clock.advance(101)
    outcome = await ledger.expire(accepting=True, limit=10, capacity={"default": 2})
    assert (len(outcome.deliveries), *outcome.endpoints, outcome.closed) == (2, "default", 3)
    assert len(await due(ledger)) == 1


async def test_expire_leaves_what_has_ended_alone(store: Store) -> None:
    ledger = await start(store, LedgerLimits(idle_timeout=100.0, deadline=300.0))
    await send(ledger, packet("cancelled", 0), packet("forced", 0))
    await ledger.cancel("cancelled")
    await ledger.complete("forced", force=True)
    store.clock.advance(1_000)
    assert await expire(ledger) == 0
