"""The composition root: opens the engine, starts the stages, and stops them in order.

Order of the start: the ledger first, which finds what the last process left; then those who deliver and those who
work, so that an old backlog moves at once; the door last. Order of the stop: refuse packets, close the door, let the
workers finish, let the deliveries finish, close the ledger. Whoever is stopped hands back what it holds, so the next
start goes on where this one ended (P7).
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog

from collator import logs
from collator.clock import Clock, SystemClock
from collator.delivery import Deliverer, Endpoint, router
from collator.engines.embedded import EmbeddedLedger, open_ledger
from collator.engines.embedded.workforce import ThreadWorkforce
from collator.errors import ConfigError
from collator.intake import Intake
from collator.janitor import Janitor
from collator.metrics import Metrics
from collator.packet import Bounds
from collator.processor import open_processor
from collator.resource import Terms
from collator.settings import NO_WEBHOOK, Settings
from collator.signing import SecretFile, ensure_secret_file
from collator.states import OnFailure
from collator.web.app import Parts, make_app
from collator.web.gate import LOOPBACK
from collator.web.limits import Limits
from collator.web.server import serve

log = structlog.get_logger("collator.service")

SWITCH_INTERVAL = 0.001
"""Seconds for which a thread may keep the interpreter lock while another wants it. Python's own 5 ms let a busy event
loop hold up the writer at each statement (docs/decisions/001-one-writer-one-statement-a-batch.md)."""
LEASE_MARGIN = 15.0
"""Seconds by which a lease on a delivery outlasts its timeout (R24)."""
DEFAULT_ENDPOINT = "default"


class Service(NamedTuple):
    """A running service."""

    url: str
    ledger: EmbeddedLedger
    intake: Intake
    metrics: Metrics


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal cuts the draining short.

    Raises `ConfigError`, `Occupied` or `SchemaTooNew` where it cannot start.
    """
    logs.configure()
    sys.setswitchinterval(SWITCH_INTERVAL)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve_until_told(settings))


@asynccontextmanager
async def open_service(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Service]:
    """A service that runs while the context is open; leaving it drains, within `Settings.drain_timeout`."""
    clock, metrics = clock or SystemClock(), Metrics()
    endpoints = _endpoints(settings)
    processor = open_processor(
        settings.processor,
        timeout=settings.processor_timeout,
        retries=settings.processor_retries,
        max_output=settings.max_output,
        clock=clock,
    )
    terms, route = terms_of(settings), router(endpoints)
    synchronous = settings.unsafe_synchronous
    ledger = await open_ledger(settings.data_dir, terms=terms, clock=clock, route=route, synchronous=synchronous)
    try:
        outbox = Deliverer(ledger, endpoints, clock=clock, metrics=metrics)
        workforce = ThreadWorkforce(
            ledger, processor, outbox, metrics=metrics, concurrency=settings.concurrency, lease=terms.task_lease
        )
        intake = Intake(ledger, workforce, outbox, metrics=metrics)
        parts = Parts(
            intake=intake,
            ledger=ledger,
            workforce=workforce,
            outbox=outbox,
            metrics=metrics,
            readiness=lambda: [reason for part in (ledger, workforce) if (reason := part.health())],
            bounds=terms.bounds,
            limits=Limits(stream_idle=settings.stream_idle_timeout),
            hosts=_hosts(settings),
        )
        async with _running(settings, parts, workforce, outbox) as url:
            yield Service(url, ledger, intake, metrics)
    finally:
        await ledger.aclose()


def terms_of(settings: Settings) -> Terms:
    """What the ledger decides by, out of *settings*."""
    return Terms(
        bounds=Bounds(max_packets=settings.max_packets, max_payload=settings.max_payload),
        on_failure=OnFailure(settings.on_failure),
        idle_timeout=settings.idle_timeout,
        deadline=settings.deadline,
        max_output=settings.max_output,
        max_body=settings.max_body,
        max_open=settings.max_open,
        max_backlog=settings.max_backlog,
        delivery_lease=settings.delivery_timeout + LEASE_MARGIN,
        retention=settings.retention,
        dead_retention=settings.dead_retention,
    )


@asynccontextmanager
async def _running(
    settings: Settings, parts: Parts, workforce: ThreadWorkforce, outbox: Deliverer
) -> AsyncIterator[str]:
    """The stages at work and the door open; at the end they stop in order, whatever happened."""
    ledger, intake = parts.ledger, parts.intake
    accepting = lambda: not intake.draining.is_set()  # noqa: E731
    janitor = Janitor(ledger, workforce, outbox, accepting=accepting, metrics=parts.metrics)
    left = _Countdown(settings.drain_timeout)
    door = serve(make_app(parts), host=settings.host, port=settings.port, limits=parts.limits, grace=left.total / 4)
    async with asyncio.TaskGroup() as group:  # a stage that breaks ends the service, and its supervisor starts it anew
        stages = [group.create_task(stage.run()) for stage in (outbox, workforce, janitor)]
        try:
            async with door as opened:
                yield opened.url
                left.start()
                intake.drain()
            await workforce.drain(left.seconds() * 0.7)
            await outbox.drain(left.seconds() * 0.7)
        finally:
            for stage in stages:
                stage.cancel()


class _Countdown:
    """What is left of the time for draining."""

    def __init__(self, total: float) -> None:
        self.total = total
        self._end = float("inf")

    def start(self) -> None:
        self._end = asyncio.get_running_loop().time() + self.total

    def seconds(self) -> float:
        return max(0.0, min(self.total, self._end - asyncio.get_running_loop().time()))


async def _serve_until_told(settings: Settings) -> None:
    serving = asyncio.current_task()
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell() -> None:
        if told.is_set() and serving is not None:
            serving.cancel()
        told.set()

    _on_signals(loop, tell)
    try:
        async with open_service(settings) as service:
            log.info("serving", url=service.url, data_dir=str(settings.data_dir), webhook=settings.webhook)
            await told.wait()
            log.info("stopping", drain_timeout=settings.drain_timeout)
    except asyncio.CancelledError:
        log.warning("stopped before all was drained; the next start goes on with it")
    else:
        log.info("stopped")


def _on_signals(loop: asyncio.AbstractEventLoop, tell: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        if sys.platform == "win32":  # its loops have no signal handlers
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(tell))
        else:
            loop.add_signal_handler(number, tell)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # not there on Windows

    return uvloop.new_event_loop


def _endpoints(settings: Settings) -> Mapping[str, Endpoint]:
    """The endpoints that the configuration names (R20). `ConfigError` where it names none and does not say so."""
    if settings.webhook is None:
        raise ConfigError(
            "no webhook: say where finished resources go with --webhook URL, or --webhook none to only pull them"
        )
    if settings.webhook == NO_WEBHOOK:
        return {}
    if settings.webhook_secret_file is None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        if ensure_secret_file(settings.secret_file):
            log.info("made a secret to sign webhooks with", file=str(settings.secret_file))
    endpoint = Endpoint(
        name=DEFAULT_ENDPOINT,
        url=settings.webhook,
        secrets=SecretFile(settings.secret_file),
        concurrency=settings.delivery_concurrency,
        timeout=settings.delivery_timeout,
    )
    return {endpoint.name: endpoint}


def _hosts(settings: Settings) -> tuple[str, ...] | None:
    """The names by which the service may be asked; `None` for any."""
    return None if "*" in settings.allow_host else (*LOOPBACK, settings.host, *settings.allow_host)
