"""Which ledgers the suite drives, by the option ``--ledger-harness``, and which tests each of them is given.

A test that asks for what no harness has, two nodes for one, is deselected, so that pytest's summary counts it. Whether
a harness can run here is asked in one place: what it lacks skips its tests at home, and fails them in CI.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import pytest

from collator.seams.ledger import Ledger
from tests.conformance.harness import Harness
from tests.conformance.store import NewStore, Store
from tests.requirements import need

OPTION = "--ledger-harness"
HARNESSES = ("tests.conformance.sqlite_harness:SqliteHarness",)
"""The ledgers of this project: a new one is one more line."""

CHOSEN = pytest.StashKey[Sequence[type[Harness[Any]]]]()

MARKERS = (
    "one_holder: tells what one holder sees or leaves behind; no second node is asked in between",
    "two_nodes: opens a second node on the same store",
    "wall_jumps: sets the wall clock",
)


class Variant(NamedTuple):
    """A kind of store that a test is run on."""

    harness: type[Harness[Any]]
    asked: int
    """How many nodes are asked in turn where the test speaks of one ledger."""

    @property
    def name(self) -> str:
        """How the test is called after it."""
        return self.harness.name if self.asked == 1 else f"{self.harness.name}-{self.asked}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        OPTION,
        action="append",
        metavar="MODULE:CLASS",
        help="the tests.conformance.harness.Harness of a ledger, instead of those of the project; repeatable",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and find the harnesses."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    names = config.getoption(OPTION.removeprefix("--").replace("-", "_"), None) or HARNESSES
    try:
        config.stash[CHOSEN] = [resolve_name(name) for name in names]
    except (ImportError, AttributeError, ValueError) as error:
        raise pytest.UsageError(f"{OPTION} takes module:Class: {error}") from error


def pytest_report_header(config: pytest.Config) -> str:
    """Say which ledgers are driven, and with how many nodes."""
    names = (f"{harness.name} (nodes: {harness.max_nodes})" for harness in config.stash[CHOSEN])
    return "ledgers: " + ", ".join(names)


def variants(harness: type[Harness[Any]], markers: set[str]) -> Sequence[Variant]:
    """On which stores of *harness* a test with *markers* runs."""
    if ("two_nodes" in markers and harness.max_nodes == 1) or ("wall_jumps" in markers and not harness.wall_jumps):
        return []
    if markers & {"one_holder", "two_nodes"}:
        return [Variant(harness, 1)]
    return [Variant(harness, asked) for asked in range(1, min(harness.max_nodes, 2) + 1)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every store that has what it asks for."""
    if "new_store" in metafunc.fixturenames:
        markers = {marker.name for marker in metafunc.definition.iter_markers()}
        found = [variant for harness in metafunc.config.stash[CHOSEN] for variant in variants(harness, markers)]
        named = [pytest.param(variant, id=variant.name) for variant in found]
        metafunc.parametrize("new_store", named or [pytest.param(None, id="no ledger")], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what no ledger has the nodes or the clock for."""
    left_out = [item for item in items if isinstance(item, pytest.Function) and runs_nowhere(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def runs_nowhere(item: pytest.Function) -> bool:
    """Whether no ledger has what the test asks for."""
    call = getattr(item, "callspec", None)
    return call is not None and call.params.get("new_store", call) is None


@pytest.fixture
def new_store(request: pytest.FixtureRequest) -> NewStore:
    """What makes an empty store in an empty directory."""
    variant: Variant = request.param
    missing = variant.harness.needs()
    need(missing is None, str(missing))
    return lambda directory: Store(variant.harness(directory), asked=variant.asked)


@pytest.fixture
async def store(new_store: NewStore, tmp_path: Path) -> AsyncIterator[Store]:
    """A store of its own; nothing is open yet."""
    store = new_store(tmp_path)
    yield store
    await store.close()


@pytest.fixture
async def ledger(store: Store) -> Ledger:
    """The store, opened with the default limits."""
    return await store.open()
