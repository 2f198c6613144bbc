"""Time: the wall clock is for people. Where it jumps, nothing fires early and nothing hangs (design, "Time")."""

from __future__ import annotations

import msgspec
import pytest

from collator.clock import rfc3339
from collator.messages import Retry
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from tests.conformance.steps import (
    again,
    claim,
    claim_one,
    drain,
    due,
    due_one,
    finish,
    packet,
    process,
    purge,
    record,
    send,
    webhook,
)
from tests.conformance.store import Store

TERMS = LedgerLimits(idle_timeout=100.0, deadline=200.0, retention=100.0, task_lease=30.0, delivery_lease=30.0)
YEAR = 365 * 86_400.0

jumps = pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["forward", "back"])


@pytest.mark.wall_jumps
@jumps
async def test_a_jump_of_the_wall_ends_no_lease_and_does_not_prolong_it(store: Store, jump: float) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "done")
    await send(ledger, packet("r", 0))
    await claim_one(ledger)
    await due_one(ledger)
    store.clock.jump_wall(jump)
    assert not await claim(ledger)
    assert not await due(ledger)
    store.clock.advance(31)
    assert len(await claim(ledger)) == 1
    assert len(await due(ledger)) == 1


@pytest.mark.wall_jumps
@jumps
async def test_a_jump_of_the_wall_makes_no_retry_due_and_delays_none(store: Store, jump: float) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "done")
    await send(ledger, packet("r", 0))
    await record(ledger, Retry((await claim_one(ledger)).lease, "busy", 60.0))
    await ledger.record_attempts([again(await due_one(ledger), 60.0)])
    store.clock.jump_wall(jump)
    store.clock.advance(59)
    assert not await claim(ledger)
    assert not await due(ledger)
    store.clock.advance(1)
    assert len(await claim(ledger)) == 1
    assert len(await due(ledger)) == 1


@pytest.mark.wall_jumps
@jumps
@pytest.mark.parametrize(
    "ledger_limits", [LedgerLimits(idle_timeout=100.0), LedgerLimits(idle_timeout=None, deadline=100.0)]
)
async def test_r13_r14_a_jump_of_the_wall_closes_nothing_and_keeps_nothing_open(
    store: Store, jump: float, ledger_limits: LedgerLimits
) -> None:
    ledger = await store.open(ledger_limits)
    await ledger.expire(accepting=True, limit=10, capacity={})
    await send(ledger, packet("r", 0))
    await process(ledger)
    store.clock.jump_wall(jump)
    store.clock.advance(99)
    assert (await ledger.expire(accepting=True, limit=10, capacity={})).closed == 0
    store.clock.advance(2)
    assert (await ledger.expire(accepting=True, limit=10, capacity={})).closed == 1


@pytest.mark.wall_jumps
@jumps
async def test_r25_a_jump_of_the_wall_purges_nothing_and_keeps_nothing(store: Store, jump: float) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger)
    await drain(ledger)
    store.clock.jump_wall(jump)
    store.clock.advance(99)
    assert await purge(ledger) == 0
    store.clock.advance(2)
    assert await purge(ledger) > 0


@pytest.mark.wall_jumps
async def test_a_wall_that_goes_back_between_two_processes_hangs_nothing(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "done")
    await send(ledger, packet("r", 0))
    await record(ledger, Retry((await claim_one(ledger)).lease, "busy", 60.0))
    await ledger.record_attempts([again(await due_one(ledger), 60.0)])
    store.clock.jump_wall(-YEAR)
    ledger = await store.reopen()
    assert not await claim(ledger)
    assert not await due(ledger)
    store.clock.advance(60)
    assert len(await claim(ledger)) == 1
    assert len(await due(ledger)) == 1


DAY = 86_400.0
JUMP = LedgerLimits(idle_timeout=None, deadline=200.0, retention=100.0, clock_jump=DAY)


async def _one_open_and_one_delivered(store: Store, ledger_limits: LedgerLimits) -> None:
    ledger = await store.open(ledger_limits)
    await finish(ledger, "delivered")
    await drain(ledger)
    await send(ledger, packet("open", 0))


async def _ended(ledger: Ledger) -> int:
    closed = (await ledger.expire(accepting=True, limit=10, capacity={})).closed
    return closed + await purge(ledger)


@pytest.mark.wall_jumps
@pytest.mark.parametrize("clean", [True, False])
async def test_p6_a_wall_that_is_far_ahead_at_a_start_ends_and_forgets_nothing(store: Store, *, clean: bool) -> None:
    await _one_open_and_one_delivered(store, JUMP)
    store.clock.jump_wall(40 * DAY)
    assert await _ended(await (store.reopen() if clean else store.crash())) == 0
    ledger = await (store.reopen() if clean else store.crash())  # at each start anew, until a person accepts it
    assert await _ended(ledger) == 0
    store.clock.advance(99)
    assert await _ended(ledger) == 0
    store.clock.advance(102)
    assert await _ended(ledger) == 2, "time goes on as ever"


@pytest.mark.wall_jumps
async def test_p6_a_wall_that_comes_back_has_changed_nothing(store: Store) -> None:
    await _one_open_and_one_delivered(store, JUMP)
    store.clock.jump_wall(40 * DAY)
    await store.reopen()
    store.clock.jump_wall(-40 * DAY)
    ledger = await store.reopen()
    store.clock.advance(99)
    assert await _ended(ledger) == 0
    store.clock.advance(102)
    assert await _ended(ledger) == 2


@pytest.mark.parametrize(
    ("ledger_limits", "down"), [(JUMP, DAY - 60.0), (msgspec.structs.replace(JUMP, clock_jump=None), YEAR)]
)
async def test_a_rest_that_is_expected_and_one_that_is_accepted_count(
    store: Store, ledger_limits: LedgerLimits, down: float
) -> None:
    await _one_open_and_one_delivered(store, ledger_limits)
    assert await _ended(await store.reopen(down=down)) == 2


@pytest.mark.wall_jumps
async def test_a_wall_that_goes_back_is_what_people_read(store: Store) -> None:
    ledger = await store.open(TERMS)
    store.clock.jump_wall(-YEAR)
    await send(ledger, packet("r", 0, last=True))
    opened = rfc3339(store.clock.wall())
    store.clock.advance(5)
    await process(ledger)
    report = await ledger.resource("r")
    assert (report.opened_at, report.closed_at) == (opened, rfc3339(store.clock.wall()))
    assert (await webhook(ledger))["timestamp"] == report.closed_at
