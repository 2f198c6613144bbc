"""Which endpoints are paused, while the ledger is asked and told at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from collator.clock import SystemClock
from collator.delivery.pauses import Pauses
from collator.messages import Attempt, Delivery, Lease, Pause
from collator.seams.ledger import Ledger
from collator.states import DeliveryState
from tests.wait import until

GONE = Delivery("r", bytes(16), "hook", attempt=1, step=0, lease=Lease(1, 1), body=None)
PAUSING = Attempt(GONE, DeliveryState.DUE, "HTTP 410", counted=False, pauses=True)


class Slow:
    """A ledger that answers who is paused when the test says so."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[Mapping[str, Pause]]] = []

    async def paused(self) -> Mapping[str, Pause]:
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


async def test_r23_an_answer_from_before_a_pause_does_not_resume_what_was_paused_meanwhile() -> None:
    ledger = Slow()
    pauses = Pauses(cast("Ledger", ledger), SystemClock())
    looking = asyncio.create_task(pauses.refresh())
    await until(lambda: len(ledger.asked) == 1)
    pauses.add(PAUSING)
    pauses.recorded(PAUSING)
    ledger.asked[0].set_result({})
    await until(lambda: len(ledger.asked) == 2)
    assert "hook" in pauses
    ledger.asked[1].set_result({"hook": Pause(since="2026-11-28T23:00:00Z", reason="HTTP 410")})
    await looking
    assert "hook" in pauses


async def test_r23_what_a_person_resumed_goes_on_with_the_next_look() -> None:
    ledger = Slow()
    pauses = Pauses(cast("Ledger", ledger), SystemClock())
    pauses.add(PAUSING)
    pauses.recorded(PAUSING)
    looking = asyncio.create_task(pauses.refresh())
    await until(lambda: len(ledger.asked) == 1)
    ledger.asked[0].set_result({})
    await looking
    assert "hook" not in pauses
