"""Upkeep: idle timeouts and deadlines, lost hints, and deletion.

A packet that arrives, is processed and delivered needs nothing of this; everything else does. Each round asks the
ledger, which decides; what fails of a round is logged and tried again at the next. Lost hints are looked for beside the
rounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from collator.errors import CollatorError
from collator.metrics import Metrics
from collator.seams.operations import Operations
from collator.seams.outbox import Outbox
from collator.seams.upkeep import Upkeep
from collator.seams.workers import Workers
from collator.throttle import Throttle

log = structlog.get_logger("collator.janitor")

SLICE = 1000
"""Resources closed by one call, at most. The ledger gives way to others meanwhile."""
PURGED = 8192
"""Rows purged by one call, at most: as many as two commits write that are full of resources of one packet."""
SLICES = 1000
"""Calls of one round that look for timeouts, at most. Each looks at 64 resources, so that of 10,000,000 open ones each
is looked at within minutes; and however many end at once, a round comes to all else that it has to do."""


class Janitor:
    """One round every *interval* seconds."""

    def __init__(
        self,
        ledger: Upkeep,
        workers: Workers,
        outbox: Outbox,
        *,
        accepting: Callable[[], bool],
        trouble: Callable[[], Sequence[str]] = tuple,
        metrics: Metrics,
        beat: Callable[[], None] = lambda: None,
        lost: Callable[[], CollatorError | None] = lambda: None,
        interval: float = 1.0,
    ) -> None:
        """*accepting* says whether packets are taken at the moment: only then do idle timeouts run (R13).

        *trouble* says why they are not taken or not processed; that it begins and ends is told in the log. *beat* is
        called after each step that the ledger has taken: while it takes none, no lease and no idle timeout runs.
        *lost* gives the error to end with, where the store is gone for good.
        """
        self._ledger, self._workers, self._outbox = ledger, workers, outbox
        self._operations = Operations()
        self._accepting, self._metrics, self._interval = accepting, metrics, interval
        self._trouble, self._troubled = trouble, False
        self._beat, self._lost = beat, lost
        self._throttle = Throttle()

    async def run(self) -> None:
        """Go round until cancelled, or until the store is lost, which is raised."""
        parts = (self._go_round(), self._sweep_forever(), self._tell_forever())
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def round(self) -> None:
        """Expire, purge; each in slices, and whatever becomes of the other."""
        await self._try(self._expire)
        await self._try(self._purge)

    async def sweep(self) -> None:
        """Look for packets that are due and of which nobody was told."""
        await self._try(self._sweep)

    def tell(self) -> None:
        """Tell whether packets are taken and processed, where that has changed."""
        reasons = self._trouble()
        if bool(reasons) != self._troubled:
            self._troubled = bool(reasons)
            if reasons:
                log.error("not ready", reason="; ".join(reasons))
            else:
                log.info("ready again")

    async def _go_round(self) -> None:
        while True:
            await self.round()
            if lost := self._lost():
                raise lost
            await asyncio.sleep(self._interval)

    async def _sweep_forever(self) -> None:
        """Beside the rounds, with which the ledger beats: a packet that another node has locked holds up no beat."""
        while True:
            await self.sweep()
            await asyncio.sleep(self._interval)

    async def _tell_forever(self) -> None:
        """Beside the rounds, which a store that does not answer holds up."""
        while True:
            self.tell()
            await asyncio.sleep(self._interval)

    async def _try(self, part: Callable[[], Awaitable[None]]) -> None:
        name = part.__name__
        try:
            await part()
        except CollatorError as error:
            if times := self._throttle.times(name):
                words = "maintenance failed; it will be tried again"
                log.warning(words, part=name, reason=error.detail, times=times)
        else:
            self._throttle.over(name)

    async def _expire(self) -> None:
        for _ in range(SLICES):
            ended = await self._operations.certain(
                self._ledger.expire, accepting=self._accepting(), limit=SLICE, capacity=self._outbox.capacity()
            )
            self._beat()
            self._outbox.take(ended.deliveries, ended.endpoints)
            self._metrics.resources.inc(ended.closed)
            if not ended.more:
                return

    async def _sweep(self) -> None:
        if await self._ledger.work_due():
            self._workers.notify()

    async def _purge(self) -> None:
        while await self._ledger.purge(limit=PURGED) >= PURGED:
            self._beat()
