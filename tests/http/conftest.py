"""What tests of the wire share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from collator.delivery import Endpoint
from collator.rules.resource import LedgerLimits
from tests.conformance.brief import leave_repeats
from tests.conformance.conftest import HARNESSES
from tests.conformance.harness import Harness
from tests.http.ledgers import STORES, ClockOfBoth
from tests.http.stage import Stage
from tests.requirements import need

KINDS = [kind for kind in map(resolve_name, HARNESSES) if not kind.divided]  # no setting names those
LEDGERS = [pytest.param(kind, id=kind.name) for kind in KINDS]
LEFT = [pytest.param(kind, id=kind.name, marks=[pytest.mark.cluster] if kind.brief else []) for kind in KINDS]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to ``make test-cluster`` what is much the same."""
    calls = [(item, getattr(item, "callspec", None)) for item in items]
    leave_repeats((item, call.params["each_ledger"]) for item, call in calls if call and "each_ledger" in call.params)


@pytest.fixture(params=LEDGERS)
def each_ledger(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test on each ledger."""
    yield from _on(request.param)


@pytest.fixture(params=LEFT)
def each_ledger_if_asked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the test on each ledger; on one that is tested in brief only by ``make test-cluster``, as it takes long."""
    yield from _on(request.param)


def _on(kind: type[Harness[Any]]) -> Iterator[None]:
    missing = kind.needs()
    need(missing is None, str(missing))
    STORES.kind = kind
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
