"""What attempts that end in one turn of the event loop come to: all of it, in order, also where a stop gets between."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from anyio.lowlevel import checkpoint

from collator.clock import SystemClock
from collator.delivery.circuit import Circuits, Passage
from collator.delivery.endpoint_worker import EndpointWorker
from collator.delivery.pauses import Pauses
from collator.delivery.sender import AttemptEnded, UnderWay
from collator.delivery.verdict import put_off
from collator.messages import Attempt, Delivery, Lease
from collator.metrics import Metrics
from collator.states import DeliveryState

PLACES = 4
DELIVERIES = [
    Delivery(f"r{number}", bytes(16), "hook", attempt=1, step=0, lease=Lease(number, number), body=b"{}")
    for number in range(PLACES + 2)
]


class Stage:
    """A worker whose requests end as the test says."""

    def __init__(self) -> None:
        self.begun: list[UnderWay] = []
        self.recorded: list[Attempt] = []
        self.circuit = Circuits().of("http://h/")
        self.metrics = Metrics()
        ledger: Any = SimpleNamespace()
        self.pauses = Pauses(ledger, SystemClock())
        self.worker = EndpointWorker(
            "hook",
            PLACES,
            ledger=ledger,
            sender=cast("Any", SimpleNamespace(begin=self.begin)),
            recorder=cast("Any", SimpleNamespace(add=self.recorded.extend)),
            clock=SystemClock(),
            metrics=self.metrics,
            circuit=lambda: self.circuit,
            pauses=self.pauses,
        )

    def begin(self, delivery: Delivery, taken_at: float, passage: Passage, ended: AttemptEnded) -> UnderWay:
        recipient: Any = SimpleNamespace(endpoint=None)
        begun = UnderWay(cast("Any", None), recipient, delivery, taken_at=taken_at, passage=passage, ended=ended)
        self.begun.append(begun)
        return begun

    def end(self, place: int, state: DeliveryState = DeliveryState.DELIVERED, **words: Any) -> Attempt:  # noqa: ANN401 - of an attempt
        under_way = self.begun[place]
        attempt = Attempt(under_way.delivery, state, **words)
        under_way._ended(under_way, attempt)
        return attempt


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_those_that_succeed_in_one_turn_are_recorded_together_and_make_place(stage: Stage) -> None:
    stage.worker.take(DELIVERIES)
    assert len(stage.begun) == PLACES
    ended = [stage.end(place) for place in (1, 0)]
    assert stage.worker.capacity() == PLACES  # what waits counts, and a round more may
    await checkpoint()
    assert stage.recorded == ended
    assert [one.delivery for one in stage.begun] == DELIVERIES
    assert stage.metrics.totals().delivered == len(ended)


async def test_a_pause_holds_in_the_turn_in_which_it_comes(stage: Stage) -> None:
    stage.worker.take(DELIVERIES[:2])
    ended = [stage.end(0), stage.end(1, DeliveryState.DUE, reason="HTTP 410", counted=False, pauses=True)]
    assert stage.recorded == ended
    assert stage.worker.capacity() == 0
    stage.worker.take(DELIVERIES[2:])
    assert len(stage.begun) == 2
    assert stage.recorded[2:] == [put_off(one, "its endpoint is paused") for one in DELIVERIES[2:]]


async def test_what_has_ended_is_recorded_also_where_the_worker_is_given_up_in_that_turn(stage: Stage) -> None:
    stage.worker.take(DELIVERIES)
    stage.worker.stop()
    ended = [stage.end(place) for place in range(3)]
    leases, _ = stage.worker.abandon()
    assert stage.recorded == ended
    assert {*leases} == {one.lease for one in DELIVERIES[3:]}


async def test_it_is_over_only_once_what_has_ended_is_handed_on(stage: Stage) -> None:
    stage.worker.take(DELIVERIES[:1])
    ended = stage.end(0)
    stage.worker.stop()
    await stage.worker.over()
    assert stage.recorded == [ended]


async def test_settled_ones_make_place_for_outcomes(stage: Stage) -> None:
    delivered = [msgspec.structs.replace(DELIVERIES[0], resource_id=str(number)) for number in range(4 * PLACES)]
    for one in delivered:
        stage.worker.take([msgspec.structs.replace(one, lease=Lease(int(one.resource_id), 99))])
        stage.end(-1)
        await checkpoint()
    assert stage.worker.capacity() == 0
    stage.worker.forget_recorded(stage.recorded[:1])
    assert stage.worker.capacity() > 0
