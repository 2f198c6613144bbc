"""What tests of the wire share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collator.delivery import Endpoint
from collator.ledgers.sqlite import open_ledger
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock
from tests.http.stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    clock = ManualClock(wall=int(time.time()) + 0.9)  # the verifier of the tests reads the machine's clock
    endpoints: dict[str, Endpoint] = {}
    ledger = await open_ledger(
        tmp_path / "data", ledger_limits=LedgerLimits(), clock=clock, route=lambda _: [*endpoints]
    )
    stage = Stage(ledger, clock, tmp_path, endpoints)
    yield stage
    await ledger.aclose()
