"""Work handed out: what is due, in which order, to whom, and for how long."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from collator.messages import Batch, Failure, Lease, Output, Recorded, Result, Retry, Task, tasks_of
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from tests.conformance.steps import (
    PLENTY,
    claim,
    claim_one,
    due,
    echo,
    finish,
    outputs,
    packet,
    packets,
    places,
    process,
    record,
    send,
)
from tests.conformance.store import Store

LEASE = LedgerLimits(task_lease=30.0)


async def test_claim_leases_a_packet_to_one_only(ledger: Ledger) -> None:
    await send(ledger, *packets(5))
    first, second = await claim(ledger, capacity=3), await claim(ledger, capacity=3)
    assert sorted(places([*first, *second])) == [("r", index) for index in range(5)]
    assert len({task.lease for task in [*first, *second]}) == 5
    assert not await claim(ledger)


@pytest.mark.parametrize("capacity", [0, 1, 4])
async def test_claim_keeps_to_the_room(ledger: Ledger, capacity: int) -> None:
    await send(ledger, *packets(3))
    assert len(await claim(ledger, capacity)) == min(capacity, 3)


@pytest.mark.parametrize("capacity", range(1, 10))
async def test_claim_keeps_to_the_room_among_resources(ledger: Ledger, capacity: int) -> None:
    await send(ledger, *(one for name in "abc" for one in packets(3, name)))
    seen: list[tuple[str, int]] = []
    while tasks := await claim(ledger, capacity):
        assert len(tasks) <= capacity
        seen += places(tasks)
    assert sorted(seen) == [(name, index) for name in "abc" for index in range(3)]


async def test_claim_gives_the_payload_byte_for_byte(ledger: Ledger) -> None:
    payload = '{"text" :  "Zoë\\n\\u0041", "n": [1.0, 1e2, -0, 12345678901234567890123]}'.encode()
    await send(ledger, packet("r", 0, payload))
    assert (await claim_one(ledger)).payload == payload


async def test_claim_gives_nothing_of_a_resource_that_has_ended(ledger: Ledger) -> None:
    await send(ledger, packet("forced", 1), packet("cancelled", 0), packet("open", 0))
    await ledger.complete("forced", force=True)
    await ledger.cancel("cancelled")
    assert places(await claim(ledger)) == [("open", 0)]


async def test_claim_is_fair_one_packet_does_not_wait_for_thousands(ledger: Ledger) -> None:
    await send(ledger, *packets(20_000, "big", last=False))
    await send(ledger, packet("small", 0))
    seen = [await claim(ledger, capacity=200) for _ in range(10)]
    assert "small" in {task.key.resource_id for tasks in seen for task in tasks}


@pytest.mark.parametrize("capacity", [1, 2, 7])
async def test_claim_is_fair_to_all_though_it_has_little_room(ledger: Ledger, capacity: int) -> None:
    names = [f"r{number:02}" for number in range(20)]
    for name in names:
        await send(ledger, *packets(100, name, last=False))
    seen: list[tuple[str, int]] = []
    while len(seen) < 200:
        seen += places(await claim(ledger, capacity))
    turns = Counter(name for name, _ in seen)
    assert sorted(turns) == names
    assert max(turns.values()) <= 4 * min(turns.values())


async def test_claim_is_fair_to_packets_that_come_while_others_are_in_work(ledger: Ledger) -> None:
    accepted = await ledger.accept(Batch(packets(10_000, "big", last=False)).groups, capacity=100)
    assert len(tasks_of(accepted.runs)) == 100
    assert not tasks_of((await ledger.accept(Batch([packet("small", 0)]).groups, capacity=100)).runs)
    seen = [await claim(ledger, capacity=200) for _ in range(10)]
    assert "small" in {task.key.resource_id for tasks in seen for task in tasks}


async def test_claim_is_fair_resources_take_turns(ledger: Ledger) -> None:
    names = [f"r{number}" for number in range(10)]
    for name in names:
        await send(ledger, *packets(500, name, last=False))
    turns: Counter[str] = Counter()
    for _ in range(25):
        turns.update(task.key.resource_id for task in await claim(ledger, capacity=100))
    assert sorted(turns) == names
    assert min(turns.values()) >= 100


async def test_claim_is_fair_nobody_is_served_twice_before_all_others_once(ledger: Ledger) -> None:
    names = sorted(f"r{number}" for number in range(12))
    await send(ledger, *(packet(name, index) for name in names for index in range(3)))
    served = [name for _ in range(3) for name, _ in places(await claim(ledger, capacity=4))]
    assert sorted(served) == names


async def test_claim_fairness_starves_nobody(ledger: Ledger) -> None:
    await send(ledger, *packets(300, "big", last=False), *(packet(f"r{number}", 0) for number in range(300)))
    seen: list[tuple[str, int]] = []
    while tasks := await claim(ledger, capacity=70):
        seen += places(tasks)
    assert len(seen) == len(set(seen)) == 600


async def test_p2_a_lease_that_has_ended_is_claimed_by_another(store: Store) -> None:
    ledger = await store.open(LEASE)
    await send(ledger, packet("r", 0, last=True))
    lost = await claim_one(ledger)
    store.clock.advance(29)
    assert not await claim(ledger)
    store.clock.advance(2)
    held = await claim_one(ledger)
    assert held.lease != lost.lease
    assert await record(ledger, Output(lost.lease, b'"late"')) == [Recorded.LOST]
    assert await record(ledger, Output(held.lease, b'"right"')) == [Recorded.RECORDED]
    assert [output for _, output in await outputs(ledger, "r")] == [b'"right"']


async def test_p2_a_lease_from_accept_ends_like_any_other(store: Store) -> None:
    ledger = await store.open(LEASE)
    (lost,) = tasks_of((await ledger.accept(Batch([packet("r", 0)]).groups, capacity=1)).runs)
    store.clock.advance(31)
    held = await claim_one(ledger)
    assert held.lease != lost.lease
    assert await record(ledger, Failure(lost.lease, "late")) == [Recorded.LOST]


async def test_p2_a_lost_lease_has_used_up_its_attempt(store: Store) -> None:
    ledger = await store.open(LEASE)
    await send(ledger, packet("r", 0))
    attempts = []
    for _ in range(3):
        attempts.append((await claim_one(ledger)).attempt)
        store.clock.advance(31)
    assert attempts == [1, 2, 3]


async def test_renew_prolongs_a_lease_from_now(store: Store) -> None:
    ledger = await store.open(LEASE)
    await send(ledger, packet("r", 0))
    task = await claim_one(ledger)
    for _ in range(4):
        store.clock.advance(20)
        assert await ledger.renew([task.lease]) == [True]
    store.clock.advance(29)
    assert not await claim(ledger)
    store.clock.advance(2)
    assert (await claim_one(ledger)).lease != task.lease


async def test_renew_says_which_leases_are_no_longer_held(ledger: Ledger) -> None:
    await send(ledger, *packets(3))
    done, held, given_back = await claim(ledger)
    await record(ledger, Output(done.lease, b"1"))
    await ledger.release([given_back.lease])
    assert await ledger.renew([done.lease, held.lease, given_back.lease, Lease(0, 2**40)]) == [
        False,
        True,
        False,
        False,
    ]


async def test_release_makes_due_at_once_and_uses_up_no_attempt(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0))
    given_back = []
    for _ in range(3):
        task = await claim_one(ledger)
        assert task.attempt == 1
        await ledger.release([task.lease, Lease(0, 2**40)])
        given_back.append(task)
    assert await record(ledger, *echo(given_back)) == [Recorded.LOST] * 3


async def test_release_gives_back_deliveries_too(ledger: Ledger) -> None:
    await finish(ledger)
    for _ in range(3):
        (delivery,) = await due(ledger)
        assert (delivery.attempt, delivery.step) == (1, 0)
        await ledger.release([delivery.lease])


async def test_release_of_what_is_no_longer_held_changes_nothing(store: Store) -> None:
    ledger = await store.open(LEASE)
    await send(ledger, packet("r", 0), packet("r", 1))
    done, lost = await claim(ledger)
    await record(ledger, Output(done.lease, b"1"))
    store.clock.advance(31)
    held = await claim_one(ledger)
    await ledger.release([done.lease, lost.lease])
    assert not await claim(ledger)
    assert await ledger.renew([held.lease]) == [True]


async def test_work_is_due_while_a_packet_waits_that_nobody_holds(store: Store) -> None:
    ledger = await store.open(LEASE)
    assert not await ledger.work_due()
    assert (await ledger.accept(Batch([packet("r", 0), packet("r", 1)]).groups, capacity=0)).waiting == 2
    assert await ledger.work_due()
    first, _ = await claim(ledger)
    assert not await ledger.work_due()
    await record(ledger, Retry(first.lease, "busy", 10.0))
    store.clock.advance(9)
    assert not await ledger.work_due()
    store.clock.advance(1)
    assert await ledger.work_due()
    await claim_one(ledger)
    store.clock.advance(21)
    assert await ledger.work_due()
    await process(ledger)


async def test_a_claim_gives_the_packets_of_a_resource_as_one_run(ledger: Ledger) -> None:
    await send(ledger, *packets(3, "a"), *packets(2, "b", last=False), packet("b", 7))
    runs = await ledger.claim(capacity=PLENTY)
    assert sorted((run.resource_id, [*run.indexes]) for run in runs) == [
        ("a", [0, 1, 2]),
        ("b", [0, 1, 7]),
    ]
    leases = [lease for run in runs for lease in run.leases()]
    assert len({*leases}) == 6
    assert await ledger.renew(leases) == [True] * 6


async def test_each_packet_of_a_run_has_an_outcome_of_its_own(ledger: Ledger) -> None:
    await send(ledger, *packets(4))
    (run,) = await ledger.claim(capacity=PLENTY)
    done, again, back, failed = run.leases()
    results: list[Result] = [Output(done, b"0"), Retry(again, "busy", 60.0), Failure(failed, "no")]
    assert await record(ledger, *results) == [Recorded.RECORDED] * 3
    assert await ledger.renew(run.leases()) == [False, False, True, False]
    await ledger.release([back])
    assert await record(ledger, *results) == [Recorded.LOST] * 3
    assert places(await claim(ledger)) == [("r", 2)]


@pytest.mark.one_holder
async def test_p5_large_packets_are_handed_out_in_as_many_claims_as_it_takes(store: Store) -> None:
    """Each gives some, until as many bytes are out as may be; the rest comes as they come back."""
    ledger = await store.open(LedgerLimits(max_leased=9_000_000))
    large = b'"%s"' % (b"x" * 899_998)
    await send(ledger, *(packet("r", index, large, last=index == 13) for index in range(14)))
    tasks: list[Task] = []
    while some := await claim(ledger):
        tasks += some
    assert sorted(task.key.index for task in tasks) == [*range(10)]
    assert {task.payload for task in tasks} == {large}
    assert set(await record(ledger, *echo(tasks))) == {Recorded.RECORDED}
    while some := await claim(ledger):
        assert set(await record(ledger, *echo(some))) == {Recorded.RECORDED}
    assert (await ledger.resource("r")).done == 14


async def test_p5_large_outputs_that_come_at_once_are_each_recorded_once(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(16))
    tasks = await claim(ledger)
    large = b'"%s"' % (b"\xc3\xb6" * 400_000)
    calls = [record(ledger, Output(task.lease, large)) for task in tasks]
    assert await asyncio.gather(*calls) == [[Recorded.RECORDED]] * 16
    ledger = await store.crash()
    page = await ledger.outputs("r")
    assert [outcome.output == large for outcome in page.outcomes] == [True] * 16
