"""What workers do about what they hold: they keep it while they work on it, and know when it is theirs no longer."""

from __future__ import annotations

from collator.messages import Recorded
from tests.wait import until
from tests.workers.kinds import Kind, Terms
from tests.workers.node import LEASE, PATIENCE, Store, payload

QUICK = 0.03
"""Seconds of the real clock between three renewals."""


async def test_the_lease_of_a_long_call_is_renewed(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(lease=QUICK)) as node:
        await node.send("a", payload("wait"))
        await until(node.begun, PATIENCE)
        for _ in range(4):
            enough = node.ledger.renewed + 2
            await until(lambda: node.ledger.renewed >= enough, PATIENCE)  # noqa: B023 - over before the next round
            node.clock.advance(LEASE / 2 - 1)
        node.open()
        assert (await node.ended("a")).done == 1
        assert node.begun() == [0]
        assert node.ledger.statuses == [Recorded.RECORDED]


async def test_the_lease_of_an_outcome_that_the_store_does_not_take_is_renewed(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(lease=QUICK)) as node:
        node.ledger.lost_calls = 1_000_000
        await node.send("a", payload())
        await until(lambda: node.ledger.refused, PATIENCE)
        for _ in range(4):
            enough = node.ledger.renewed + 2
            await until(lambda: node.ledger.renewed >= enough, PATIENCE)  # noqa: B023 - over before the next round
            node.clock.advance(LEASE / 2 - 1)
        node.ledger.lost_calls = 0
        assert (await node.ended("a")).done == 1
        assert node.begun() == [0]
        assert node.ledger.statuses == [Recorded.RECORDED]


async def test_p1_while_the_store_is_away_nothing_is_lost_and_no_lease_runs_out(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(lease=QUICK)) as node:
        count = node.workers.capacity() + 4
        await node.send("a", *[payload("wait")] * count)
        await until(node.begun, PATIENCE)
        node.ledger.away = True
        node.open()
        refused = node.ledger.refused
        await until(lambda: node.ledger.refused > refused + 10, PATIENCE)
        store.stand_still(10 * LEASE)
        await until(lambda: node.ledger.refused > refused + 20, PATIENCE)
        node.ledger.away = False
        assert (await node.ended("a")).done == count
        assert sorted(node.begun()) == [*range(count)]
        assert {*node.ledger.statuses} == {Recorded.RECORDED}
