"""A receiver that takes a few a second, on real sockets and by the real clock (R23)."""

from __future__ import annotations

import time
from pathlib import Path

from collator.clock import SystemClock
from collator.delivery import Endpoint
from collator.ledgers.sqlite import open_ledger
from collator.rules.resource import LedgerLimits
from collator.states import DeliveryState
from tests.http.stage import Stage
from tests.receiver import Judge, Receiver, Request, Script, reply
from tests.wait import until

RATE, BURST = 20.0, 5
COUNT = 60
"""Three seconds of what it takes."""
CONCURRENCY = 32


class Throttled:
    """Takes `RATE` webhooks a second, and tells the others to come back in a second."""

    def __init__(self) -> None:
        self.tokens, self.last = float(BURST), time.monotonic()
        self.taken = self.refused = 0

    def __call__(self, _request: Request) -> Script:
        now = time.monotonic()
        self.tokens, self.last = min(BURST, self.tokens + (now - self.last) * RATE), now
        if self.tokens < 1.0:
            self.refused += 1
            return reply(429, "retry-after: 1")
        self.tokens -= 1.0
        self.taken += 1
        return reply(200)


async def test_r23_all_are_delivered_to_a_receiver_that_takes_few_a_second_and_few_are_refused(tmp_path: Path) -> None:
    clock, endpoints, throttled = SystemClock(), dict[str, Endpoint](), Throttled()
    ledger = await open_ledger(
        tmp_path / "data", ledger_limits=LedgerLimits(), clock=clock, route=lambda _: [*endpoints]
    )
    stage = Stage(ledger, clock, tmp_path, endpoints)
    try:
        async with Receiver((Judge(throttled),)) as receiver:
            stage.endpoint(receiver.url, concurrency=CONCURRENCY)
            async with stage.dispatcher(poll=0.5) as dispatcher:
                await stage.finish(*(f"r{number}" for number in range(COUNT)), dispatcher=dispatcher)
                await until(lambda: throttled.taken == COUNT, 30.0)
            reports = await stage.reports()
    finally:
        await ledger.aclose()
    assert {(report.state, report.attempts) for report in reports} == {(DeliveryState.DELIVERED, 1)}
    assert throttled.refused <= 2 * CONCURRENCY
