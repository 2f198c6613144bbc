"""The processes of the peers: started, given a load, and ended by their ids on every way out."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

import msgspec

from bench import celery_workers, job
from bench.celery_workers import Broker
from bench.processes import ROOT
from bench.sender import Sent
from collator.cli.children import listens
from collator.errors import CollatorError, ConfigError

PYTHON = ROOT / ".peers-venv" / "bin" / "python"
MODULES = ROOT / ".peers-node" / "node_modules"
START, STOP = 30.0, 10.0
"""Seconds that a process may take to be ready, and to end."""
_PAUSE = 0.02


class Peer(NamedTuple):
    """A peer that is ready."""

    pids: Mapping[str, int]
    send: Callable[[job.Load], Awaitable[Sent]]
    """Sends a load, and returns once all of it is acknowledged."""


class Client:
    """A process that submits loads: it says ``ready``, then answers each line, a load, with the time of its last ack.

    `bench.peers.feed` is its side of this.
    """

    def __init__(self, process: Process, units: Callable[[job.Load], bytes]) -> None:
        """Have *process* submit *units* of a load, a JSON array."""
        self.pid = process.pid
        self._process = process
        self._units = units

    async def answer(self) -> bytes:
        """The next line."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise CollatorError("the client ended by itself")
        return line

    async def send(self, load: job.Load) -> Sent:
        """Submit *load*."""
        assert self._process.stdin is not None
        line = self._units(load) + b"\n"
        started = time.monotonic()
        self._process.stdin.write(line)
        return Sent(started, float(await self.answer()))


def packets(load: job.Load) -> bytes:
    """Each packet of *load*, in the order of sending."""
    return b"[" + b",".join(load.packets) + b"]"


def resources(load: job.Load) -> bytes:
    """Each resource of *load*: its id, and its payloads in index order."""
    payloads: dict[str, dict[int, str]] = {}
    for packet in map(msgspec.json.decode, load.packets):
        payloads.setdefault(packet["resource_id"], {})[packet["index"]] = packet["payload"]
    return msgspec.json.encode([(name, [found[index] for index in sorted(found)]) for name, found in payloads.items()])


@asynccontextmanager
async def client(
    command: Sequence[str], given: Mapping[str, str], units: Callable[[job.Load], bytes]
) -> AsyncIterator[Client]:
    """The client that *command* runs, ready."""
    async with process(command, given, answers=True) as child:
        found = Client(child, units)
        try:
            if await asyncio.wait_for(found.answer(), START) != b"ready\n":
                raise CollatorError("the client did not say that it is ready")
        except TimeoutError:
            raise CollatorError(f"the client was not ready within {START:g} s") from None
        yield found


@asynccontextmanager
async def process(command: Sequence[str], given: Mapping[str, str], *, answers: bool = False) -> AsyncIterator[Process]:
    """The *command* with the variables *given*; with whatever it has started it ends when the context does."""
    spawn = asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), "NODE_PATH": str(MODULES), **given},
        stdin=PIPE,
        stdout=PIPE if answers else DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,  # Ctrl-C is for the bench, which then ends its children in order
    )
    spawning = asyncio.create_task(spawn)
    try:
        yield await asyncio.shield(spawning)  # who is interrupted meanwhile has a child all the same
    finally:
        child = await spawning
        with suppress(ProcessLookupError):
            child.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), STOP)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # with those that it has started
        await child.wait()


def python(*module: str) -> Sequence[str]:
    """The command of a *module*, and its arguments, in the environment of the peers."""
    if not PYTHON.exists():
        raise ConfigError("the libraries of the peers are not installed: make bench-peers does that")
    return (str(PYTHON), "-m", *module)


@contextmanager
def valkey(*, synced: bool = False) -> Iterator[Broker]:
    """A server in memory; *synced*: it writes what it acknowledges to its disk, synced, before it does."""
    with celery_workers.broker("valkey") as found:
        assert found is not None
        if synced:
            port = int(found.url.rpartition(":")[2].partition("/")[0])
            with socket.create_connection(("127.0.0.1", port)) as line:
                line.sendall(b"CONFIG SET appendfsync always appendonly yes\r\n")
                if line.recv(100) != b"+OK\r\n":
                    raise CollatorError("Valkey does not write what it acknowledges")
        yield found


async def listening(port: int, name: str) -> None:
    """Return once *name* listens on *port*."""
    end = time.monotonic() + START
    while not listens(port):
        if time.monotonic() > end:
            raise CollatorError(f"{name} was not ready within {START:g} s")
        await asyncio.sleep(_PAUSE)
