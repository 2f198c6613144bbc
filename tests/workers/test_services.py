"""A service that is away, refuses or breaks off: what that means for packets, and when it is called again (R27, R28).

The time of the calls and of the service is moved by hand. However many processes call it, it sees one caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import msgspec

from collator.messages import ResourceReport
from collator.states import State
from collator.testing import ManualClock
from collator.workers.call_limit import FIRST_PAUSE, IN_A_ROW, LONGEST_PAUSE
from tests.receiver import Judge, Receiver, Request, Reset, Script, reply
from tests.wait import until
from tests.workers.kinds import Kind, Terms
from tests.workers.node import PATIENCE, Node, Store, payload

CALLS = 3
"""At a time."""
COUNT = 12
FINE = reply(200, "content-type: application/json", body=b"1")
STEP = 0.05
"""Seconds that pass with every look."""
STILL = 0.3
"""Seconds of the real clock for which nothing comes, where nothing is to come."""


class Service:
    """The service, and the workers that call it."""

    def __init__(self, clock: ManualClock, receiver: Receiver) -> None:
        self.clock = clock
        self.receiver = receiver
        self.under_way: Callable[[], int] = lambda: 0
        """How many packets are on their way to it, or back."""
        self.answer: Callable[[int], Script] = lambda _value: FINE
        """What it says to the packet of this value."""

    def judge(self, request: Request) -> Script:
        """Answer *request*."""
        return self.answer(value_of(request))

    @property
    def calls(self) -> int:
        """How many were made."""
        return len(self.receiver.requests)

    def calls_for(self, value: int) -> int:
        """How many were made for the packet of *value*."""
        return Counter(map(value_of, self.receiver.requests))[value]

    async def is_called(self, times: int) -> None:
        """See that it is called so often, all in all, and then no more."""
        await until(lambda: self.calls >= times, PATIENCE)
        assert await self.calls_at_rest() == times

    async def calls_at_rest(self) -> int:
        """How many were made, once no other comes."""
        while True:
            await until(lambda: self.under_way() == 0, PATIENCE)
            calls = self.calls
            try:
                await until(lambda: self.calls > calls, STILL)  # noqa: B023 - over before the next round
            except AssertionError:
                return calls


def value_of(request: Request) -> int:
    """The value of the packet in *request*."""
    value: int = msgspec.json.decode(request.body)["value"]
    return value


@asynccontextmanager
async def called(
    store: Store, caller: Kind, *, retries: int = 0, patience: float = 3600.0
) -> AsyncIterator[tuple[Node, Service]]:
    """A node of *caller*, and its service."""
    clock = ManualClock()
    receiver = Receiver(port=caller.service_port)
    service = Service(clock, receiver)
    receiver.scripts = ((Judge(service.judge),),)
    terms = Terms(concurrency=CALLS, retries=retries, patience=patience, clock=clock, service=False)
    async with receiver, store.node(caller, terms) as node:
        service.under_way = node.in_hand
        yield node, service


async def in_time(node: Node, service: Service, resource_id: str) -> ResourceReport:
    """The resource, once it has ended; time goes on meanwhile, with every look."""

    def ended() -> bool:
        service.clock.advance(STEP)
        node.clock.advance(STEP)
        return any(delivery.resource_id == resource_id for delivery in node.outbox.taken)

    await until(ended, PATIENCE)
    return await node.ended(resource_id)


async def test_r27_a_service_that_is_away_uses_up_no_attempt(store: Store, caller: Kind) -> None:
    clock = ManualClock()
    terms = Terms(concurrency=CALLS, retries=0, clock=clock, service=False)
    async with store.node(caller, terms) as node:
        await node.send("a", *[payload()] * COUNT)
        words = f"127.0.0.1:{caller.service_port}/ takes no packets: connection refused"

        def told() -> bool:
            clock.advance(STEP)  # the first may find a connection of the test before
            return words in str(node.workers.health())

        await until(told, PATIENCE)
        async with Receiver(FINE, port=caller.service_port) as receiver:
            clock.advance(LONGEST_PAUSE)
            report = await node.ended("a")
        assert (report.state, report.done) == (State.COLLATED, COUNT)
        assert len(receiver.requests) == COUNT
        assert node.workers.health() is None


async def test_r27_while_nothing_gets_through_one_call_at_a_time_asks_and_more_and_more_rarely(
    store: Store, caller: Kind
) -> None:
    async with called(store, caller) as (node, service):
        service.answer = lambda _value: reply(401)
        await node.send("a", *[payload()] * COUNT)
        await until(node.workers.health, PATIENCE)
        calls = await service.calls_at_rest()
        assert IN_A_ROW <= calls < IN_A_ROW + CALLS
        for number in range(3):
            service.clock.advance(FIRST_PAUSE * 2**number)
            await service.is_called(calls + number + 1)
        service.answer = lambda _value: FINE
        service.clock.advance(FIRST_PAUSE * 8)
        assert (await node.ended("a")).state is State.COLLATED


async def test_r27_who_asks_to_be_left_alone_is_left_alone_by_all(store: Store, caller: Kind) -> None:
    async with called(store, caller) as (node, service):
        service.answer = lambda _value: reply(429, "retry-after: 60")
        await node.send("a", *[payload()] * COUNT)
        await until(node.workers.health, PATIENCE)
        calls = await service.calls_at_rest()
        assert calls <= CALLS
        service.clock.advance(59.0)
        await service.is_called(calls)
        service.answer = lambda _value: FINE
        service.clock.advance(1.0)
        assert (await node.ended("a")).state is State.COLLATED
        assert service.calls == calls + COUNT


async def test_r27_a_service_gets_as_many_calls_as_it_takes(store: Store, caller: Kind) -> None:
    under_way = 0

    async def answer(_request: Request) -> Script:
        nonlocal under_way
        if under_way == 2:
            return reply(503)
        under_way += 1
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        under_way -= 1
        return FINE

    async with called(store, caller) as (node, service):
        service.receiver.scripts = ((Judge(answer),),)
        await node.send("a", *[payload()] * 60)
        report = await in_time(node, service, "a")
        assert (report.state, report.done) == (State.COLLATED, 60)
        assert service.calls <= 60 + 20


async def test_r27_a_packet_that_alone_is_refused_uses_up_no_attempt_and_holds_up_no_other(
    store: Store, caller: Kind
) -> None:
    async with called(store, caller) as (node, service):
        service.answer = lambda value: reply(503) if value == 0 else FINE
        await node.send("a", payload())
        await until(lambda: service.calls, PATIENCE)
        for number in range(1, 6):
            await node.send(f"other-{number}", payload(value=number))
            await in_time(node, service, f"other-{number}")
        service.answer = lambda _value: FINE
        assert (await in_time(node, service, "a")).state is State.COLLATED


async def test_r27_a_packet_that_breaks_its_connection_while_others_are_answered_uses_up_its_attempts(
    store: Store, caller: Kind
) -> None:
    async with called(store, caller, retries=1) as (node, service):
        service.answer = lambda value: (Reset(),) if value == 0 else FINE
        await node.send("a", payload())

        async def ended() -> bool:
            number = len(node.outbox.taken)
            await node.send(f"other-{number}", payload(value=1))
            await in_time(node, service, f"other-{number}")
            return any(delivery.resource_id == "a" for delivery in node.outbox.taken)

        await until(ended, PATIENCE)
        (failure,) = (await node.ended("a")).failures
        assert (failure.attempts, failure.reason) == (2, "connection reset by peer")


async def test_r27_a_packet_that_is_refused_for_too_long_has_failed(store: Store, caller: Kind) -> None:
    async with called(store, caller, retries=2, patience=100.0) as (node, service):
        service.answer = lambda _value: reply(503, body=b"busy")
        await node.send("a", payload())
        for calls in (1, 2):
            await until(lambda: service.calls == calls, PATIENCE)  # noqa: B023 - over before the next round
            await until(lambda: len(node.ledger.statuses) == calls, PATIENCE)  # noqa: B023 - as above
            service.clock.advance(60.0)
        (failure,) = (await node.ended("a")).failures
        assert failure.reason == "HTTP 503: busy; so for more than 100 s (processor_patience)"
        assert (failure.attempts, service.calls) == (1, 3)
