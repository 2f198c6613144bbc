"""A program that sends tasks, and two worker processes of taskiq."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.peers.children import Peer, client, packets, process, python, valkey

_WORKERS = ("--workers", "2", "--max-async-tasks", "100", "--log-level", "ERROR", "--no-parse")


@asynccontextmanager
async def start(webhook: str, *, synced: bool = False) -> AsyncIterator[Peer]:
    """Start them."""
    worker = python("taskiq", "worker", "bench.peers.taskiq.app:broker", *_WORKERS)
    with valkey(synced=synced) as broker:
        given = {"BROKER": broker.url, "WEBHOOK": webhook}
        async with (
            process(worker, given) as working,
            client(python("bench.peers.taskiq.app"), given, packets) as submitting,
        ):
            pids = {"client": submitting.pid, "worker": working.pid, "broker": broker.pid}
            yield Peer(pids, submitting.send)
