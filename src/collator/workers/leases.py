"""The leases of what is in memory: kept while it is worked on, and given back when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from collator.errors import Unavailable
from collator.messages import Lease, Run, packets_in
from collator.seams.packets import WorkQueue
from collator.workers.task_buffer import TaskBuffer

log = structlog.get_logger("collator.workers")


class LeaseKeeper:
    """Renews them, and gives them back."""

    def __init__(
        self, ledger: WorkQueue, buffer: TaskBuffer, *, held: Callable[[], Iterable[Lease]], lease: float
    ) -> None:
        """*held* gives what is held now, of several packets the first; *lease*: `LedgerLimits.task_lease`, seconds."""
        self._ledger = ledger
        self._buffer = buffer
        self._held = held
        self._lease = lease

    async def run(self) -> None:
        """Renew, every third of a lease, the runs of which something was here a third of a lease ago. Until cancelled.

        By runs, as what is here of one begins further on each time.
        """
        before: set[int] = set()
        while True:
            await asyncio.sleep(self._lease / 3)
            now = set(self._held())
            await self._renew(sorted(lease for lease in now if lease.token in before))
            before = {lease.token for lease in now}

    async def give_back(self, runs: Sequence[Run]) -> None:
        """Let others have *runs*."""
        try:
            if runs:
                await self._ledger.release([lease for run in runs for lease in run.leases()])
        except Unavailable as error:  # they are due again once the leases have ended
            log.warning("leases not released", packets=packets_in(runs), reason=error.detail)

    async def _renew(self, leases: Sequence[Lease]) -> None:
        if not leases:
            return
        try:
            held = await self._ledger.renew(leases)
        except Unavailable as error:
            log.warning("leases not renewed", reason=error.detail)
            return
        self._buffer.drop({lease for lease, still in zip(leases, held, strict=True) if not still})
