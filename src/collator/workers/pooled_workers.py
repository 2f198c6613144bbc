"""The workers of a pool: which packets are in memory, for how long, and what becomes of them at the end.

Theory. The store holds the backlog, and memory a window of it. For a processor of milliseconds the window is two
tasks a call at a time: enough that none waits for the store, and so few that a packet of another resource is never
behind many and that a restart repeats little. For one of microseconds it grows up to `window`, so that work is fetched
in thousands. Whatever is fetched is leased; the leases of what is still here are renewed, and given back by `drain`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

import structlog

from collator.errors import CollatorError
from collator.messages import AnyResult, FailureReport, Lease, Run, WorkerReport, packets_in
from collator.metrics import Metrics
from collator.processor import OutcomeFactory
from collator.seams.operations import Operations
from collator.seams.outbox import Outbox
from collator.seams.packets import WorkQueue
from collator.throttle import Throttle
from collator.workers.failures import FailedAttempts
from collator.workers.leases import LeaseKeeper
from collator.workers.pool import WorkerPool
from collator.workers.reports import OUTSTANDING, ResultRecorder

WINDOW = 4096
"""Tasks in memory, at most."""
WATCH = 0.025
"""Seconds between two looks at calls that take long."""
TELL = 5.0
"""Seconds between two looks for failed attempts that were not logged yet."""
GRACE = 1.0
"""Seconds beyond the time for draining in which results are still recorded and leases given back."""

log = structlog.get_logger("collator.workers")


class PooledWorkers:
    """Has the processor called by a pool; implements `collator.seams.workers.Workers`."""

    def __init__(
        self,
        ledger: WorkQueue,
        make_pool: Callable[[Callable[[], None]], WorkerPool],
        outbox: Outbox,
        *,
        outcomes: OutcomeFactory,
        metrics: Metrics,
        window: int = WINDOW,
        sweep: float = 0.5,
        lease: float = 30.0,
    ) -> None:
        """Take the parts; nothing is started before `run`.

        *make_pool* gets what the pool calls, in any thread, when there are results to collect; *outcomes* has the
        limits of its calls. At most *window* tasks
        are in memory. *sweep*: seconds after which the ledger is asked without a hint, as a retry falls due without
        one. *lease*: `LedgerLimits.task_lease`, seconds.
        """
        self._ledger, self._operations = ledger, Operations()
        self._metrics = metrics
        self._window = window
        self._sweep = sweep
        self._pool = make_pool(self._results_ready)
        self._buffer = self._pool.buffer
        unrecorded = self._pool.result_queue.unrecorded
        clock = outcomes.clock
        self._failures = FailedAttempts(
            timeout=outcomes.timeout, now=clock.monotonic, wall=clock.wall, notices=metrics.notices
        )
        self._reports = ResultRecorder(
            ledger, outbox, unrecorded, metrics=metrics, recorded=self._recorded, failures=self._failures
        )
        self._leases = LeaseKeeper(ledger, self._buffer, held=self._held, lease=lease)
        self._due = True
        self._partly = False  # the last claim gave less than there was room for
        self._short = False  # a claim gave nothing behind such a one, and nothing has been recorded since
        self._draining = False
        self._arriving: list[Run] = []
        self._wake = asyncio.Event()
        self._busy = asyncio.Event()
        self._quiet = asyncio.Event()
        self._claiming = asyncio.Lock()
        self._throttle = Throttle()
        self._loop: asyncio.AbstractEventLoop

    def capacity(self) -> int:
        """The number of further tasks that it would take now."""
        if self._draining:
            return 0
        here = packets_in(self._arriving) + len(self._buffer) + self._pool.in_hand()
        unrecorded = max(0, self._reports.size - OUTSTANDING * self._window)
        return max(0, self._pool.width() - here - unrecorded)

    def submit(self, runs: Sequence[Run]) -> None:
        """Take *runs*. From the event loop's thread; never blocks."""
        if not self._arriving:
            asyncio.get_running_loop().call_soon(self._pass_on)
        self._arriving += runs

    def notify(self) -> None:
        """Take the hint that packets are due. From the event loop's thread; never blocks."""
        self._due = True
        self._claim_soon()

    async def run(self) -> None:
        """Work until cancelled. `drain` first, where results that are not recorded yet should not be lost."""
        self._loop = asyncio.get_running_loop()
        self._pool.start()
        self._wake.set()  # what the last process left is due now
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._claim_forever())
                group.create_task(self._watch_forever())
                group.create_task(self._leases.run())
                group.create_task(self._tell_forever())
                for _ in range(OUTSTANDING):
                    group.create_task(self._reports.run())
        finally:
            self._failures.tell_rest(everything=True)
            self._pool.stop()
            await self._until_ended()

    async def drain(self, timeout: float) -> None:
        """Claim no more, give back what waits, wait up to *timeout* seconds for what runs, and record its results.

        What still runs then is given back. To be called while `run` runs; takes `GRACE` seconds more at most.
        """
        self._draining = True
        self._buffer.pause()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                async with self._claiming:
                    await self._leases.give_back(self._buffer.take_back())
                self._quiet.clear()
                self._update_idle()
                await self._quiet.wait()
        unfinished = [*self._pool.give_up(), *self._buffer.take_back()]
        self._collect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self._leases.give_back(unfinished)
                await self._reports.flush()
        log.info("workers drained", released=packets_in(unfinished), not_recorded=self._reports.size)

    @property
    def abandoned(self) -> int:
        """The number of calls that have outlasted their timeout and not returned."""
        return self._pool.abandoned

    def health(self) -> str | None:
        """The reason why nothing is processed, in words; `None` while all is well."""
        return self._pool.health() or self._failures.health()

    def in_hand(self) -> int:
        """The number of packets in the hands of the pool."""
        return packets_in(self._pool.unfinished())

    def reports(self) -> Sequence[WorkerReport]:
        """The workers elsewhere that are known."""
        return self._pool.reports()

    def failures(self) -> Sequence[FailureReport]:
        """The attempts that failed of late, by kind."""
        return self._failures.latest()

    def _pass_on(self) -> None:
        """Put in line what has arrived in this turn of the event loop: one thread is woken, not one for each."""
        self._buffer.put(self._arriving)
        self._arriving = []
        self._busy.set()

    def _claim_soon(self) -> None:
        """Have the ledger asked, if something may be due and enough room is there to make it worth while."""
        if self._due and self.capacity() > self._pool.width() // 4:
            self._wake.set()

    def _recorded(self, reports: Sequence[AnyResult], *, due: bool) -> None:
        self._pool.recorded(reports)
        self._short = False
        self._due = self._due or due
        self._claim_soon()

    async def _claim_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._sweep):
                    await self._wake.wait()
            self._wake.clear()
            async with self._claiming:
                await self._claim()
            if not self._short:
                self._claim_soon()

    async def _claim(self) -> None:
        capacity = self.capacity()
        if capacity == 0:
            return
        self._due = False  # before the question: a hint that comes in while it is answered stands
        try:
            runs = await self._operations.certain(self._ledger.claim, capacity=capacity)
        except CollatorError as error:
            if times := self._throttle.times():
                log.warning("cannot claim packets from the store", reason=error.detail, times=times)
            return
        self._throttle.over()
        # Few may have come though more are due, as they are large. Where nothing more comes, but there was something,
        # the store holds it back until an outcome is recorded: a suspect runs alone, or as much is out as may be.
        got = packets_in(runs)
        self._short = not got and (self._short or self._partly)
        self._partly = 0 < got < capacity
        self._due = self._due or got > 0 or self._short
        self.submit(runs)

    async def _tell_forever(self) -> None:
        while True:
            await asyncio.sleep(TELL)
            self._failures.tell_rest()

    async def _watch_forever(self) -> None:
        while True:
            await self._busy.wait()
            await asyncio.sleep(WATCH)
            self._pool.result_queue.add(self._pool.watch())
            self._update_idle()

    def _results_ready(self) -> None:
        """Results are in the result queue. In any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the service has ended, and with it the leases
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        collected = self._pool.result_queue.collect()
        for seconds in collected.seconds:
            self._metrics.processing.observe(seconds)
        self._reports.add(collected.reports, collected.size)
        self._update_idle()

    def _update_idle(self) -> None:
        """See whether all calls are at rest."""
        if self._pool.in_hand() == 0:
            self._quiet.set()
            if len(self._buffer) == 0:
                self._busy.clear()

    def _held(self) -> Iterable[Lease]:
        return [
            *(run.lease for run in self._buffer.runs()),
            *(run.lease for run in self._pool.unfinished()),
            *self._reports.leases(),
        ]

    async def _until_ended(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                while not self._pool.ended():  # noqa: ASYNC110 - threads end without a word
                    await asyncio.sleep(WATCH / 10)
