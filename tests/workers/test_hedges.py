"""Hedges: a packet whose call takes long is called for once more, and has one outcome all the same."""

from __future__ import annotations

from collator.messages import Recorded
from collator.states import State
from collator.workers.hedges import FIRST_CALLS
from tests.wait import until
from tests.workers.kinds import Kind, Terms
from tests.workers.node import PATIENCE, Store, payload

COUNT = FIRST_CALLS - 1
"""Packets that are quick: enough for a quantile, and with the next one for a hedge."""


async def test_r27_a_call_that_does_not_end_holds_up_no_resource(store: Store, hedger: Kind) -> None:
    async with store.node(hedger, Terms(concurrency=4, hedge=0.5)) as node:
        await node.send("a", *[payload()] * COUNT)
        await node.ended("a")
        await node.send("b", payload("wait", times=1, value=COUNT))  # the gate stays shut
        assert (await node.ended("b")).state is State.COLLATED
        assert await node.outputs("b") == {0: COUNT}
        assert node.begun().count(COUNT) == 2
        assert node.ledger.statuses == [Recorded.RECORDED] * (COUNT + 1)
        assert len(node.outbox.taken) == 2


async def test_r27_without_a_budget_there_is_no_second_call(store: Store, hedger: Kind) -> None:
    async with store.node(hedger, Terms(concurrency=4, hedge=0.5)) as node:
        await node.send("a", *[payload()] * (COUNT // 2))
        await node.ended("a")
        await node.send("b", payload("wait", value=COUNT), last=False)
        await node.send("c", *[payload()] * (COUNT // 4))
        await node.ended("c")
        node.open()
        await node.send("b", payload(), first=1)
        assert (await node.ended("b")).state is State.COLLATED
        assert node.begun().count(COUNT) == 1


async def test_p7_a_drain_gives_a_packet_of_two_calls_back_once_and_counts_no_attempt(
    store: Store, hedger: Kind
) -> None:
    async with store.node(hedger, Terms(concurrency=4, hedge=0.5)) as node:
        await node.send("a", *[payload()] * COUNT)
        await node.ended("a")
        await node.send("b", payload("wait", value=COUNT))
        await until(lambda: node.begun().count(COUNT) == 2, PATIENCE)
        await node.workers.drain(0.05)
        assert node.ledger.held == set()
        assert await node.due() == [(0, 1)]
