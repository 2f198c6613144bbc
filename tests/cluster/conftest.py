"""Servers of a test's own, as they are killed, and an empty cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers import RabbitMQ, Valkey
from tests.cluster.cluster import Cluster, cluster
from tests.requirements import need
from tests.servers import postgresql


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """A broker."""
    with closing(Valkey()) as server:
        yield server


@pytest.fixture
def rabbitmq() -> Iterator[RabbitMQ]:
    """Another one."""
    with closing(RabbitMQ()) as server:
        yield server


@pytest.fixture(name="cluster")
async def empty_cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Nothing but a receiver."""
    async with cluster(tmp_path) as empty:
        yield empty
        empty.note_logs()


@pytest.fixture
async def server() -> AsyncIterator[postgresql.Server]:
    """A database server of the test's own, as it is killed."""
    missing = postgresql.missing()
    need(missing is None, str(missing))
    server = await asyncio.to_thread(postgresql.Server)
    import asyncpg

    connection = await asyncpg.connect(f"{server.url}/postgres")
    await connection.execute("create database cluster")
    await connection.close()
    yield server
    await asyncio.to_thread(server.remove)
