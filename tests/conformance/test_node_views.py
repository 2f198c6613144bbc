"""What a person can see of the nodes: who has the ledger open, and what each holds."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

import pytest

from collator import __version__
from collator.seams.ledger import Ledger
from tests.conformance.steps import claim, packets, send
from tests.conformance.store import Store


async def test_a_node_tells_who_it_is_and_what_it_holds(ledger: Ledger) -> None:
    await send(ledger, *packets(3))
    await claim(ledger, 2)
    (node,) = [node for node in await ledger.nodes() if node.leased]
    assert (node.leased, node.version, node.name) == (2, __version__, f"{platform.node()}:{os.getpid()}")
    assert 0.0 <= node.beat < 60.0
    assert datetime.fromisoformat(node.since).tzinfo is UTC


@pytest.mark.two_nodes
async def test_nodes_see_each_other_from_their_start_to_their_end(store: Store) -> None:
    first, second = await store.open_nodes(2)
    seen = await first.nodes()
    assert [node.here for node in seen] == [True, False]
    assert [node.here for node in await second.nodes()] == [False, True]
    assert [node.id for node in await second.nodes(limit=1)] == [seen[0].id]
    await store.stop(first)
    assert [node.id for node in await second.nodes()] == [seen[1].id]
    (third,) = await store.open_nodes(1)
    await store.kill(second)
    await third.expire(accepting=True, limit=10, capacity={})
    assert await third.work_due() is False
    assert [node.here for node in await third.nodes()] == [True]


@pytest.mark.two_nodes
async def test_a_node_that_others_took_for_dead_and_beats_again_has_its_name(store: Store) -> None:
    first, second = await store.open_nodes(2)
    before = {node.id: node.name for node in await first.nodes()}
    store.clock.advance(31)
    await second.expire(accepting=True, limit=10, capacity={})
    await second.work_due()
    await first.expire(accepting=True, limit=10, capacity={})
    assert {node.id: node.name for node in await first.nodes()} == before
