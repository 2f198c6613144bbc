"""What time brings: idle timeouts and deadlines, lost hints, and forgetting.

Nothing here is needed for a packet that goes its way; everything here is needed for one that does not. Each round asks
the ledger, which decides; a round that fails is told in the log and tried again at the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from collator.errors import Unavailable
from collator.ledger import Ledger
from collator.metrics import Metrics
from collator.outbox import Outbox
from collator.workforce import Workforce

log = structlog.get_logger("collator.janitor")

SLICE = 1000
"""Resources closed, keys hinted and rows purged in one step: small enough that no packet waits long behind it."""


class Janitor:
    """One round every *interval* seconds."""

    def __init__(
        self,
        ledger: Ledger,
        workforce: Workforce,
        outbox: Outbox,
        *,
        accepting: Callable[[], bool],
        metrics: Metrics,
        interval: float = 1.0,
    ) -> None:
        """*accepting* says whether packets are taken at the moment: only then do idle timeouts run (R13)."""
        self._ledger, self._workforce, self._outbox = ledger, workforce, outbox
        self._accepting, self._metrics, self._interval = accepting, metrics, interval

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                await self.round()
            except Unavailable as error:
                log.warning("a round failed; it is tried again", reason=error.detail)
            await asyncio.sleep(self._interval)

    async def round(self) -> None:
        """Expire, sweep, purge; each in slices, until there is nothing left to do."""
        await self._expire()
        keys = await self._ledger.overdue(limit=SLICE)
        if keys:
            self._workforce.submit((), keys)
        while await self._ledger.purge(limit=SLICE) >= SLICE:
            pass

    async def _expire(self) -> None:
        closed = SLICE
        while closed >= SLICE:
            ended = await self._ledger.expire(accepting=self._accepting(), limit=SLICE, room=self._outbox.room())
            self._outbox.take(ended.deliveries, ended.endpoints)
            self._metrics.resources.inc(ended.closed)
            closed = ended.closed
