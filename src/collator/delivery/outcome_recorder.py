"""Recording of attempts in the ledger: gathered while it works, and kept until it has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from collator.errors import Unavailable
from collator.messages import Attempt
from collator.seams.deliveries import DeliveryQueue

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
_ASIDE = 1.0  # seconds until what concerns a part of the ledger that is away is recorded again

_log = structlog.get_logger("collator.delivery")


class OutcomeRecorder:
    """One `Ledger.record_attempts` at a time; what ends meanwhile goes into the next: batches grow with load.

    What concerns a part of the ledger that is away is put aside for a while, so that nothing else waits for it.
    """

    def __init__(self, ledger: DeliveryQueue, settled: Callable[[Sequence[Attempt]], None]) -> None:
        """Settle in *ledger*, and tell *settled* what no longer has to be kept."""
        self._ledger = ledger
        self._settled = settled
        self._waiting: list[Attempt] = []
        self._kept = 0
        self._all_recorded = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Keep *attempts* until the ledger has them. Never blocks."""
        self._kept += len(attempts)
        self._all_recorded.clear()
        self._record_soon(attempts)

    async def finish(self, timeout: float) -> None:
        """Wait until all is settled, at most *timeout* seconds; then give up: the leases of the rest lapse."""
        if not self._kept:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._all_recorded.wait()
        if self._kept:
            if self._task is not None:
                self._task.cancel()
            _log.error("delivery attempts not recorded; they will be repeated", attempts=self._kept)

    def _record_soon(self, attempts: Sequence[Attempt]) -> None:
        self._waiting += attempts
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        failures = 0
        while self._waiting:
            batch, self._waiting = self._waiting, []
            stored = await self._record(batch, failures)
            if stored is None:
                self._waiting = batch + self._waiting
                await asyncio.sleep(min(_FIRST_PAUSE * 2.0 ** min(failures, 16), _LONGEST_PAUSE))
                failures += 1
                continue
            failures = 0
            if None in stored:
                left = [attempt for attempt, taken in zip(batch, stored, strict=True) if taken is None]
                asyncio.get_running_loop().call_later(_ASIDE, self._record_soon, left)
                batch = [attempt for attempt, taken in zip(batch, stored, strict=True) if taken is not None]
            self._kept -= len(batch)
            self._settled(batch)
            if not self._kept:
                self._all_recorded.set()
        self._task = None

    async def _record(self, batch: Sequence[Attempt], failures: int) -> Sequence[bool | None] | None:
        """The answers of `DeliveryQueue.record_attempts` for *batch*; none while it cannot answer."""
        try:
            return await self._ledger.record_attempts(batch)
        except Unavailable as error:
            if not failures:
                _log.warning(
                    "delivery attempts not recorded yet; kept in memory", attempts=len(batch), reason=error.detail
                )
            return None
        except Exception:  # noqa: BLE001 - a defect, and trying again would meet it again, with all others behind it
            # The leases of these lapse, and the ledger hands them out once more.
            _log.exception("delivery attempts not recorded; they will be repeated", attempts=len(batch))
            return [False] * len(batch)
