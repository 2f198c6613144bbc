"""The kinds of workers on Celery: real worker processes, one for each kind and session, and a node for each test."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from collator.cli.children import free_port
from collator.metrics import Metrics
from collator.processor import OutcomeFactory
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.seams.workers import Workers
from collator.workers.pooled_workers import PooledWorkers
from tests.brokers import RabbitMQ, Valkey
from tests.harness.at_work import at_work
from tests.receiver import Judge, Receiver
from tests.wait import until_sync
from tests.workers.behaving_service import answer
from tests.workers.terms import Terms

MODULE = "tests.workers.behaviours"
CALLS = 3
"""That a worker makes at a time: as many as any test asks for."""
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds until a worker is ready: it takes one of CPU time, and others start too."""
_QUIET = ("--without-gossip", "--without-mingle")


@dataclass(frozen=True)
class OnCelery:
    """Workers on Celery, with a function of the behaviours, or with a service that behaves where none is named."""

    behaviour: str
    pool: str
    batch: int = 1
    dies: bool = False
    forgery: str = ""
    hedges: bool = False
    workers: int = 1
    """Worker processes, which make so many calls at a time together."""
    broker: str = "valkey"

    @property
    def service_port(self) -> int:
        return 0 if self.behaviour else WORKERS.service_port

    @asynccontextmanager
    async def start(self, ledger: Ledger, outbox: Outbox, terms: Terms) -> AsyncIterator[Workers]:
        from collator.workers.celery.pool import CeleryPool

        url = WORKERS.broker_of(self)
        outcomes = OutcomeFactory(
            timeout=terms.timeout, retries=terms.retries, patience=terms.patience, clock=terms.clock
        )

        def make_pool(tell: Callable[[], None]) -> CeleryPool:
            queue = f"node-{secrets.token_hex(4)}"
            return CeleryPool(url, outcomes, tell=tell, queue=queue, most_out=terms.concurrency * self.batch)

        workers = PooledWorkers(
            ledger, make_pool, outbox, outcomes=outcomes, metrics=Metrics(), lease=terms.lease, sweep=terms.sweep
        )
        async with AsyncExitStack() as stack:
            if terms.service and not self.behaviour:
                await stack.enter_async_context(Receiver((Judge(answer),), port=WORKERS.service_port))
            async with at_work(workers):
                yield workers


class CeleryWorkers:
    """The worker processes of a session, started when they are first wanted."""

    def __init__(self) -> None:
        self.service_port = free_port()
        """Where the behaving service is, in a test that wants it."""
        self._valkey: Valkey | None = None
        self._rabbitmq: RabbitMQ | None = None
        self._workers: dict[OnCelery, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._directory = ""

    def broker_of(self, kind: OnCelery) -> str:
        """The address of the broker at which a worker of *kind* works."""
        self._directory = self._directory or tempfile.mkdtemp(prefix="collator-celery-")
        if kind not in self._workers:
            url = self._broker(kind.broker)
            self._workers[kind] = url
            self._start(kind, url)
        return self._workers[kind]

    def close(self) -> None:
        """End all."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for server in (self._valkey, self._rabbitmq):
            if server is not None:
                server.close()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _broker(self, name: str) -> str:
        """The address of a broker that no other kind uses."""
        if name == "rabbitmq":
            self._rabbitmq = self._rabbitmq or RabbitMQ()
            return self._rabbitmq.url
        self._valkey = self._valkey or Valkey()
        return self._valkey.url(len(self._workers))

    def _start(self, kind: OnCelery, url: str) -> None:
        """Start the workers of *kind*, and wait until they work."""
        service = f"http://127.0.0.1:{self.service_port}/"
        settings = {
            "COLLATOR_BROKER": url,
            "COLLATOR_PROCESSOR": f"{MODULE}:{kind.behaviour}" if kind.behaviour else service,
            "COLLATOR_BATCH": str(kind.batch),
            "COLLATOR_CONCURRENCY": "1",  # in each process
        }
        logs = [Path(self._directory, f"{len(self._workers)}-{number}.log") for number in range(kind.workers)]
        for number, path in enumerate(logs):
            options = ["-P", kind.pool, "-c", str(CALLS // kind.workers), "-n", f"worker{number}@test", "-l", "info"]
            command = [sys.executable, "-m", "celery", "-A", "collator.workers.celery", "worker", *options, *_QUIET]
            with path.open("wb") as log:
                self._processes.append(
                    subprocess.Popen(command, env={**os.environ, **settings}, cwd=ROOT, stdout=log, stderr=log)
                )
        until_sync(lambda: all(b" ready." in path.read_bytes() for path in logs), PATIENCE)


WORKERS = CeleryWorkers()
"""Those of this test run: a worker takes a second to start."""
