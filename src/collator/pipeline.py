"""The pipeline: a ledger, workers and the stages between them. The service and the library open the same.

Order of the start: the ledger first, which finds what the last process left; then those who deliver and those who
work, so that an old backlog moves at once. Order of the stop: refuse packets, let the workers finish, let the
deliveries finish, close the ledger. Whoever is stopped hands back what it holds, so that the next start goes on where
this one ended (P7). Listeners are no part of it: a service opens one around the stages that are at work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import structlog

from collator import ledgers, workers
from collator.backlog import Backlog
from collator.clock import Clock, Heartbeat, SystemClock
from collator.delivery import Circuits, Dispatcher, Endpoint, configure, longest_timeout, policy_of, router
from collator.egress import Egress
from collator.intake import Intake
from collator.janitor import Janitor
from collator.messages import Durability
from collator.metrics import Metrics
from collator.packet import PacketLimits
from collator.rules.resource import LedgerLimits
from collator.seams.backend import LedgerBackend, WorkersBackend
from collator.settings import Settings
from collator.states import OnFailure
from collator.tracing import open_tracing

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing

log = structlog.get_logger("collator.pipeline")

BEAT = 0.25
"""Seconds between two beats of the event loop."""
STOPS_BESIDE_OTHERS = 3
"""Unclean stops after which a packet runs beside others, where the processor is called outside this process: a packet
that ends that of its call is told apart there, and one that ends this one, in whatever way, is found all the same."""
LEASE_MARGIN = 15.0
"""Seconds by which a lease on a delivery outlasts its timeout (R24)."""


class Beats(NamedTuple):
    """The heartbeats of what may stand still, each for itself."""

    process: Heartbeat
    """Beats while the event loop turns."""
    store: Heartbeat
    """Beats while the store takes what the janitor asks of it, so never where the process stands still."""


class Pipeline:
    """The parts of a pipeline, which stand still but for the context of `at_work`."""

    def __init__(
        self,
        settings: Settings,
        ledger_backend: LedgerBackend,
        workers_backend: WorkersBackend,
        endpoints: Mapping[str, Endpoint],
        *,
        ledger_limits: LedgerLimits,
        clock: Clock,
        beats: Beats,
        tracing: Tracing | None,
    ) -> None:
        """Put the parts together; nothing moves yet."""
        self._backend, self.ledger = ledger_backend, ledger_backend.ledger
        self.packet_limits = ledger_limits.packet_limits
        self.metrics = Metrics()
        ledger_backend.watch(self.metrics)
        self.metrics.clock_behind.set(ledger_backend.behind)
        self.metrics.usable.set_function(lambda: float(ledger_backend.health() is None))
        circuits = Circuits(failures=settings.breaker_failures, longest=settings.breaker_pause)
        egress = Egress(policy=policy_of(settings), stood_still=beats.process.stood_still)
        self.outbox = Dispatcher(
            self.ledger, endpoints, clock=clock, metrics=self.metrics, egress=egress, circuits=circuits
        )
        self.outbox.sender.tracing = tracing
        self.interim = workers_backend.interim
        self.workers = workers_backend.workers(
            self.ledger, self.outbox, metrics=self.metrics, lease=ledger_limits.task_lease, tracing=tracing
        )
        self.intake = Intake(
            self.ledger,
            self.workers,
            self.outbox,
            metrics=self.metrics,
            backlog=Backlog(ledger_limits.max_backlog),
            unavailable=ledger_backend.refusal,
            tracing=tracing,
        )
        self._janitor = Janitor(
            self.ledger,
            self.workers,
            self.outbox,
            accepting=self._accepting,
            trouble=self._trouble,
            metrics=self.metrics,
            beat=beats.store.beat,
            lost=ledger_backend.lost,
        )
        self._beats = beats
        self._left = _Countdown(settings.drain_timeout)

    def readiness(self) -> list[str]:
        """The reasons why packets are not accepted or not processed now, a sentence each."""
        refusal = self.intake.refusal()
        reasons = (refusal and refusal.detail, self._backend.health(), self.workers.health())
        return [*dict.fromkeys(reason for reason in reasons if reason)]

    def risks(self) -> Sequence[str]:
        """The reasons why an acknowledged packet may be lost nevertheless, a sentence each."""
        return self._backend.risks()

    async def durability(self) -> Durability:
        """The durability of commits of the ledger. `Unavailable`."""
        return await self._backend.durability()

    def left(self) -> float:
        """Seconds of the time for draining that are left."""
        return self._left.seconds()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """The stages run while the context is open. Leaving it drains, within `Settings.drain_timeout`.

        Packets are refused meanwhile, and everything else is answered. An error cuts the draining short.
        """
        async with asyncio.TaskGroup() as group:  # a stage that breaks ends all, and a supervisor starts them anew
            parts = (self.outbox.run(), self.workers.run(), self._janitor.run(), self._beat_forever())
            stages = [group.create_task(part) for part in parts]
            try:
                yield
                self._left.start()
                self.intake.drain()
                if not any(stage.done() for stage in stages):
                    await self.workers.drain(self.left() * 0.7)
                    await self.outbox.drain(self.left() * 0.7)
            except BaseException:
                self._left.end()
                raise
            finally:
                for stage in stages:
                    stage.cancel()

    async def _beat_forever(self) -> None:
        while True:
            self._beats.process.beat()
            await asyncio.sleep(BEAT)

    def _accepting(self) -> bool:
        held_back = self.intake.held_back()
        return self.intake.refusal() is None and self._backend.health() is None and not held_back

    def _trouble(self) -> list[str]:
        return [] if self.intake.draining.is_set() else self.readiness()  # a stop is meant


@asynccontextmanager
async def open_pipeline(
    settings: Settings,
    *,
    clock: Clock | None = None,
    processor: Callable[..., object] | None = None,
    endpoints: Sequence[Endpoint] = (),
    own_process: bool = False,
) -> AsyncIterator[Pipeline]:
    """A pipeline with the ledger and the workers that *settings* name, not yet at work.

    *processor* counts before that of the settings, and *endpoints* beside theirs: what only a program can give.
    *own_process*: whether the process is that of a service, so that its traces are set up for all that runs in it.

    Raises `ConfigError`, `Occupied`, `SchemaTooNew`, `Damaged` or `Unavailable` where it cannot start.
    """
    clock = clock or SystemClock()
    signed = _has_own_secret(settings)
    beats = Beats(Heartbeat(), Heartbeat())
    workers_backend = workers.open_backend(  # first: where that fails, no secret is made
        settings, processor=processor, clock=clock, stood_still=beats.process.stood_still
    )
    async with open_tracing(on=settings.tracing, own_process=own_process) as tracing:
        routes = {**configure(settings), **{endpoint.name: endpoint for endpoint in endpoints}}
        ledger_limits = ledger_limits_of(
            settings,
            routes,
            side_by_side=STOPS_BESIDE_OTHERS if workers_backend.separate else 0,
            hand_out_metadata=workers_backend.wants_metadata,
        )
        route, stood_still = router(routes), beats.store.stood_still
        ledger_backend = await ledgers.open_backend(
            settings, ledger_limits=ledger_limits, clock=clock, route=route, stood_still=stood_still
        )
        try:
            _log_clock_jump(ledger_backend.behind)
            await _log_beginnings(settings, ledger_backend, signed=signed)
            yield Pipeline(
                settings,
                ledger_backend,
                workers_backend,
                routes,
                ledger_limits=ledger_limits,
                clock=clock,
                beats=beats,
                tracing=tracing,
            )
        finally:
            await ledger_backend.aclose()


def _log_clock_jump(behind: float) -> None:
    if behind:
        log.error(
            "the clock is far ahead of the last time in the store; nothing expires or is deleted",
            days=round(behind / 86_400, 1),
            action="if the clock is right, start once with --accept-clock; if not, correct it and start again",
        )


async def _log_beginnings(settings: Settings, backend: LedgerBackend, *, signed: bool) -> None:
    """Tell whether this start made what was there before: the database, though it is *signed* for, or the secret."""
    if backend.begun and signed:
        log.warning(
            "created a new database: the old one is missing or empty, but its webhook secret exists",
            data_dir=str(settings.data_dir),
        )
    if signed or not _has_own_secret(settings):
        return
    counts = await backend.ledger.counts()
    if counts.open or counts.collated or counts.incomplete or counts.cancelled:
        log.warning("created a new webhook secret; receivers need it", file=str(settings.secret_file))
    else:
        log.info("created the webhook secret", file=str(settings.secret_file))


def _has_own_secret(settings: Settings) -> bool:
    try:
        return settings.webhook_secret_file is None and settings.secret_file.exists()
    except OSError:  # whoever makes it says what is wrong
        return False


def ledger_limits_of(
    settings: Settings, endpoints: Mapping[str, Endpoint], *, side_by_side: int = 0, hand_out_metadata: bool = False
) -> LedgerLimits:
    """The limits of the ledger from *settings* and *endpoints*; the others are those of `LedgerLimits`."""
    return LedgerLimits(
        packet_limits=PacketLimits(max_packets=settings.max_packets, max_payload=settings.max_payload),
        on_failure=OnFailure(settings.on_failure),
        idle_timeout=settings.idle_timeout,
        deadline=settings.deadline,
        max_output=settings.max_output,
        max_body=settings.max_body,
        max_open=settings.max_open,
        max_backlog=settings.max_backlog,
        side_by_side=side_by_side,
        hand_out_metadata=hand_out_metadata,
        delivery_lease=longest_timeout(endpoints) + LEASE_MARGIN,
        retention=settings.retention,
        dead_retention=settings.dead_retention,
        clock_jump=None if settings.accept_clock else settings.clock_jump,
        remember=settings.remember,
    )


class _Countdown:
    """The time that is left for draining."""

    def __init__(self, total: float) -> None:
        self._total = total
        self._end = float("inf")

    def start(self) -> None:
        self._end = asyncio.get_running_loop().time() + self._total

    def end(self) -> None:
        self._end = 0.0

    def seconds(self) -> float:
        return max(0.0, min(self._total, self._end - asyncio.get_running_loop().time()))
