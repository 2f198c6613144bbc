"""Which ledgers the suite drives, by the option ``--ledger-harness``, and which tests each of them is given.

A test that asks for what no harness has, two nodes for one, is deselected, so that pytest's summary counts it. Whether
a harness can run here is asked in one place: what it lacks skips its tests at home, and fails them in CI.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

from collator.seams.ledger import Ledger
from tests.conformance.brief import leave_repeats
from tests.conformance.harness import Harness
from tests.conformance.store import NewStore, Store
from tests.requirements import need

OPTION = "--ledger-harness"
HARNESSES = (
    "tests.conformance.sqlite_harness:SqliteHarness",
    "tests.conformance.postgresql_harness:PostgresqlHarness",
    "tests.conformance.slots_harness:SlotsHarness",
)
"""The ledgers of this project: a new one is one more line."""

CHOSEN = pytest.StashKey[Sequence[type[Harness[Any]]]]()

MARKERS = (
    "one_holder: tells what one holder sees or leaves behind; no second node is asked in between",
    "two_nodes: opens a second node on the same store",
    "wall_jumps: sets the wall clock",
    "one_ledger(reason): tells of several resources what several ledgers as one keep each for itself",
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
    """On which stores of *harness* a test with *markers* runs; those of more nodes first."""
    if ("two_nodes" in markers and harness.max_nodes == 1) or ("wall_jumps" in markers and not harness.wall_jumps):
        return []
    if "one_ledger" in markers and harness.divided:
        return []
    if markers & {"one_holder", "two_nodes"}:
        return [Variant(harness, 1)]
    return [Variant(harness, asked) for asked in (2, 1) if asked <= harness.max_nodes]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every store that has what it asks for."""
    if "new_store" in metafunc.fixturenames:
        markers = {marker.name for marker in metafunc.definition.iter_markers()}
        found = [variant for harness in metafunc.config.stash[CHOSEN] for variant in variants(harness, markers)]
        named = [pytest.param(variant, id=variant.name) for variant in found]
        metafunc.parametrize("new_store", named or [pytest.param(None, id="no ledger")], indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what no ledger has the nodes or the clock for, and to ``make test-cluster`` what is much the same."""
    asked = [(item, call.params["new_store"]) for item in items if (call := asks_for_store(item))]
    left_out = {item for item, variant in asked if variant is None}
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]
    leave_repeats(
        (item, variant.harness) for item, variant in asked if variant is not None
    )  # those of two nodes are first


def asks_for_store(item: pytest.Item) -> Any:  # noqa: ANN401 - pytest has no public name for it
    """The parameters of *item*, if a store is one of them."""
    call = getattr(item, "callspec", None)
    return call if call is not None and "new_store" in call.params else None


@pytest.fixture
def new_store(request: pytest.FixtureRequest) -> Iterator[NewStore]:
    """What makes an empty store in an empty directory."""
    variant: Variant = request.param
    missing = variant.harness.needs()
    need(missing is None, str(missing))
    profile = settings.get_current_profile_name()
    if variant.harness.brief and profile == "default":
        settings.load_profile("brief")
    yield lambda directory: Store(variant.harness(directory), asked=variant.asked)
    settings.load_profile(profile)


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
