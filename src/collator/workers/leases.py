"""The leases of what is in memory: kept while it is worked on, and given back when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from collator.errors import Unavailable
from collator.messages import Lease, Task
from collator.seams.packets import WorkQueue
from collator.workers.task_buffer import TaskBuffer

log = structlog.get_logger("collator.workers")


class LeaseKeeper:
    """Renews them, and gives them back."""

    def __init__(
        self, ledger: WorkQueue, buffer: TaskBuffer, *, held: Callable[[], Iterable[Lease]], lease: float
    ) -> None:
        """*held* gives all that are held now; *lease*: `LedgerLimits.task_lease`, seconds."""
        self._ledger = ledger
        self._buffer = buffer
        self._held = held
        self._lease = lease

    async def run(self) -> None:
        """Renew, every third of a lease, what was here a third of a lease ago. Until cancelled."""
        before: set[Lease] = set()
        while True:
            await asyncio.sleep(self._lease / 3)
            now = set(self._held())
            await self._renew(sorted(now & before))
            before = now

    async def give_back(self, tasks: Sequence[Task]) -> None:
        """Let others have *tasks*."""
        try:
            if tasks:
                await self._ledger.release([task.lease for task in tasks])
        except Unavailable as error:  # they are due again once the leases have ended
            log.warning("leases not released", tasks=len(tasks), reason=error.detail)

    async def _renew(self, leases: Sequence[Lease]) -> None:
        if not leases:
            return
        try:
            held = await self._ledger.renew(leases)
        except Unavailable as error:
            log.warning("leases not renewed", reason=error.detail)
            return
        self._buffer.drop({lease for lease, still in zip(leases, held, strict=True) if not still})
