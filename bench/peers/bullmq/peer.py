"""A program on Node that submits, and one with a worker of BullMQ."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bench import job
from bench.peers.children import MODULES, Peer, client, packets, process, resources, valkey
from bench.processes import ROOT

_FOLDER = ROOT / "bench" / "peers" / "bullmq"


def missing() -> str | None:
    """Why it cannot run here."""
    if shutil.which("node") is None:
        return "there is no Node"
    return None if (MODULES / "bullmq").exists() else "BullMQ is not installed, which make bench-peers does by npm"


@asynccontextmanager
async def flow(webhook: str, *, synced: bool = False) -> AsyncIterator[Peer]:
    """A flow for each resource."""
    async with _start("flow.js", webhook, resources, synced=synced) as peer:
        yield peer


@asynccontextmanager
async def each(webhook: str, *, synced: bool = False) -> AsyncIterator[Peer]:
    """A job for each packet."""
    async with _start("packets.js", webhook, packets, synced=synced) as peer:
        yield peer


@asynccontextmanager
async def _start(
    program: str, webhook: str, units: Callable[[job.Load], bytes], *, synced: bool
) -> AsyncIterator[Peer]:
    node = ("node", str(_FOLDER / program))
    with valkey(synced=synced) as broker:
        given = {"BROKER": broker.url, "WEBHOOK": webhook}
        async with (
            process((*node, "worker"), given) as working,
            client((*node, "client"), given, units) as submitting,
        ):
            pids = {"client": submitting.pid, "worker": working.pid, "broker": broker.pid}
            yield Peer(pids, submitting.send)
