"""Nodes on one database, workers and both servers under load: killed at random, and restarted in order."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from random import Random

import pytest

from tests.brokers import Valkey
from tests.cluster.cluster import Cluster
from tests.cluster.load import Load
from tests.harness.note import note
from tests.servers import postgresql
from tests.wait import until

SEED = int(os.environ.get("TEST_SEED", "20261129"))
KILLS = 50
BETWEEN = 60
"""Packets that are acknowledged between two kills, at most."""
LONG = 300.0
"""Seconds within which all is delivered in the end, on a machine that is busy."""


async def two_of_each(
    cluster: Cluster, database: str, broker: str, *, retries: int, source: Path | None = None
) -> None:
    """Two nodes on *database*, from *source*, and two workers, which run."""
    settings = {"ledger": database, "ledger_durability": "relaxed", "processor_retries": retries}
    for _ in range(2):
        await cluster.node(broker, source=source, **settings)
        cluster.worker(broker, "-P", "threads", "-c", "2")
    await asyncio.gather(*[process.start() for process in cluster.processes()])


def supervise(cluster: Cluster) -> None:
    """Start what has ended, as a supervisor would: a node does where it finds no database at its start."""
    for process in cluster.processes():
        if not process.running():
            process.spawn()


@pytest.mark.cluster
async def test_p1_fifty_kills_of_nodes_workers_broker_and_database_lose_nothing(
    cluster: Cluster, valkey: Valkey, server: postgresql.Server
) -> None:
    note(f"TEST_SEED={SEED}")
    random = Random(SEED)
    await two_of_each(cluster, f"{server.url}/cluster", valkey.url(), retries=20)
    load = cluster.load(SEED)
    async with load.run():
        for number in range(KILLS):
            await load.acknowledges(random.randint(1, BETWEEN))
            victim = random.choice([*cluster.processes(), valkey, server])
            note(f"kill {number}: {type(victim).__name__}, {len(load.history.acked)} packets acknowledged")
            if isinstance(victim, Valkey):
                valkey.kill()
                valkey.restart()
            elif isinstance(victim, postgresql.Server):
                await asyncio.to_thread(server.stop)
                await asyncio.to_thread(server.start)
            elif victim.running():
                victim.kill()
            supervise(cluster)
    await all_delivered(cluster, load)
    assert cluster.judge(load, at_least=KILLS) == []
    assert cluster.failed() == []
    assert await complaints_of(f"{server.url}/cluster") == []


@pytest.mark.cluster
async def test_a_rolling_restart_of_nodes_and_workers_fails_no_request_and_uses_up_no_attempt(
    cluster: Cluster, valkey: Valkey, server: postgresql.Server
) -> None:
    await two_of_each(cluster, f"{server.url}/cluster", valkey.url(), retries=0)
    load = cluster.load(patience=60.0)  # as it is by default: a request that fails for so long ends the test
    async with load.run():
        for process in cluster.processes():
            await load.acknowledges(100)
            await process.stop()
            await process.start()
        await load.acknowledges(100)
    await all_delivered(cluster, load)
    assert cluster.judge(load, at_least=500) == []
    assert cluster.failed() == []


async def all_delivered(cluster: Cluster, load: Load) -> None:
    """Wait until all is delivered, and stop the nodes in order."""

    def delivered() -> bool:
        supervise(cluster)
        return load.undelivered() <= 0

    await until(delivered, LONG)
    for node in cluster.nodes:
        await until(node.find_url, LONG)
        await node.stop()


async def complaints_of(database: str) -> list[str]:
    """What is wrong in *database*."""
    from collator.ledgers.postgresql.address import Address
    from collator.ledgers.postgresql.check import check

    connection = await Address(database).connect()
    async with connection.transaction(isolation="repeatable_read"):
        report = await check(connection, "cluster")
    connection.terminate()
    return [complaint.what for complaint in report.complaints]
