"""Servers of a test's own, as they are killed, and an empty cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.brokers import RabbitMQ, Valkey
from tests.cluster.cluster import Cluster, cluster


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
