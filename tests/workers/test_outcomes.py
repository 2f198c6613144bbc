"""Outcomes: one for each packet, recorded once, whatever is lost, late, doubled or forged on the way."""

from __future__ import annotations

from collator.messages import Recorded
from collator.states import State
from tests.wait import until
from tests.workers.kinds import Kind, Terms
from tests.workers.node import LEASE, PATIENCE, Store, payload

COUNT = 20


async def test_p2_every_packet_has_one_outcome_and_its_own(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        names = ["a", "b", "c"]
        for number, name in enumerate(names):
            await node.send(name, *(payload(value=100 * number + index) for index in range(COUNT)))
        for number, name in enumerate(names):
            assert (await node.ended(name)).state is State.COLLATED
            assert await node.outputs(name) == {index: 100 * number + index for index in range(COUNT)}
        assert node.ledger.statuses == [Recorded.RECORDED] * 3 * COUNT
        assert sorted(node.begun()) == sorted(100 * number + index for number in range(3) for index in range(COUNT))
        assert len(node.outbox.taken) == 3


async def test_r27_a_call_that_fails_is_a_failure_of_its_packet_alone(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(retries=0)) as node:
        await node.send("a", payload(), payload("fail"), payload(), payload("no_json"), *[payload()] * COUNT)
        report = await node.ended("a")
        assert (report.state, report.done) == (State.INCOMPLETE, COUNT + 2)
        (raised, no_json) = report.failures
        assert (raised.index, no_json.index) == (1, 3)
        assert "no sound in it" in raised.reason
        assert no_json.reason.startswith("output: not JSON")


async def test_r27_a_call_that_failed_is_made_again_after_its_delay(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        await node.send("a", payload("fail", times=1))
        await until(lambda: node.ledger.statuses, PATIENCE)
        claims = node.ledger.claims
        await until(lambda: node.ledger.claims > claims + 2, PATIENCE)
        assert node.begun() == [0]
        node.clock.advance(2.0)
        assert (await node.ended("a")).state is State.COLLATED
        assert node.begun() == [0, 0]


async def test_r27_a_call_is_made_at_most_so_often(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(retries=1)) as node:
        await node.send("a", payload("fail"))
        await until(lambda: len(node.ledger.statuses) == 1, PATIENCE)
        node.clock.advance(2.0)
        report = await node.ended("a")
        assert [failure.attempts for failure in report.failures] == [2]
        assert node.begun() == [0, 0]


async def test_a_delivery_for_which_there_is_no_capacity_is_announced(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        node.outbox.room = 0
        await node.send("a", payload())
        await until(lambda: node.outbox.endpoints == {"default"}, PATIENCE)
        assert node.outbox.taken == []


# Between the workers and the ledger.


async def test_an_outcome_that_is_lost_on_its_way_is_recorded_later(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        node.ledger.lost_calls = 3
        await node.send("a", *[payload()] * 3)
        assert (await node.ended("a")).done == 3
        assert node.ledger.refused >= 3
        assert sorted(node.begun()) == [0, 1, 2]


async def test_an_outcome_that_comes_twice_counts_once_and_has_one_webhook(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        node.ledger.lost_replies = 1
        await node.send("a", payload())
        report = await node.ended("a")
        assert (report.state, report.done) == (State.COLLATED, 1)
        assert node.ledger.statuses == [Recorded.RECORDED] * 2  # the second time it is the answer of the first
        assert len(node.outbox.taken) == 1
        assert node.begun() == [0]


async def test_packets_of_which_the_workers_do_not_hear_are_handed_out_all_the_same(store: Store, kind: Kind) -> None:
    await store.backlog("a", *[payload()] * 3)
    async with store.node(kind) as node:
        node.ledger.lost_claims = 1
        assert (await node.ended("a")).done == 3
        assert sorted(node.begun()) == [0, 1, 2]


async def test_p2_a_late_outcome_changes_nothing(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(sweep=3600.0)) as node:  # or these workers might claim it again themselves
        await until(lambda: node.ledger.claims == 1, PATIENCE)
        await node.send("a", payload("wait", value=1))
        await until(node.begun, PATIENCE)
        assert await node.take_over(b"2") == [Recorded.RECORDED]
        node.open()
        await until(lambda: node.ledger.statuses, PATIENCE)
        assert {*node.ledger.statuses} <= {Recorded.LOST, Recorded.CLOSED}
        assert await node.outputs("a") == {0: 2}
        assert node.outbox.taken == []


async def test_p2_of_two_calls_for_a_packet_one_counts(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(concurrency=2)) as node:
        await node.send("a", payload("wait"))
        await until(node.begun, PATIENCE)
        node.clock.advance(LEASE + 1)
        await until(lambda: len(node.begun()) == 2, PATIENCE)
        node.open()
        assert (await node.ended("a")).done == 1
        await until(lambda: len(node.ledger.statuses) == 2, PATIENCE)
        assert node.ledger.statuses.count(Recorded.RECORDED) == 1
        assert len(node.outbox.taken) == 1


async def test_r12_the_outcome_of_a_resource_that_has_ended_changes_nothing(store: Store, kind: Kind) -> None:
    async with store.node(kind) as node:
        await node.send("a", payload("wait"))
        await until(node.begun, PATIENCE)
        await node.ledger.cancel("a")
        node.open()
        await until(lambda: node.ledger.statuses, PATIENCE)
        assert {*node.ledger.statuses} <= {Recorded.LOST, Recorded.CLOSED}
        assert (await node.ledger.resource("a")).state is State.CANCELLED
        assert node.outbox.taken == []


# Whose outcome it is.


async def test_r30_who_answers_for_others_is_not_heard(store: Store, forger: Kind) -> None:
    async with store.node(forger, Terms(retries=0, behaviour=forger.forgery)) as node:
        await node.send("before", *[payload()] * 100)  # of quick calls, several are sent at a time
        await node.ended("before")
        await node.send("a", payload("forge"), *[payload()] * (COUNT - 1))
        report = await node.ended("a")
        assert [failure.index for failure in report.failures] in ([], [0])
        outputs = await node.outputs("a")
        assert {**outputs, 0: 0} == {index: index for index in range(COUNT)}
