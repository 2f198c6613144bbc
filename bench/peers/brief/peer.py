"""Flask behind gunicorn, and a Celery worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from bench import job, sender
from bench.peers.children import Peer, listening, process, python, valkey
from bench.sender import Sent
from collator.cli.children import free_port
from collator.errors import CollatorError

CONNECTIONS = 64
WORKER = ("worker", "-P", "prefork", "-c", "2", "-l", "error", "--without-gossip", "--without-mingle")
_WEB = ("--workers", "2", "--threads", "8", "--keep-alive", "60", "--log-level", "error")


@asynccontextmanager
async def start(webhook: str) -> AsyncIterator[Peer]:
    """Start them."""
    port = free_port()

    async def send(load: job.Load) -> Sent:
        sent = await sender.post(port, load.requests(), connections=min(CONNECTIONS, len(load.packets)))
        if faults := [*sent.faults()]:
            raise CollatorError(faults[0])
        return sent

    async with AsyncExitStack() as stack:
        broker = stack.enter_context(valkey())
        given = {"BROKER": broker.url, "WEBHOOK": webhook}
        web = python("gunicorn", "--bind", f"127.0.0.1:{port}", *_WEB, "bench.peers.brief.app:app")
        worker = python("celery", "-A", "bench.peers.brief.app:queue", *WORKER)
        pids = {
            name: (await stack.enter_async_context(process(command, given))).pid
            for name, command in (("web", web), ("worker", worker))
        }
        await listening(port, "gunicorn")
        yield Peer({**pids, "broker": broker.pid}, send)
