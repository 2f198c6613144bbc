"""A listener whose resources are followed: how its test records outcomes, in which order it likes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from collator.rules.resource import LedgerLimits
from collator.states import OnFailure
from collator.web.limits import HttpLimits
from tests.conformance.steps import claim, echo
from tests.http.listener import Harness, open_door


@asynccontextmanager
async def followed(data_dir: Path) -> AsyncIterator[Harness]:
    """A listener with places for three who wait, where a failure ends nothing."""
    limits = HttpLimits(max_waits=3)
    async with open_door(data_dir, ledger_limits=LedgerLimits(on_failure=OnFailure.HOLD), limits=limits) as listener:
        yield listener


async def record(listener: Harness, *indexes: int) -> None:
    """Record the outputs of *indexes*, in their order; all others are given back."""
    tasks = {task.key.index: task for task in await claim(listener.ledger._ledger)}
    await listener.ledger.record(echo([tasks.pop(index) for index in indexes]), capacity={})
    await listener.ledger.release([task.lease for task in tasks.values()])
