"""The effect of a greedy client on honest senders: acknowledgements, /healthz and memory beside each kind of greed.

    python -m bench.greedy [--seconds 60] [CLIENT ...]

A fresh service with default limits for each, whose function is called in processes: what a function does with a payload
of a MiB, in a thread, is the interpreter's time too. On loopback; four honest senders with about 100 packets a second
together. First they are alone for a quarter of the time, which is the baseline, then beside the client, a process of
its own that has less of a claim to the processor than they have. At the end every resource that was acknowledged whole
has to have its webhook, with its outputs in order.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
from aiohttp import web

from bench.greedy_clients import CLIENTS

COLUMNS = (
    "client",
    "alone: ack p50 / p99 ms",
    "ack p50 / p99 ms",
    "ratio of p99",
    "acked / refused",
    "healthz p99 / worst ms",
    "RSS MiB",
    "lost",
    "answers to the client",
)
PACKETS = 20
SENDERS, PAUSE = 4, 0.04
PROCESSOR = """
def answer(payload):
    return "x" * 1_000_000 if payload == "large" else payload if isinstance(payload, int) else None
"""


class Figures:
    """The measurements of one phase."""

    def __init__(self) -> None:
        self.acks: list[float] = []
        self.health: list[float] = []
        self.refused = 0
        self.memory = 0.0


class Receiver:
    """Takes webhooks, and keeps what the honest ones said."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[object]] = {}

    async def take(self, request: web.Request) -> web.Response:
        """One webhook."""
        data = json.loads(await request.read())["data"]
        if data["resource_id"].startswith("honest"):
            self.bodies[data["resource_id"]] = data["outputs"]
        return web.Response()


@contextlib.asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[int]:
    """A server for *receiver*; its port."""
    app = web.Application(client_max_size=1024**3)
    app.router.add_post("/", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@contextlib.contextmanager
def serving(home: Path, webhook: int, *more: str) -> Iterator[tuple[int, int]]:
    """A service with an empty store; its port and its process."""
    (home / "processing.py").write_text(PROCESSOR)
    log = home / "log"
    command = [sys.executable, "-m", "collator", "serve", "--port", "0", "--data-dir", str(home / "data")]
    command += [
        "--webhook",
        f"http://127.0.0.1:{webhook}/",
        "--processor",
        "processing:answer",
        "--pool",
        "process",
        *more,
    ]
    paths = os.pathsep.join([str(home), os.environ.get("PYTHONPATH", "")])
    with log.open("wb") as out:
        service = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "PYTHONPATH": paths})
    try:
        found = None
        for _ in range(200):
            if found := re.search(r"event=serving\b.*?\burl=http://[^:]+:(\d+)", log.read_text(errors="replace")):
                break
            time.sleep(0.1)
        assert found, log.read_text(errors="replace")
        yield int(found[1]), service.pid
        assert service.poll() is None, log.read_text(errors="replace")[-2000:]
    finally:
        service.send_signal(signal.SIGKILL)
        service.wait()


async def send(port: int, number: int, figures: Figures, stop: asyncio.Event, whole: set[str]) -> None:
    """Send resources packet by packet until *stop*; those that were acknowledged whole go into *whole*."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        while not stop.is_set():
            name = f"honest-{number}-{time.monotonic_ns()}"
            for index in range(PACKETS):
                packet = {"resource_id": name, "index": index, "payload": index, "last": index == PACKETS - 1}
                while not await _sent(session, packet, figures):
                    await asyncio.sleep(0.2)
                await asyncio.sleep(PAUSE)
            whole.add(name)


async def _sent(session: aiohttp.ClientSession, packet: dict[str, object], figures: Figures) -> bool:
    began = time.perf_counter()
    try:
        async with session.post("/v1/packets", json=packet) as answer:
            await answer.read()
    except aiohttp.ClientError:
        figures.refused += 1
        return False
    if answer.status not in {200, 202}:
        figures.refused += 1
        return False
    figures.acks.append(time.perf_counter() - began)
    return True


async def watch(port: int, pid: int, figures: Figures, stop: asyncio.Event) -> None:
    """Ask for /healthz, each time on a new connection, and read the memory, ten times a second."""
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(force_close=True)
    ) as session:
        while not stop.is_set():
            began = time.perf_counter()
            status = 0
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get("/healthz") as answer:
                    status = answer.status
            figures.health.append(time.perf_counter() - began if status == 200 else float("inf"))
            with contextlib.suppress(OSError):
                figures.memory = max(figures.memory, resident(pid))
            await asyncio.sleep(0.1)


def resident(pid: int) -> float:
    """MiB that the process *pid* has resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@contextlib.asynccontextmanager
async def measured(port: int, pid: int, whole: set[str]) -> AsyncIterator[Figures]:
    """The honest senders at work, and what is seen meanwhile."""
    figures, stop = Figures(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(SENDERS):
            group.create_task(send(port, number, figures, stop, whole))
        group.create_task(watch(port, pid, figures, stop))
        yield figures
        stop.set()


async def beside(client: str, seconds: float) -> None:
    """Measure, and print a line."""
    receiver, whole = Receiver(), set[str]()
    more = ["--idle-timeout", "3s"] if client == "ends" else []
    with tempfile.TemporaryDirectory() as name:
        async with receiving(receiver) as webhook:
            with serving(Path(name), webhook, *more) as (port, pid):
                async with measured(port, pid, whole):
                    await asyncio.sleep(2.0)  # warms up
                async with measured(port, pid, whole) as alone:
                    await asyncio.sleep(seconds / 4)
                process = await begun(client, port, seconds)
                async with measured(port, pid, whole) as figures:
                    answers = (await process.communicate())[0].decode().strip()
                lost = await missing(receiver, whole)
    print(line(client, alone, figures, lost, answers), flush=True)


async def begun(client: str, port: int, seconds: float) -> asyncio.subprocess.Process:
    """The process of *client*, which has begun."""
    script = Path(__file__).with_name("greedy_clients.py")
    process = await asyncio.create_subprocess_exec(
        "nice", sys.executable, str(script), client, str(port), str(seconds), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def missing(receiver: Receiver, whole: set[str]) -> int:
    """Return how many of the resources *whole* have no webhook, or another than they should, after a minute at most."""
    for _ in range(600):
        if whole <= receiver.bodies.keys():
            break
        await asyncio.sleep(0.1)
    return sum(receiver.bodies.get(name) != [*range(PACKETS)] for name in whole)


def line(client: str, alone: Figures, figures: Figures, lost: int, answers: str) -> str:
    """The figures as a row of a table."""
    half, most = _quantiles(alone.acks)
    now_half, now_most = _quantiles(figures.acks)
    cells = [
        client,
        f"{half:.1f} / {most:.1f}",
        f"{now_half:.1f} / {now_most:.1f}",
        f"{now_most / most:.1f}",
        f"{len(figures.acks)} / {figures.refused}",
        f"{_quantiles(figures.health)[1]:.0f} / {max(figures.health) * 1000:.0f}",
        f"{figures.memory:.0f}",
        str(lost),
        answers,
    ]
    return f"| {' | '.join(cells)} |"


def _quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    if len(seconds) < 2:
        return (float("nan"),) * 2
    ordered = sorted(seconds)
    return statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.99)] * 1000


def main() -> None:
    """Measure beside each client that is named, or beside all."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("clients", nargs="*")
    wanted = options.parse_args()
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for client in wanted.clients or CLIENTS:
        asyncio.run(beside(client, wanted.seconds))


if __name__ == "__main__":
    main()
