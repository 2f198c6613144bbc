"""Each kind of workers in turn, and a store for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conformance.sqlite_harness import SqliteHarness
from tests.workers.celery_kinds import WORKERS
from tests.workers.kinds import KINDS, Kind
from tests.workers.node import Store, open_store

IN_SHORT = ("celery-threads",)
"""Kinds of Celery workers that each test runs on; the others, where calls die, or by ``make test-cluster``."""


def _in_full(name: str) -> object:
    """The kind *name*, with the mark of what ``make test`` leaves out where it is such a one."""
    left_out = name.startswith("celery-") and name not in IN_SHORT
    return pytest.param(name, marks=pytest.mark.cluster) if left_out else name


@pytest.fixture(params=[_in_full(name) for name in KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind in turn."""
    return KINDS[request.param]


@pytest.fixture(params=[name for name, kind in KINDS.items() if kind.dies])
def mortal(request: pytest.FixtureRequest) -> Kind:
    """Each kind of which a worker may die without the others."""
    return KINDS[request.param]


@pytest.fixture(params=[name for name, kind in KINDS.items() if kind.forgery])
def forger(request: pytest.FixtureRequest) -> Kind:
    """Each kind in which the user's code has a way to answer for others."""
    return KINDS[request.param]


@pytest.fixture(params=[name for name, kind in KINDS.items() if kind.hedges])
def hedger(request: pytest.FixtureRequest) -> Kind:
    """Each kind that may make a second call beside one that takes long."""
    return KINDS[request.param]


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.cluster) if name == "celery-http" else name
        for name, kind in KINDS.items()
        if kind.service_port
    ]
)
def caller(request: pytest.FixtureRequest) -> Kind:
    """Each kind whose processor is an HTTP service; its processes, if it has several, are as one to the service."""
    return KINDS[request.param]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A ledger, and a directory for what calls say."""
    directory = tmp_path / "ledger"
    directory.mkdir()
    async with open_store(SqliteHarness(directory), tmp_path) as store:
        yield store


@pytest.fixture(scope="session", autouse=True)
def celery_workers() -> Iterator[None]:
    """End the worker processes with the session."""
    yield
    WORKERS.close()
