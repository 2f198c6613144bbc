"""A broker for a session, and a node with a store for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from tests.brokers import Valkey
from tests.celery.scripted_worker import ScriptedWorker
from tests.conformance.sqlite_harness import SqliteHarness
from tests.workers.node import Store, open_store

_NUMBERS = count()


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """A server for all tests, which leave it as it was."""
    with closing(Valkey()) as server:
        yield server


@pytest.fixture
def database() -> int:
    """The number of a database of the broker that no other test uses at this time."""
    return next(_NUMBERS) % 16


@pytest.fixture
def url(valkey: Valkey, database: int) -> str:
    """The address of a broker that no other test uses at this time."""
    return valkey.url(database)


@pytest.fixture
def worker(url: str) -> Iterator[ScriptedWorker]:
    """A worker that does what the test says."""
    with closing(ScriptedWorker(url)) as worker:
        yield worker


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A ledger."""
    directory = tmp_path / "ledger"
    directory.mkdir()
    async with open_store(SqliteHarness(directory), tmp_path) as store:
        yield store
