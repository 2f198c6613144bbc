"""A data directory to move, and an empty database to move it to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collator.settings import Settings
from tests.conformance.postgresql_harness import PostgresqlHarness
from tests.requirements import need
from tests.unit.test_check import fill, opened


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[PostgresqlHarness]:
    """An empty database; in the end it is checked as a whole."""
    missing = PostgresqlHarness.needs()
    need(missing is None, str(missing))
    harness = PostgresqlHarness(tmp_path)
    yield harness
    await harness.close()


@pytest.fixture
async def settings(target: PostgresqlHarness, tmp_path: Path) -> Settings:
    """A directory with a resource of each kind, and where it is to move."""
    ledger = await opened(tmp_path / "data")
    await fill(ledger)
    await ledger.pause("default", reason="by hand")
    await ledger.aclose()
    return Settings(data_dir=tmp_path / "data", ledger=target.url, ledger_durability="relaxed")
