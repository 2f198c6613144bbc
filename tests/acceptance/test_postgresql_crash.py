"""A PostgreSQL server that crashes again and again under two nodes: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from collator.errors import Unavailable
from collator.messages import Batch
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.seams.operations import Operations
from tests.conformance.steps import echo, packet
from tests.requirements import need
from tests.servers import postgresql
from tests.wait import until

pytest.importorskip("asyncpg")

import asyncpg

from collator.ledgers.postgresql import open_ledger
from collator.ledgers.postgresql.address import Address
from collator.ledgers.postgresql.check import check
from collator.messages import tasks_of

PACKETS, CRASHES = 12, 3


@pytest.fixture
async def server() -> AsyncIterator[postgresql.Server]:
    """A server of its own, as it is stopped for all."""
    missing = postgresql.missing()
    need(missing is None, str(missing))
    server = await asyncio.to_thread(postgresql.Server)
    yield server
    await asyncio.to_thread(server.remove)


class Load:
    """Senders and workers at two nodes, who go on whatever happens."""

    def __init__(self, nodes: list[Ledger]) -> None:
        self.nodes = nodes
        self.acknowledged: set[tuple[str, int]] = set()
        self.closed = self.collated = 0
        self.over = False

    async def send(self, ledger: Ledger, name: str) -> None:
        """Send one resource, each packet until it is acknowledged."""
        operations = Operations()
        for index in range(PACKETS):
            batch = Batch([packet(name, index, last=index == PACKETS - 1)])
            while (name, index) not in self.acknowledged:
                with suppress(Unavailable):
                    accepted = await operations.certain(ledger.accept, batch.groups, capacity=0)
                    assert accepted.receipts[0].status in {Status.ACCEPTED, Status.DUPLICATE}
                    self.acknowledged.add((name, index))

    async def work(self, ledger: Ledger) -> None:
        """Claim and record until all is over."""
        operations = Operations()
        while not self.over:
            with suppress(Unavailable):
                await ledger.expire(accepting=True, limit=10, capacity={})
                tasks = tasks_of(await operations.certain(ledger.claim, capacity=20))
                if tasks:
                    self.closed += (await operations.certain(ledger.record, echo(tasks), capacity={})).closed
                self.collated = (await ledger.counts()).collated


async def test_p1_p2_crashes_of_the_server_lose_nothing_and_repeat_nothing(server: postgresql.Server) -> None:
    connection = await asyncpg.connect(f"{server.url}/postgres")
    await connection.execute("create database crash")
    await connection.close()
    address = Address(f"{server.url}/crash")
    limits = LedgerLimits(task_lease=1.0, side_by_side=9)
    nodes = [await open_ledger(address, ledger_limits=limits, route=lambda _: ["default"]) for _ in range(2)]
    load = Load([*nodes])
    names = [f"r{number}" for number in range(10)]
    workers = [asyncio.create_task(load.work(node)) for node in nodes]
    senders = [asyncio.create_task(load.send(nodes[place % 2], name)) for place, name in enumerate(names)]
    for crash in range(CRASHES):
        enough = (crash + 1) * len(names) * PACKETS // (CRASHES + 2)
        await until(lambda: len(load.acknowledged) >= enough, 60)  # noqa: B023 - it is awaited here
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
    await asyncio.gather(*senders)
    await until(lambda: load.collated == len(names), 60)
    load.over = True
    await asyncio.gather(*workers)
    for node in nodes:
        await node.aclose()
    looking = await address.connect()
    async with looking.transaction(isolation="repeatable_read"):
        report = await check(looking, "crash")
    looking.terminate()
    assert not report.complaints
    assert report.rows == {"resources": 10, "packets": 120, "outcomes": 120, "deliveries": 10}
    assert load.closed <= len(names)  # who gave up asking for an answer has none; none is given twice
