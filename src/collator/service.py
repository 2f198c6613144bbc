"""The service: a pipeline with a listener, and the process around it, which signals stop.

Order of the start: the ledger, the listener, the stages, so that nothing is worked on where the port is in use. The
stop goes the other way: while the stages drain the listener stays open, and answers that packets are refused, and why.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import structlog

from collator import allocator, descriptors, logs, workers
from collator.clock import Clock
from collator.delivery import names
from collator.egress import missing_trust
from collator.errors import ConfigError
from collator.forks import Kept
from collator.intake import Intake
from collator.metrics import Metrics
from collator.pipeline import Pipeline, open_pipeline
from collator.seams.ledger import Ledger
from collator.settings import NO_WEBHOOK, Settings, hidden
from collator.signals import ending_on_stop, obey, on_stop
from collator.signing import SecretFile
from collator.tokens import TokenFile
from collator.web.app import Parts, make_app
from collator.web.host_check import allowed_hosts as names_of
from collator.web.host_check import is_loopback
from collator.web.limits import HttpLimits

log = structlog.get_logger("collator.service")

GC_THRESHOLD = 20_000
"""Objects between two looks for cycles, of which a packet makes none: with Python's own 700 the collector took 5 to
10 % of the processor time of a packet."""
LINGER = 1.0
"""Seconds that threads of the user's code have to end when everything else has."""
ONE_ACT = 0.02
"""Seconds in which a second signal belongs to the first: `timeout` and others tell a process, and at once its group."""
SWITCH_INTERVAL = 0.001
"""Seconds for which a thread may keep the interpreter lock while another wants it. Python's own 5 ms let a busy event
loop hold up the writer at each statement (docs/decisions/001-one-writer-one-statement-a-batch.md)."""


class Service(NamedTuple):
    """A running service."""

    url: str
    ledger: Ledger
    intake: Intake
    metrics: Metrics


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal cuts the draining short.

    Raises `ConfigError`, `Occupied` or `SchemaTooNew` where it cannot start.
    """
    logs.configure(settings.log_format, level=settings.log_level)
    descriptors.raise_limit()
    allocator.return_large_buffers()
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    with (
        Kept(first=obey),
        workers.guard(settings),
        ending_on_stop(_say_early_end),
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        runner.run(_serve_until_told(settings))
        # Before the loop is closed, which waits for the threads of its pool: a disk may hold one for long.
        threading.Thread(target=_end, name="collator-end", daemon=True).start()


def _end() -> None:
    """End the process (P7), where threads that go on would not: of the user's code, or waiting for a disk."""
    threading.Event().wait(LINGER)
    log.warning("stopped while threads were still running")
    logs.flush()
    os._exit(0)


@asynccontextmanager
async def open_service(
    settings: Settings,
    *,
    clock: Clock | None = None,
    processor: Callable[..., object] | None = None,
    own_process: bool = False,
) -> AsyncIterator[Service]:
    """A service that runs while the context is open; leaving it drains, within `Settings.drain_timeout`.

    *processor* counts before that of the settings; *own_process* as in `open_pipeline`. Raises what that raises,
    `ConfigError` where the listener cannot be opened, or should not be, and `Occupied` where its port is in use.
    """
    from collator.web.access_log import AccessLog
    from collator.web.server import serve  # the library has the parts of a listener, and not the listener

    check(settings)
    if problem := missing_trust():
        log.warning("no certificate authorities are trusted", reason=problem)
    settings = descriptors.fitted(settings, descriptors.limit())
    tokens = TokenFile(settings.tokens_file).current if settings.tokens_file else None
    ticket_secrets = SecretFile(settings.ticket_secret_file).current if settings.ticket_secret_file else None
    async with open_pipeline(settings, clock=clock, processor=processor, own_process=own_process) as pipeline:
        own = {
            "tokens": tokens,
            "ticket_secrets": ticket_secrets,
            "ui": settings.ui,
            "ui_payloads": settings.ui_payloads,
        }
        parts = msgspec.structs.replace(parts_of(pipeline, settings), **own)
        metrics = pipeline.metrics
        app = make_app(parts)
        listener = serve(
            AccessLog(app, now=time.monotonic) if settings.access_log else app,
            host=settings.host,
            port=settings.port,
            limits=parts.limits,
            grace=pipeline.left,
            lagged=metrics.loop_lag.observe,
            stopping=pipeline.intake.draining.is_set,
            refusals=app.refusals,
            direct=None if settings.access_log else app.direct,
            upgrades=True,
        )
        async with app.audit.recording(), listener as opened, pipeline.at_work():
            metrics.connections.set_function(lambda: opened.connections)
            metrics.lost_lines.count = logs.lost_lines
            yield Service(opened.url, pipeline.ledger, pipeline.intake, metrics)


def parts_of(pipeline: Pipeline, settings: Settings) -> Parts:
    """The parts of *pipeline* for its HTTP app."""
    return Parts(
        intake=pipeline.intake,
        ledger=pipeline.ledger,
        workers=pipeline.workers,
        outbox=pipeline.outbox,
        metrics=pipeline.metrics,
        readiness=pipeline.readiness,
        risks=pipeline.risks,
        durability=pipeline.durability,
        packet_limits=pipeline.packet_limits,
        limits=limits_of(settings),
        hosts=names_of(settings.host, settings.allow_host),
        origins=settings.allow_origin,
        hide_payloads=settings.hide_payloads,
        interim=pipeline.interim,
    )


def limits_of(settings: Settings) -> HttpLimits:
    """The limits of the HTTP listener, out of *settings*."""
    return HttpLimits(
        max_body=settings.max_request,
        max_buffered=max(settings.max_buffered, 2 * settings.max_request),  # a body beyond its share would never pass
        max_requests=settings.max_requests,
        max_connections=settings.max_connections,
        max_streams=settings.max_streams,
        max_waits=settings.max_waits,
        stream_idle=settings.stream_idle_timeout,
    )


def check(settings: Settings) -> None:
    """Raise `ConfigError` where other machines would reach the service, and nobody would be asked who he is."""
    if not (settings.insecure or settings.tokens_file or is_loopback(settings.host)):
        raise ConfigError(
            f"--host {settings.host} can be reached from other machines without authentication: "
            "use tokens (collator token, --tokens-file), listen on 127.0.0.1 behind a proxy that authenticates, "
            "or add --insecure"
        )


async def _serve_until_told(settings: Settings) -> None:
    serving = asyncio.current_task()
    told, stopping = asyncio.Event(), asyncio.Event()

    def tell() -> None:
        if stopping.is_set() and serving is not None:
            serving.cancel()
        told.set()

    try:
        async with open_service(settings, own_process=True) as service:
            on_stop(tell)
            endpoints = ",".join(names(settings)) or NO_WEBHOOK
            processor = hidden(settings.processor) if settings.workers == "local" else f"{settings.workers} workers"
            data_dir = str(settings.data_dir)
            log.info("serving", url=service.url, data_dir=data_dir, processor=processor, endpoints=endpoints)
            await told.wait()
            await asyncio.sleep(ONE_ACT)
            stopping.set()
            log.info("stopping", drain_timeout=settings.drain_timeout)
    except asyncio.CancelledError:
        log.warning("stopped before all work was finished; the next start continues it")
    else:
        log.info("stopped")


def _say_early_end() -> None:
    log.info("stopped before serving")
    logs.flush()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # not there on Windows

    return uvloop.new_event_loop
