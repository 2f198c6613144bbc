"""What several units on PostgreSQL begin with: a database that is empty, and a connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.requirements import need

if TYPE_CHECKING:
    import asyncpg

    from tests.conformance.postgresql_harness import PostgresqlHarness


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[PostgresqlHarness]:
    """A database that is empty."""
    from tests.conformance.postgresql_harness import PostgresqlHarness  # where nobody asks, asyncpg may be missing

    need(PostgresqlHarness.needs() is None, str(PostgresqlHarness.needs()))
    harness = PostgresqlHarness(tmp_path)
    yield harness
    await harness.close()


@pytest.fixture
async def connection(harness: PostgresqlHarness) -> AsyncIterator[asyncpg.Connection]:
    """A connection as that of a writer."""
    connection = await harness.connect()
    yield connection
    connection.terminate()
