"""The ledgers under test, each on a store of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collator.seams.ledger import Ledger
from tests.conformance.store import OPENERS, Opener, Store


@pytest.fixture(params=[*OPENERS])
def opener(request: pytest.FixtureRequest) -> Opener:
    """Each ledger in turn."""
    return OPENERS[request.param]


@pytest.fixture
async def store(opener: Opener, tmp_path: Path) -> AsyncIterator[Store]:
    """A store of its own; nothing is open yet."""
    store = Store(opener, tmp_path)
    yield store
    await store.close()


@pytest.fixture
async def ledger(store: Store) -> Ledger:
    """The store, opened with the default limits."""
    return await store.open()
