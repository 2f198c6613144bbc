"""Results on their way into the ledger, and what the ledger says of them.

Theory. What comes in while a `record` runs goes with the next one. A few of them are outstanding at a time, so that a
group commit always finds some; when none is, the first result is recorded at once. Each has a few MiB at most, so that
no commit takes long. A result is kept until the ledger has it, however long the store is unavailable: it was paid for
with the time of the processor.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, Protocol

import structlog
from prometheus_client import Counter as Count

from collator.errors import Unavailable
from collator.messages import Failure, Lease, Output, Recorded, Result, Retry, StepResult, given_back, output_size
from collator.metrics import Metrics
from collator.seams.operations import Operations
from collator.seams.outbox import Outbox
from collator.seams.packets import WorkQueue
from collator.throttle import Throttle
from collator.workers.failures import FailedAttempts
from collator.workers.result_bytes import ResultBytes

OUTSTANDING = 3
PART = 2 * 1024 * 1024
"""Bytes of outputs that go into the ledger together, or a single one; one call records less than two of these."""

log = structlog.get_logger("collator.workers")


class Recordings(Protocol):
    """Who is told that results are recorded."""

    def __call__(self, results: Sequence[Result], *, due: bool) -> None:
        """The ledger has *results*; *due*: packets are due at once because of them."""
        ...


class _Part(NamedTuple):
    """Results that are recorded in one call."""

    results: list[Result]
    size: int
    """Bytes of their outputs."""


class ResultRecorder:
    """Results that the ledger does not have yet."""

    def __init__(
        self,
        ledger: WorkQueue,
        outbox: Outbox,
        unrecorded: ResultBytes,
        *,
        metrics: Metrics,
        recorded: Recordings,
        failures: FailedAttempts,
    ) -> None:
        """*unrecorded* is told of what the ledger has, *failures* of attempts that failed.

        *recorded* is called with the results of each step that the ledger has taken.
        """
        self._failures = failures
        self._unrecorded = unrecorded
        self._ledger, self._operations = ledger, Operations()
        self._outbox = outbox
        self._recorded = recorded
        self._queue: asyncio.Queue[_Part] = asyncio.Queue()
        self._kept: dict[int, list[Result]] = {}
        self.size = 0
        """How many results the ledger does not have yet."""
        self._throttle = Throttle()
        self._attempts: dict[type, Count] = {
            Output: metrics.attempts.labels("output"),
            Retry: metrics.attempts.labels("retry"),
            Failure: metrics.attempts.labels("failure"),
        }
        self._returned = metrics.attempts.labels("returned")
        self._failed = metrics.failed_attempts
        self._dropped: dict[Recorded, Count] = {
            status: metrics.dropped.labels(str(status)) for status in Recorded if status is not Recorded.RECORDED
        }
        self._closed = metrics.resources

    def leases(self) -> list[Lease]:
        """Their leases."""
        return [result.lease for results in self._kept.values() for result in results]

    def add(self, results: list[Result], size: int) -> None:
        """Take *results*, whose outputs have *size* bytes, to be recorded as soon as can be."""
        for part in [_Part(results, size)] if size <= PART else _in_parts(results):
            if part.results:
                self._kept[id(part)] = part.results
                self.size += len(part.results)
                self._queue.put_nowait(part)

    async def run(self) -> None:
        """Record until cancelled. `OUTSTANDING` of these run at a time."""
        while True:
            parts = await self._gather()
            results = [*chain.from_iterable(part.results for part in parts)]
            due = self._note(results, await self._record(results))
            for part in parts:
                del self._kept[id(part)]
                self._queue.task_done()
            self.size -= len(results)
            self._unrecorded.remove(sum(part.size for part in parts))
            self._recorded(results, due=due)

    async def _gather(self) -> list[_Part]:
        """Gather the results that are recorded in one call."""
        part = await self._queue.get()
        parts, size = [part], part.size
        while size < PART and not self._queue.empty():
            part = self._queue.get_nowait()
            parts.append(part)
            size += part.size
        return parts

    async def flush(self) -> None:
        """Return once the ledger has every result."""
        await self._queue.join()

    async def _record(self, results: Sequence[Result]) -> StepResult:
        operation = self._operations.new()
        while True:
            try:
                outcome = await self._ledger.record(results, capacity=self._outbox.capacity(), operation=operation)
            except Unavailable as error:
                if times := self._throttle.times():
                    words = "results kept in memory; the store cannot be written"
                    log.warning(words, results=self.size, reason=error.detail, times=times)
                await asyncio.sleep(error.retry_after)
            else:
                self._throttle.over()
                return outcome

    def _note(self, results: Sequence[Result], outcome: StepResult) -> bool:
        """Tell all who want to know of *results*; whether packets are due at once because of them."""
        if outcome.deliveries or outcome.endpoints:
            self._outbox.take(outcome.deliveries, outcome.endpoints)
        if outcome.closed:
            self._closed.inc(outcome.closed)
        kinds = Counter(map(type, results))
        if kinds[Retry] and (returned := sum(map(given_back, results))):
            self._returned.inc(returned)
            kinds[Retry] -= returned
        for kind, count in kinds.items():
            self._attempts[kind].inc(count)
        if kinds[Output]:
            self._failures.succeed()
        failed: list[Failure | Retry] = []
        if kinds[Output] < len(results):
            failed = [result for result in results if not isinstance(result, Output)]
            self._failures.fail(failed)
            for label, count in Counter(result.fault.label for result in failed if result.fault).items():
                self._failed.labels(label).inc(count)
        if outcome.statuses.count(Recorded.RECORDED) != len(results):
            self._note_dropped(outcome)
        return any(isinstance(one, Retry) and one.delay <= 0 for one in failed)

    def _note_dropped(self, outcome: StepResult) -> None:
        counts = Counter(outcome.statuses)
        del counts[Recorded.RECORDED]
        for status, count in counts.items():
            self._dropped[status].inc(count)
        log.info("outcomes dropped", **{str(status): count for status, count in counts.items()})


def _in_parts(results: Sequence[Result]) -> list[_Part]:
    parts: list[_Part] = []
    for result in results:
        size = output_size([result])
        if not parts or parts[-1].size + size > PART:
            parts.append(_Part([], 0))
        parts[-1].results.append(result)
        parts[-1] = _Part(parts[-1].results, parts[-1].size + size)
    return parts
