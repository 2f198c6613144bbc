"""A packet that kills its holder fails after `LedgerLimits.max_deaths` deaths, and takes no other with it (P7).

A death counts for a packet that its holder had in work alone, whichever node has it next.
"""

from __future__ import annotations

from collator.messages import Batch, Recorded
from collator.rules.resource import LedgerLimits
from collator.states import State
from tests.conformance.steps import (
    claim,
    claim_one,
    echo,
    packet,
    packets,
    places,
    process,
    record,
    send,
    webhook,
)
from tests.conformance.store import Store


async def test_three_deaths_make_a_packet_fail_and_say_so(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0, last=True))
    for _ in range(3):
        await claim_one(ledger)
        ledger = await store.crash()
    assert not await claim(ledger)
    data = (await webhook(ledger))["data"]
    assert [failure["index"] for failure in data["failed"]] == [0]
    assert "died" in data["failed"][0]["reason"]
    assert (await ledger.resource("r")).state is State.INCOMPLETE
    assert (await ledger.counts()).waiting == 0


async def test_two_deaths_do_not(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0, last=True))
    for _ in range(2):
        await claim_one(ledger)
        ledger = await store.crash()
    await process(ledger)
    assert (await ledger.resource("r")).state is State.COLLATED


async def test_the_number_of_deaths_is_a_limit(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=1))
    await ledger.accept(Batch(packets(1)).groups, capacity=1)
    ledger = await store.crash()
    assert not await claim(ledger)
    assert (await ledger.resource("r")).state is State.INCOMPLETE


async def test_r13_a_failure_that_a_start_finds_is_heard_of_at_the_start(store: Store) -> None:
    """The time of the outage before was added to it, and the idle timeout came so much later."""
    limits = LedgerLimits(max_deaths=1, idle_timeout=100)
    ledger = await store.open(limits)
    await ledger.expire(accepting=True, limit=1, capacity={})
    await ledger.accept(Batch([packet("r", 0)]).groups, capacity=1)
    ledger = await store.crash(down=60)
    await ledger.expire(accepting=True, limit=1, capacity={})
    store.clock.advance(111)  # an unclean stop may forget up to 10 s
    assert (await ledger.expire(accepting=True, limit=1, capacity={})).closed == 1


async def test_packets_that_were_in_work_together_count_no_death(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=1))
    await ledger.accept(Batch(packets(2)).groups, capacity=2)
    ledger = await store.crash()
    await process(ledger)
    await process(ledger)
    assert (await ledger.resource("r")).state is State.COLLATED


async def test_a_death_is_blamed_only_on_a_packet_that_was_in_work_alone(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=1))
    await ledger.accept(Batch(packets(3)).groups, capacity=3)
    ledger = await store.crash()
    await record(ledger, *echo([await claim_one(ledger)]))
    culprit = await claim_one(ledger)
    ledger = await store.crash()
    await process(ledger)
    data = (await webhook(ledger))["data"]
    assert [failure["index"] for failure in data["failed"]] == [culprit.key.index]
    assert len(data["partial"]) == 2


async def test_packets_that_were_not_in_work_count_no_death(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(3))
    for _ in range(4):
        ledger = await store.crash()
    assert len(await claim(ledger)) == 3


async def test_packets_that_had_their_outcome_count_no_death(store: Store) -> None:
    ledger = await store.open()
    for index in range(4):
        await send(ledger, packet("r", index, last=index == 3))
        await process(ledger)
        ledger = await store.crash()
    assert (await webhook(ledger))["data"]["outputs"] == [0, 1, 2, 3]


async def test_packets_that_were_given_back_are_not_suspect(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_deaths=1))
    await send(ledger, *packets(2))
    await ledger.release([task.lease for task in await claim(ledger)])
    ledger = await store.crash()
    assert len(await claim(ledger)) == 2


async def test_only_the_culprit_fails(store: Store) -> None:
    ledger = await store.open()
    await ledger.accept(Batch(packets(5)).groups, capacity=5)
    ledger = await store.crash()
    for _ in range(20):
        tasks = await claim(ledger)
        if not tasks:
            break
        if 3 in {task.key.index for task in tasks}:
            ledger = await store.crash()
        else:
            await record(ledger, *echo(tasks))
    data = (await webhook(ledger))["data"]
    assert [failure["index"] for failure in data["failed"]] == [3]
    assert [item["index"] for item in data["partial"]] == [0, 1, 2, 4]


async def test_where_calls_are_made_elsewhere_the_first_deaths_are_on_nobodys_account(store: Store) -> None:
    ledger = await store.open(LedgerLimits(side_by_side=2, max_deaths=2))
    await ledger.accept(Batch([packet("r", 0, last=True)]).groups, capacity=1)
    for _ in range(3):
        ledger = await store.crash()
        await claim_one(ledger)
    ledger = await store.crash()  # at the third and the fourth it was alone
    assert (await ledger.resource("r")).state is State.INCOMPLETE


async def test_p2_a_suspect_that_is_given_back_is_handed_out_once_more_and_no_more(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0), packet("s", 0))
    await claim(ledger)
    ledger = await store.crash()
    suspect = await claim_one(ledger)
    await ledger.release([suspect.lease])
    recorded = []
    while tasks := await claim(ledger):
        assert await record(ledger, *echo(tasks)) == [Recorded.RECORDED] * len(tasks)
        recorded += places(tasks)
    assert sorted(recorded) == [("r", 0), ("s", 0)]
