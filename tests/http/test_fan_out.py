"""A hundred healthy endpoints and a black hole among them: the dead one delays nobody (R20, R23; P5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from collator.clock import SystemClock
from collator.delivery import Circuits, Dispatcher, Endpoint
from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.messages import Attempt, Batch, Output, tasks_of
from collator.metrics import Metrics
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.signing import SecretFile, generate_secret
from collator.states import DeliveryState
from tests.receiver import Receiver, Stall

HEALTHY = 100
RESOURCES = 4
AT_ONCE = 2
"""Resources whose webhooks are on their way at a time: a load that follows the speed of the machine."""
ROUNDS = 16
"""At most: the best of each kind are compared, since a busy machine only ever makes a round slower."""
TIMEOUT = 2.0
"""Seconds that each request to the black hole takes: far more than a healthy webhook, so that waiting for it shows."""
BLACK_HOLE = "black-hole"
BACKLOG = 200
"""Webhooks that wait for the black hole from the beginning, so that it has all the places that it may have."""


class Watched:
    """The ledger, and how long each webhook took: from the last output to the 2xx."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self.known_at: dict[str, float] = {}
        self.seconds: dict[str, list[float]] = {}
        self.capacity = asyncio.Semaphore(AT_ONCE)

    def __getattr__(self, verb: str) -> Any:  # noqa: ANN401 - whatever the ledger has
        return getattr(self._ledger, verb)

    async def record_attempts(self, attempts: Sequence[Attempt]) -> Sequence[bool]:
        now = time.monotonic()
        for attempt in attempts:
            if attempt.state is DeliveryState.DELIVERED:
                self._took(attempt.delivery.resource_id, now)
        return await self._ledger.record_attempts(attempts)

    def _took(self, resource_id: str, now: float) -> None:
        took = self.seconds.setdefault(resource_id, [])
        took.append(now - self.known_at[resource_id])
        if len(took) == HEALTHY:
            self.capacity.release()

    async def finish_all(self, resource_ids: Sequence[str], dispatcher: Dispatcher) -> None:
        """Let resources end in one step."""
        packets = [Packet(name, 0, msgspec.Raw(b"0"), last=True) for name in resource_ids]
        tasks = tasks_of((await self._ledger.accept(Batch(packets).groups, capacity=len(packets))).runs)
        now = time.monotonic()
        self.known_at |= dict.fromkeys(resource_ids, now)
        outcome = await self._ledger.record(
            [Output(task.lease, b"1", now) for task in tasks], capacity=dispatcher.capacity()
        )
        dispatcher.take(outcome.deliveries, outcome.endpoints)


@asynccontextmanager
async def at_work(folder: Path, endpoints: dict[str, Endpoint]) -> AsyncIterator[tuple[Watched, Dispatcher]]:
    """A ledger and a delivery stage of their own."""
    clock, metrics = SystemClock(), Metrics()
    route = lambda name: [BLACK_HOLE] if name.startswith(BLACK_HOLE) else [*endpoints]  # noqa: E731
    ledger = await open_ledger(folder, ledger_limits=LedgerLimits(), clock=clock, route=route)
    watched = Watched(ledger)
    dispatcher = Dispatcher(watched, endpoints, clock=clock, metrics=metrics, circuits=Circuits())
    running = asyncio.create_task(dispatcher.run())
    try:
        yield watched, dispatcher
    finally:
        await dispatcher.drain(0)
        await running
        await ledger.aclose()


async def p99(folder: Path, endpoints: dict[str, Endpoint]) -> float:
    """The time that 99 of 100 webhooks to healthy endpoints take at most, in seconds."""
    async with at_work(folder, endpoints) as (watched, dispatcher):
        async with asyncio.timeout(60):
            if BLACK_HOLE in endpoints:
                await watched.finish_all([f"{BLACK_HOLE}-{number}" for number in range(BACKLOG)], dispatcher)
            for number in range(RESOURCES):
                await watched.capacity.acquire()
                await watched.finish_all([f"r{number}"], dispatcher)
            for _ in range(AT_ONCE):
                await watched.capacity.acquire()
    took = sorted(second for seconds in watched.seconds.values() for second in seconds)
    assert len(took) == HEALTHY * RESOURCES
    return took[len(took) * 99 // 100]


async def test_r20_r23_a_black_hole_among_a_hundred_endpoints_delays_no_other(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(generate_secret())
    secrets = SecretFile(tmp_path / "secret")
    async with Receiver(paths={"/hole": (Stall(),)}) as receiver:
        healthy = {
            name: Endpoint(name=name, url=f"{receiver.url}/{name}", secrets=secrets, concurrency=8)
            for name in (f"e{number}" for number in range(HEALTHY))
        }
        hole = receiver.url.replace("/hook", "/hole")
        dead = Endpoint(name=BLACK_HOLE, url=hole, secrets=secrets, timeout=TIMEOUT)
        without, beside = list[float](), list[float]()
        for number in range(ROUNDS):  # in turns, so that a busy machine is so for both
            without.append(await p99(tmp_path / f"without-{number}", healthy))
            beside.append(await p99(tmp_path / f"beside-{number}", {BLACK_HOLE: dead, **healthy}))
            if number and min(beside) <= 2 * min(without):
                break
    assert sum("/hole" in request.line for request in receiver.requests) > 0
    assert min(beside) <= 2 * min(without), (without, beside)
