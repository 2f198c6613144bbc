"""A program that sends chords, and a Celery worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.peers.brief.peer import WORKER
from bench.peers.children import Peer, client, process, python, resources, valkey


@asynccontextmanager
async def start(webhook: str) -> AsyncIterator[Peer]:
    """Start them."""
    worker = python("celery", "-A", "bench.peers.chord.app:queue", *WORKER)
    with valkey() as broker:
        given = {"BROKER": broker.url, "WEBHOOK": webhook}
        async with (
            process(worker, given) as working,
            client(python("bench.peers.chord.app"), given, resources) as submitting,
        ):
            pids = {"client": submitting.pid, "worker": working.pid, "broker": broker.pid}
            yield Peer(pids, submitting.send)
