"""What tests of the wire share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

from collator.delivery import Endpoint
from collator.rules.resource import LedgerLimits
from tests.conformance.brief import leave_repeats
from tests.conformance.conftest import HARNESSES
from tests.http.ledgers import STORES, ClockOfBoth
from tests.http.stage import Stage
from tests.requirements import need

LEDGERS = [pytest.param(kind, id=kind.name) for kind in map(resolve_name, HARNESSES)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to ``make test-cluster`` what is much the same."""
    calls = [(item, getattr(item, "callspec", None)) for item in items]
    leave_repeats((item, call.params["each_ledger"]) for item, call in calls if call and "each_ledger" in call.params)


@pytest.fixture(params=LEDGERS)
def each_ledger(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test on each ledger."""
    missing = request.param.needs()
    need(missing is None, str(missing))
    STORES.kind = request.param
    yield
    asyncio.run(STORES.close())


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    store = STORES.at(tmp_path / "data")
    clock = ClockOfBoth(store.clock, wall=int(time.time()) + 0.9)  # the verifier of the tests reads the machine's clock
    endpoints: dict[str, Endpoint] = {}
    ledger = await store.open(LedgerLimits(), lambda _: [*endpoints])
    stage = Stage(ledger, clock, tmp_path, endpoints)
    yield stage
    await store.stop(ledger)
