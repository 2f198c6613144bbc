"""A whole cluster: a broker, nodes, workers, a receiver and the load on them; and what must hold in the end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

from collator.cli.children import free_port
from tests.cluster.load import Load
from tests.cluster.worker_process import WorkerProcess
from tests.harness.checker import complaints, failures
from tests.harness.note import note
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink

SECRET = "whsec_" + "QUJD" * 10 + "\n"


class Cluster:
    """Nodes and workers, none of them started yet. Whatever is started ends with the context."""

    def __init__(self, home: Path, sink: Sink, stack: AsyncExitStack) -> None:
        self.sink = sink
        self.nodes: list[ServiceProcess] = []
        self.workers: list[WorkerProcess] = []
        self._home, self._stack = home, stack

    async def node(self, broker: str, *, source: Path | None = None, **settings: object) -> ServiceProcess:
        """Add a node at *broker*."""
        service = ServiceProcess(
            self._home / f"node-{len(self.nodes) + 1}",
            webhook=self.sink.url,
            webhook_secret_file=self._home / "secret",
            port=free_port(),  # the same after a restart
            workers="celery",
            broker=broker,
        )
        service.settings |= settings
        if source is not None:
            service.environment["PYTHONPATH"] = str(source)
        self.nodes.append(await self._stack.enter_async_context(service))
        return service

    def worker(
        self, broker: str, *options: str, processor: str = "slow", app: str = "", source: Path | None = None
    ) -> WorkerProcess:
        """Add a worker at *broker*, with *options* of Celery."""
        home = self._home / f"worker-{len(self.workers) + 1}"
        worker = WorkerProcess(home, broker, *options, processor=processor, app=app, source=source)
        self.workers.append(self._stack.enter_context(worker))
        return worker

    def processes(self) -> list[ServiceProcess | WorkerProcess]:
        """All nodes and workers."""
        return [*self.nodes, *self.workers]

    def load(self, seed: int = 1, *, patience: float | None = None) -> Load:
        """Load for the nodes, which have to listen."""
        return Load([node.url for node in self.nodes], self.sink, Random(seed), patience=patience)

    def judge(self, load: Load, *, at_least: int) -> list[str]:
        """What was broken, in words: by the checker of all faults."""
        note(f"{len(load.history.acked)} packets acknowledged, {len(self.sink.webhooks)} webhooks")
        return complaints(load.history, self.sink.webhooks, at_least=at_least)

    def note_logs(self) -> None:
        """Put on record what the latest processes have written, for a test that fails."""
        for process in self.processes():
            note(f"{process.home.name}:\n{process.log()[-4000:]}" if process.starts else "")

    def delivered(self) -> set[str]:
        """The resources of which a webhook was taken."""
        return {json.loads(webhook.body)["data"]["resource_id"] for webhook in self.sink.webhooks if webhook.taken}

    def failed(self) -> list[str]:
        """The reasons of all packets that ended as failed."""
        bodies = [json.loads(webhook.body) for webhook in self.sink.webhooks if webhook.taken]
        return [failure["reason"] for body in bodies for failure in failures(body)]


@asynccontextmanager
async def cluster(home: Path) -> AsyncIterator[Cluster]:
    """An empty one, with a receiver."""
    secret = home / "secret"
    secret.write_text(SECRET, "ascii")
    secret.chmod(0o600)
    async with Sink(secret) as sink, AsyncExitStack() as stack:
        yield Cluster(home, sink, stack)
