"""Calls that do not end by themselves: a worker that dies or hangs, and one that vanishes with all that it holds."""

from __future__ import annotations

import os
import signal

import pytest

from collator.states import State
from tests.wait import until
from tests.workers.kinds import Kind, Terms
from tests.workers.node import LEASE, PATIENCE, Store, payload

SHORT = 0.3
"""Seconds that a call may take."""


async def test_the_packet_of_a_worker_that_dies_is_processed_again(store: Store, mortal: Kind) -> None:
    async with store.node(mortal) as node:
        await node.send("a", payload(), payload("die", times=1), *[payload()] * 3)
        await until(lambda: len(node.ledger.statuses) == 5, PATIENCE)
        node.clock.advance(2.0)
        assert (await node.ended("a")).state is State.COLLATED
        assert sorted(node.begun()) == [0, 1, 1, 2, 3, 4]


async def test_r27_a_packet_that_kills_its_worker_has_failed_at_last_and_no_other(store: Store, mortal: Kind) -> None:
    async with store.node(mortal, Terms(retries=1)) as node:
        await node.send("a", payload(), payload("die"), *[payload()] * 3)
        await until(lambda: len(node.ledger.statuses) == 5, PATIENCE)
        node.clock.advance(2.0)
        report = await node.ended("a")
        assert [(failure.index, failure.attempts) for failure in report.failures] == [(1, 2)]
        assert report.failures[0].reason == "the process ended with exit code 7"
        assert await node.outputs("a") == {0: 0, 2: 2, 3: 3, 4: 4}
        assert sorted(node.begun()) == [0, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_packet_of_a_worker_that_is_killed_or_stopped_is_processed_again(
    store: Store, mortal: Kind, number: signal.Signals
) -> None:
    async with store.node(mortal, Terms(timeout=1.0)) as node:
        await node.send("a", payload("wait", times=1))
        await until(node.begun, PATIENCE)
        os.kill(node.process_of(0), number)
        await until(lambda: node.ledger.statuses, PATIENCE)
        node.clock.advance(2.0)
        assert (await node.ended("a")).state is State.COLLATED
        assert node.begun() == [0, 0]


async def test_a_call_that_hangs_holds_up_nobody_and_is_made_again(store: Store, kind: Kind) -> None:
    async with store.node(kind, Terms(concurrency=2, timeout=SHORT)) as node:
        await node.send("hangs", payload("wait", times=1, value=1000))
        await until(node.begun, PATIENCE)
        await node.send("others", *[payload()] * 10)
        assert (await node.ended("others")).state is State.COLLATED
        await until(lambda: len(node.ledger.statuses) == 11, PATIENCE)
        node.clock.advance(2.0)
        assert (await node.ended("hangs")).state is State.COLLATED
        assert node.begun().count(1000) == 2


async def test_r27_a_call_that_is_out_of_time_has_failed_at_last_and_what_it_brings_changes_nothing(
    store: Store, kind: Kind
) -> None:
    async with store.node(kind, Terms(concurrency=2, timeout=SHORT, retries=0)) as node:
        await node.send("hangs", payload("wait"))
        report = await node.ended("hangs")
        assert [failure.reason for failure in report.failures] == ["timed out after 0.3 s"]
        node.open()
        await node.send("others", payload(value=1))
        assert (await node.ended("others")).state is State.COLLATED
        assert await node.outputs("hangs") == {}
        assert len(node.ledger.statuses) == 2


async def test_what_workers_held_that_have_vanished_is_processed_by_others(store: Store, kind: Kind) -> None:
    async with store.node(kind) as vanished:
        await vanished.send("a", payload("wait", times=1), *[payload()] * 3)
        await until(vanished.begun, PATIENCE)
    assert len(vanished.outbox.taken) == 0
    async with store.node(kind) as node:
        store.clock.advance(LEASE + 1)
        assert (await node.ended("a")).state is State.COLLATED
        assert await node.outputs("a") == {index: index for index in range(4)}
