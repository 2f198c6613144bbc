"""The processes of each peer: started, given a load, and ended by their ids on every way out."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import NamedTuple

import msgspec

from bench import job, sender
from bench.celery_workers import Broker
from bench.processes import ROOT
from collator.cli.children import free_port, listens
from collator.errors import CollatorError, ConfigError

PYTHON = ROOT / ".peers-venv" / "bin" / "python"
CONNECTIONS = 64
START, STOP = 20.0, 10.0
"""Seconds that a process may take to be ready, and to end."""
_WORKER = ("worker", "-P", "prefork", "-c", "2", "-l", "error", "--without-gossip", "--without-mingle")
_WEB = ("--workers", "2", "--threads", "8", "--keep-alive", "60", "--log-level", "error")
_PAUSE = 0.02


class Peer(NamedTuple):
    """A peer that is ready."""

    pids: Mapping[str, int]
    send: Callable[[job.Load], Awaitable[float]]
    """Sends a load; the monotonic time just before its first byte."""


@asynccontextmanager
async def brief(broker: Broker, webhook: str) -> AsyncIterator[Peer]:
    """Flask behind gunicorn, and a Celery worker."""
    port = free_port()

    async def send(load: job.Load) -> float:
        sent = await sender.post(port, load.requests(), connections=CONNECTIONS)
        if faults := [*sent.faults()]:
            raise CollatorError(faults[0])
        return sent.started

    async with AsyncExitStack() as stack:
        given = {"BROKER": broker.url, "WEBHOOK": webhook}
        web = ("gunicorn", "--bind", f"127.0.0.1:{port}", *_WEB, "bench.peers.brief:app")
        pids = {
            name: (await stack.enter_async_context(_process(command, given))).pid
            for name, command in (("web", web), ("worker", ("celery", "-A", "bench.peers.brief:queue", *_WORKER)))
        }
        await _until(lambda: listens(port), "gunicorn")
        yield Peer({**pids, "broker": broker.pid}, send)


@asynccontextmanager
async def chord(broker: Broker, webhook: str) -> AsyncIterator[Peer]:
    """A program that sends chords, and a Celery worker."""
    async with AsyncExitStack() as stack:
        given = {"BROKER": broker.url, "WEBHOOK": webhook}
        worker = await stack.enter_async_context(_process(("celery", "-A", "bench.peers.chord:queue", *_WORKER), given))
        client = await stack.enter_async_context(_process(("bench.peers.chord",), given))
        assert client.stdin is not None
        assert client.stdout is not None
        if await asyncio.wait_for(client.stdout.readline(), START) != b"ready\n":
            raise CollatorError("the sender of chords ended by itself")
        feed = client.stdin

        async def send(load: job.Load) -> float:
            lines = "".join(f"{json.dumps(one)}\n" for one in _by_resource(load).items())
            started = time.monotonic()
            feed.write(lines.encode())
            await feed.drain()
            return started

        yield Peer({"client": client.pid, "worker": worker.pid, "broker": broker.pid}, send)


def _by_resource(load: job.Load) -> Mapping[str, list[str]]:
    """The payloads of each resource, in index order."""
    payloads: dict[str, dict[int, str]] = {}
    for packet in map(msgspec.json.decode, load.packets):
        payloads.setdefault(packet["resource_id"], {})[packet["index"]] = packet["payload"]
    return {name: [found[index] for index in sorted(found)] for name, found in payloads.items()}


@asynccontextmanager
async def _process(module: tuple[str, ...], given: Mapping[str, str]) -> AsyncIterator[Process]:
    """``python -m MODULE…`` in the environment of the peers, with the variables *given*."""
    if not PYTHON.exists():
        raise ConfigError("the libraries of the peers are not installed: make bench-peers does that")
    process = await asyncio.create_subprocess_exec(
        *(str(PYTHON), "-m", *module),
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), **given},
        stdin=PIPE,
        stdout=PIPE if "celery" not in module and "gunicorn" not in module else DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,  # Ctrl-C is for the bench, which then ends its children in order
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with those that it has started
        await process.wait()


async def _until(ready: Callable[[], bool], name: str) -> None:
    end = time.monotonic() + START
    while not ready():
        if time.monotonic() > end:
            raise CollatorError(f"{name} was not ready within {START:g} s")
        await asyncio.sleep(_PAUSE)


PEERS: Mapping[str, Callable[[Broker, str], AbstractAsyncContextManager[Peer]]] = {"brief": brief, "chord": chord}
