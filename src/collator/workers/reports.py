"""Results on their way into the ledger, and what the ledger says of them.

Theory. What comes in while a `record` runs goes with the next one. A few of them are outstanding at a time, so that a
group commit always finds some; when none is, the first result is recorded at once. Each has a few MiB at most, so that
no commit takes long. A result is kept until the ledger has it, however long the store is unavailable: it was paid for
with the time of the processor. Where only a part of the store is away, nothing that others have waits for it: its
results are put aside; and outputs beyond `ASIDE` are dropped, so that their packets are due again, uncounted, once it
is back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, Protocol

import structlog
from msgspec.structs import replace
from prometheus_client import Counter as Count

from collator.errors import Unavailable
from collator.messages import (
    AnyResult,
    Failure,
    Lease,
    Output,
    Recorded,
    Result,
    Retry,
    RunOutputs,
    StepResult,
    given_back,
    output_size,
    packets_of,
    results_of,
)
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
ASIDE = 16 * 1024 * 1024
"""Bytes of outputs that are kept for parts of the store that are away."""
AGAIN = 1.0
"""Seconds until what was put aside is recorded again."""

log = structlog.get_logger("collator.workers")


class Recordings(Protocol):
    """Who is told that results are recorded."""

    def __call__(self, reports: Sequence[AnyResult], *, due: bool) -> None:
        """The ledger has *reports*; *due*: packets are due at once because of them."""
        ...


class _Part(NamedTuple):
    """Reports that are recorded in one call."""

    reports: list[AnyResult]
    size: int
    """Bytes of their outputs."""


class ResultRecorder:
    """Reports that the ledger does not have yet."""

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

        *recorded* is called with the reports of each step that the ledger has taken.
        """
        self._failures = failures
        self._unrecorded = unrecorded
        self._ledger, self._operations = ledger, Operations()
        self._outbox = outbox
        self._recorded = recorded
        self._queue: asyncio.Queue[_Part] = asyncio.Queue()
        self._kept: dict[int, Sequence[AnyResult]] = {}
        self.size = 0
        """How many packets have a result that the ledger does not have yet."""
        self._aside = 0  # bytes of outputs
        self._throttle = Throttle()
        self._attempts: dict[type, Count] = {
            Output: metrics.attempts.labels("output"),
            Retry: metrics.attempts.labels("retry"),
            Failure: metrics.attempts.labels("failure"),
        }
        self._returned = metrics.attempts.labels("returned")
        self._failed = metrics.failed_attempts
        self._dropped: dict[Recorded, Count] = {
            status: metrics.dropped.labels(str(status)) for status in (Recorded.LOST, Recorded.CLOSED, Recorded.ERROR)
        }
        self._closed = metrics.resources

    def leases(self) -> list[Lease]:
        """Their leases; of several packets that of the first."""
        return [report.lease for reports in self._kept.values() for report in reports]

    def add(self, reports: list[AnyResult], size: int) -> None:
        """Take *reports*, whose outputs have *size* bytes, to be recorded as soon as can be."""
        for part in [_Part(reports, size)] if size <= PART else _in_parts(reports):
            if part.reports:
                self._kept[id(part)] = part.reports
                self.size += sum(map(packets_of, part.reports))
                self._queue.put_nowait(part)

    async def run(self) -> None:
        """Record until cancelled. `OUTSTANDING` of these run at a time."""
        async with asyncio.TaskGroup() as later:
            while True:
                parts = await self._gather()
                reports = [*chain.from_iterable(part.reports for part in parts)]
                operation = self._operations.new()
                left = self._take(reports, await self._record(reports, operation))
                for part in parts:
                    del self._kept[id(part)]
                self._unrecorded.remove(sum(part.size for part in parts))
                if left:
                    later.create_task(self._record_later(self._put_aside(left), operation))
                for _ in parts[1:] if left else parts:
                    self._queue.task_done()

    async def _record_later(self, results: list[Result], operation: str) -> None:
        """Record *results*, which were put aside, once the part of the store that they concern is back."""
        size = output_size(results)
        while results:
            await asyncio.sleep(AGAIN)
            outcome = await self._record(results, operation)
            del self._kept[id(results)]
            results = self._take(results, outcome)
            self._kept.update({id(results): results} if results else {})
        self._aside -= size
        self._queue.task_done()

    def _put_aside(self, results: list[Result]) -> list[Result]:
        """Keep *results*, whose outputs are dropped where there is no room for them."""
        if times := self._throttle.times("aside"):
            log.warning("results kept in memory; a part of the store is away", results=self.size, times=times)
        if self._aside + output_size(results) > ASIDE:
            reason = "the output was dropped, as the store was away for too long"
            dropped = [Retry(result.lease, reason, 0.0, counted=False) for result in results]
            results = [new if isinstance(old, Output) else old for old, new in zip(results, dropped, strict=True)]
        self._aside += output_size(results)
        self._kept[id(results)] = results
        return results

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

    async def _record(self, reports: Sequence[AnyResult], operation: str) -> StepResult:
        while True:
            try:
                outcome = await self._ledger.record(reports, capacity=self._outbox.capacity(), operation=operation)
            except Unavailable as error:
                if times := self._throttle.times():
                    words = "results kept in memory; the store cannot be written"
                    log.warning(words, results=self.size, reason=error.detail, times=times)
                await asyncio.sleep(error.retry_after)
            else:
                self._throttle.over()
                return outcome

    def _take(self, reports: Sequence[AnyResult], outcome: StepResult) -> list[Result]:
        """Tell all who want to know of those of *reports* that the ledger has; the others, packet by packet."""
        left: list[Result] = []
        if Recorded.UNAVAILABLE in outcome.statuses:
            told = [*zip(results_of(reports), outcome.statuses, strict=True)]
            left = [result for result, status in told if status is Recorded.UNAVAILABLE]
            reports = [result for result, status in told if status is not Recorded.UNAVAILABLE]
            outcome = replace(outcome, statuses=[one for one in outcome.statuses if one is not Recorded.UNAVAILABLE])
        due = self._note(reports, outcome)
        self.size -= len(outcome.statuses)
        self._recorded(reports, due=due)
        return left

    def _note(self, reports: Sequence[AnyResult], outcome: StepResult) -> bool:
        """Tell all who want to know of *reports*; whether packets are due at once because of them."""
        if outcome.deliveries or outcome.endpoints:
            self._outbox.take(outcome.deliveries, outcome.endpoints)
        if outcome.closed:
            self._closed.inc(outcome.closed)
        failed = [report for report in reports if not isinstance(report, Output | RunOutputs)]
        if outputs := len(outcome.statuses) - len(failed):
            self._attempts[Output].inc(outputs)
            self._failures.succeed()
        if failed:
            self._note_failed(failed)
        if outcome.statuses.count(Recorded.RECORDED) != len(outcome.statuses):
            self._note_dropped(outcome)
        return any(isinstance(one, Retry) and one.delay <= 0 for one in failed)

    def _note_failed(self, failed: Sequence[Failure | Retry]) -> None:
        kinds = Counter(map(type, failed))
        if kinds[Retry] and (returned := sum(map(given_back, failed))):
            self._returned.inc(returned)
            kinds[Retry] -= returned
        for kind, count in kinds.items():
            self._attempts[kind].inc(count)
        self._failures.fail(failed)
        for label, count in Counter(result.fault.label for result in failed if result.fault).items():
            self._failed.labels(label).inc(count)

    def _note_dropped(self, outcome: StepResult) -> None:
        counts = Counter(outcome.statuses)
        del counts[Recorded.RECORDED]
        for status, count in counts.items():
            self._dropped[status].inc(count)
        log.info("outcomes dropped", **{str(status): count for status, count in counts.items()})


def _in_parts(reports: Sequence[AnyResult]) -> list[_Part]:
    parts: list[_Part] = []
    for report in reports:
        size = output_size([report])
        if not parts or parts[-1].size + size > PART:
            parts.append(_Part([], 0))
        parts[-1].reports.append(report)
        parts[-1] = _Part(parts[-1].reports, parts[-1].size + size)
    return parts
