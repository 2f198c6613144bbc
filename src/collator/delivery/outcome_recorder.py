"""Recording of attempts in the ledger: gathered while it works, and kept until it has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from collator.errors import Unavailable
from collator.messages import Attempt
from collator.seams.deliveries import DeliveryQueue

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0

_log = structlog.get_logger("collator.delivery")


class OutcomeRecorder:
    """One `Ledger.record_attempts` at a time; what ends meanwhile goes into the next: batches grow with load."""

    def __init__(self, ledger: DeliveryQueue, settled: Callable[[Sequence[Attempt]], None]) -> None:
        """Settle in *ledger*, and tell *settled* what no longer has to be kept."""
        self._ledger = ledger
        self._settled = settled
        self._waiting: list[Attempt] = []
        self._kept = 0
        self._task: asyncio.Task[None] | None = None

    def add(self, attempt: Attempt) -> None:
        """Keep *attempt* until the ledger has it. Never blocks."""
        self._waiting.append(attempt)
        self._kept += 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def finish(self, timeout: float) -> None:
        """Wait until all is settled, at most *timeout* seconds; then give up: the leases of the rest lapse."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout)
        if self._task is not None:
            self._task.cancel()
            _log.error("delivery attempts not recorded; they will be repeated", attempts=self._kept)

    async def _run(self) -> None:
        failures = 0
        while self._waiting:
            batch, self._waiting = self._waiting, []
            if await self._record(batch, failures):
                failures = 0
                self._kept -= len(batch)
                self._settled(batch)
            else:
                self._waiting = batch + self._waiting
                await asyncio.sleep(min(_FIRST_PAUSE * 2.0 ** min(failures, 16), _LONGEST_PAUSE))
                failures += 1
        self._task = None

    async def _record(self, batch: Sequence[Attempt], failures: int) -> bool:
        try:
            await self._ledger.record_attempts(batch)
        except Unavailable as error:
            if not failures:
                _log.warning(
                    "delivery attempts not recorded yet; kept in memory", attempts=len(batch), reason=error.detail
                )
            return False
        except Exception:  # noqa: BLE001 - a defect, and trying again would meet it again, with all others behind it
            # The leases of these lapse, and the ledger hands them out once more.
            _log.exception("delivery attempts not recorded; they will be repeated", attempts=len(batch))
        return True
