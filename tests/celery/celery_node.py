"""Workers of a node whose time a test moves by hand."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from collator.metrics import Metrics
from collator.processor import OutcomeFactory
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.seams.workers import Workers
from collator.testing import ManualClock
from collator.workers.celery.known_workers import BEAT
from collator.workers.celery.messages import WorkerReply
from collator.workers.celery.pool import CeleryPool
from collator.workers.pooled_workers import PooledWorkers
from tests.wait import until
from tests.workers.node import PATIENCE
from tests.workers.terms import Terms


class _Counting(CeleryPool):
    def __init__(self, node: CeleryNode, *args: Any, **options: Any) -> None:  # noqa: ANN401 - those of the pool
        super().__init__(*args, **options)
        self._node = node

    def reply(self, reply: WorkerReply, acknowledge: Callable[[], None]) -> None:
        super().reply(reply, acknowledge)
        self._node.replies += 1


@dataclass
class CeleryNode:
    """A kind of workers, as `Store.node` wants it, at the broker *url*."""

    url: str
    clock: ManualClock = field(default_factory=ManualClock)
    batch: int = 1
    dies: bool = False
    forgery: str = ""
    hedges: bool = False
    service_port: int = 0
    pool: CeleryPool = field(init=False)
    """That of its workers, once they are started."""
    replies: int = 0
    """How many it has heard."""

    async def pass_time(self, seconds: float) -> None:
        """Let *seconds* pass, in steps in which the broker is seen to be there."""
        for _ in range(round(seconds / BEAT)):
            self.clock.advance(BEAT)
            await until(self._is_up_to_date, PATIENCE)

    def _is_up_to_date(self) -> bool:
        return not self.pool.in_hand() or self.pool._echoes._heard == self.clock.monotonic()

    async def hears(self, saying: Awaitable[None]) -> None:
        """Wait until what is said by *saying* was heard."""
        before = self.replies
        await saying
        await until(lambda: self.replies > before, PATIENCE)

    @asynccontextmanager
    async def start(self, ledger: Ledger, outbox: Outbox, terms: Terms) -> AsyncIterator[Workers]:
        outcomes = OutcomeFactory(timeout=terms.timeout, retries=terms.retries, clock=self.clock)

        def make_pool(tell: Callable[[], None]) -> CeleryPool:
            self.pool = _Counting(self, self.url, outcomes, tell=tell, queue=f"node-{secrets.token_hex(4)}")
            return self.pool

        workers = PooledWorkers(
            ledger, make_pool, outbox, outcomes=outcomes, metrics=Metrics(), lease=terms.lease, sweep=terms.sweep
        )
        run = asyncio.create_task(workers.run())
        try:
            yield workers
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run
