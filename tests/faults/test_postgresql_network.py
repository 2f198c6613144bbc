"""P1 to P5 when the network between nodes and PostgreSQL resets connections, loses answers, swallows or is slow."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.harness.history import Packet, payload_of
from tests.harness.nodes import Nodes, nodes
from tests.harness.note import note
from tests.servers.postgresql import Server
from tests.wait import until

pytestmark = pytest.mark.faults

VERBS = {
    "accept": "accept_plain",
    "claim": "take_waiting",
    "record": "record_plain",
    "record, with the end of a resource": "close_resources",
    "record_attempts": "update_deliveries",
    "expire": "tick",
    "purge": "purge_resources",
}
"""The verbs that a node calls by itself under load, each by a statement of its step. All verbs, one by one:
`tests.conformance.test_lost_answers`."""

NOTICED = 2.0
"""Seconds that a busy machine may take to see it."""
HELD = """
select exists (select from collator.node where node = $1) or exists (select from collator.lease where node = $1)
  or exists (select from collator.delivery where node = $1 and state = 'due')
"""


async def test_p1_p2_answers_to_commits_that_are_lost_under_load_are_found_out(
    tmp_path: Path, postgresql_server: Server
) -> None:
    async with nodes(tmp_path, postgresql_server, retention=1, concurrency=2) as it:
        for statement in VERBS.values():
            for proxy in it.proxies:
                proxy.lose(statement)
        while any(proxy.armed() for proxy in it.proxies):
            with it.sending(20) as sending:
                await sending
                await it.delivered()
        note(str([proxy.lost for proxy in it.proxies]))
        assert await it.conclude() == []
        assert it.history.lost == set()


async def test_p1_connections_that_are_reset_lose_nothing(tmp_path: Path, postgresql_server: Server) -> None:
    async with nodes(tmp_path, postgresql_server) as it:
        with it.sending(80) as sending:
            for turn in range(12):
                before = len(it.history.acked)
                await until(lambda: len(it.history.acked) >= before + 20 or sending.done(), 60)  # noqa: B023 - awaited
                it.proxies[turn % 2].cut()
            await sending
        assert await it.conclude() == []
        assert it.history.lost == set()


async def test_p5_a_server_that_accepts_and_says_nothing_is_told_of_quickly(
    tmp_path: Path, postgresql_server: Server
) -> None:
    async with nodes(tmp_path, postgresql_server, number=1) as it:
        with it.sending(80) as sending:
            await it.acknowledged(40)
            it.proxies[0].silent = True
            began = time.monotonic()
            offered = [
                Packet("offered", number, payload_of("offered", number), last=number == 10) for number in range(11)
            ]
            statuses = await asyncio.gather(*(it.offer(0, packet) for packet in offered[:10]))
            took = time.monotonic() - began
            note(f"{statuses} after {took:.1f} s")
            assert {status for status, _ in statuses} == {503}
            assert took < 12
            began = time.monotonic()
            assert await it.offer(0, offered[10]) == (503, True)
            assert (await it.services[0].get("/readyz"))[0] == 503
            assert time.monotonic() - began < 3
            assert (await it.services[0].get("/v1/resources/r0-0"))[0] == 503
            assert time.monotonic() - began < 15
            assert "not ready" in it.services[0].log()
            it.proxies[0].silent = False
            it.proxies[0].cut()
            await sending
        assert await it.conclude() == []
        assert it.history.lost == set()


@pytest.mark.cluster
async def test_a_network_that_is_slow_only_costs_time(tmp_path: Path, postgresql_server: Server) -> None:
    async with nodes(tmp_path, postgresql_server) as it:
        for proxy in it.proxies:
            proxy.delay = 0.1
        with it.sending(20) as sending:
            await sending
            await it.delivered()
        for proxy in it.proxies:
            proxy.delay = 0.0
        assert await it.conclude() == []
        assert it.history.lost == set()


async def test_p1_p2_a_node_that_is_cut_off_and_comes_back_changes_nothing_of_what_others_did(
    tmp_path: Path, postgresql_server: Server
) -> None:
    async with nodes(tmp_path, postgresql_server, processor="tests.harness.processors:slower") as it:
        with it.sending(60) as sending:
            await it.acknowledged(60)
            it.proxies[0].silent = True
            await it.declare_dead(0)
            await sending
            await it.delivered()
            webhooks = len(it.sink.ids())
            it.proxies[0].silent = False
            it.proxies[0].cut()
            await until(it.ready, 60)
            assert len(it.sink.ids()) == webhooks
        assert await it.conclude() == []
        assert it.history.lost == set()


@pytest.mark.cluster
async def test_what_a_node_held_that_is_cut_off_passes_on_within_30_s(
    tmp_path: Path, postgresql_server: Server
) -> None:
    async with nodes(tmp_path, postgresql_server, processor="tests.harness.processors:slower") as it:
        with it.sending(60) as sending:
            await it.acknowledged(60)
            it.proxies[0].silent = True
            began = time.monotonic()
            await until(lambda: nothing_held(it, 0), 60)
            passed_on = time.monotonic() - began
            await sending
            await it.delivered()
            took = time.monotonic() - began
            note(f"leases passed on {passed_on:.1f} s after the cut, all delivered after {took:.1f} s")
            assert passed_on < 30 + 1 + NOTICED
            it.proxies[0].silent = False
            it.proxies[0].cut()
            await until(it.ready, 60)
        assert await it.conclude() == []
        assert it.history.lost == set()


async def nothing_held(it: Nodes, node: int) -> bool:
    """Return whether *node* is dead for the others, and holds no packet and no delivery any more."""
    connection = await it.connect()
    held: bool = await connection.fetchval(HELD, it.number(node))
    await connection.close()
    return not held
