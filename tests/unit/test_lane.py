"""The lane of one endpoint, with a sender and a ledger that a test answers for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from collator.clock import SystemClock
from collator.delivery.lane import Lane
from collator.delivery.pauses import Pauses
from collator.delivery.places import Places
from collator.delivery.sender import Sender
from collator.delivery.settling import Settling
from collator.exchange import Attempt, Delivery
from collator.ledger import Ledger
from collator.metrics import Metrics
from collator.states import DeliveryState
from tests.waiting import until

LARGE = Delivery("r", bytes(16), "hook", attempt=1, step=0, lease=1, body=None, large=True)


class Nothing:
    """A ledger in which nothing more is due."""

    async def claim_deliveries(self, *_: object, **__: object) -> Sequence[Delivery]:
        return []


class Delivers:
    """A sender of which every attempt succeeds, and what is told of how they ended."""

    def __init__(self) -> None:
        self.ended: list[Attempt] = []

    async def attempt(self, delivery: Delivery, *_: object) -> Attempt:
        return Attempt(delivery, DeliveryState.DELIVERED, "HTTP 200")

    def add(self, attempt: Attempt) -> None:
        self.ended.append(attempt)


async def test_p5_a_place_that_another_lane_was_told_of_in_vain_is_taken_at_the_next_look() -> None:
    ledger, delivers, places, clock = cast("Ledger", Nothing()), Delivers(), Places(1), SystemClock()
    places.take()
    lane = Lane(
        "hook",
        2,
        ledger=ledger,
        sender=cast("Sender", delivers),
        settling=cast("Settling", delivers),
        clock=clock,
        metrics=Metrics(),
        circuit=lambda: None,
        pauses=Pauses(ledger, clock),
        places=places,
    )
    places.ask(lambda: None)
    lane.take(LARGE)
    places.give()
    lane.wake()
    await until(lambda: delivers.ended)
    assert [attempt.delivery for attempt in delivers.ended] == [LARGE]
