"""What hedging is worth, in a time that is made: 1 % of the calls take 20 times as long (issue 11)."""

from __future__ import annotations

import heapq
from random import Random
from typing import NamedTuple

import pytest

from collator.messages import Key, Lease, Output, Task, runs_of
from collator.processor import Coroutine
from collator.workers.calls_under_way import CallsUnderWay
from collator.workers.hedges import Hedges
from collator.workers.pooled_workers import WATCH
from collator.workers.result_bytes import ResultBytes
from collator.workers.runner import ProcessorCall, Runner
from collator.workers.task_buffer import TaskBuffer

RESOURCES, PACKETS, PER_SECOND, PLACES = 600, 10, 10.0, 64
CALL, SPREAD, SLOW = 0.2, 0.2, 20.0


class Figures(NamedTuple):
    p99: float
    """Seconds from the last packet of a resource to its last output."""
    calls: int


def simulate(seed: int, hedges: Hedges | None) -> Figures:
    random, now, calls = Random(seed), 0.0, 0
    buffer = TaskBuffer()
    under_way = CallsUnderWay(buffer, ResultBytes(), batch=1, now=lambda: now, service=None, hedges=hedges)
    runner = Runner(Coroutine(_never), turning=lambda _runner: None)
    under_way.runners.append(runner)
    came: list[float] = []
    for _ in range(RESOURCES):
        came.append((came[-1] if came else 0.0) + random.expovariate(PER_SECOND))
    left, delays = [PACKETS] * RESOURCES, list[float]()
    events: list[tuple[float, int, ProcessorCall | int | None]] = [(at, n, n) for n, at in enumerate(came)]
    heapq.heappush(events, (0.0, -1, None))  # a look at calls that take long
    while len(delays) < RESOURCES:
        now, _, what = heapq.heappop(events)
        if what is None:
            heapq.heappush(events, (now + WATCH, -1, None))
        elif isinstance(what, int):
            buffer.put(runs_of(Task(Key(str(what), b"g" * 16, n), b"1", 1, Lease(what, n)) for n in range(PACKETS)))
        elif not what.abandoned:
            under_way.end(what, [Output(what.tasks[0].lease, b"1")])
            under_way.remove(what)
            resource = what.tasks[0].lease.key
            left[resource] -= 1
            delays += [now - came[resource]] if not left[resource] else []
        while under_way.may_begin() and len(runner.calls) < PLACES:
            calls += 1
            seconds = CALL * random.uniform(1.0 - SPREAD, 1.0 + SPREAD) * (SLOW if random.random() < 0.01 else 1.0)
            heapq.heappush(events, (now + seconds, RESOURCES + calls, under_way.begin(runner)))
    return Figures(sorted(delays)[int(0.99 * RESOURCES)], calls)


async def _never(_payload: object) -> None:
    """Be a coroutine function."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_slow_calls_no_longer_decide_when_a_resource_is_whole_and_few_more_are_made(seed: int) -> None:
    without, hedged = simulate(seed, None), simulate(seed, Hedges(0.95))
    assert without.calls == RESOURCES * PACKETS
    assert without.p99 > 0.8 * CALL * SLOW
    assert hedged.p99 <= 0.35 * without.p99
    assert hedged.calls <= 1.05 * without.calls
