"""P5 in 512 MB: much that is large, whoever calls the processor, at a start and for the commands."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from collator.client import Client
from tests.harness.service import ROOT, ServiceProcess

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("memory")]  # one at a time

QUICK, LARGE, TAKEN = 10_000, 300, 120
MIB = 1024 * 1024
PATIENCE, LOOK = 120.0, 0.1
MODULE = "tests.harness.processors"
SWELLING: dict[str, dict[str, Any]] = {
    "thread": {"processor": f"{MODULE}:swelling"},
    "process": {"processor": f"{MODULE}:swelling", "pool": "process", "concurrency": 4},
    "coroutine": {"processor": f"{MODULE}:swelling_on_a_loop", "concurrency": 1000},
    "batch": {"processor": f"{MODULE}:swelling_together", "batch": 8},
}
TAKING: dict[str, dict[str, Any]] = {
    "thread": {"processor": f"{MODULE}:gated"},
    "process": {"processor": f"{MODULE}:gated", "pool": "process", "concurrency": 4},
}


@pytest.mark.parametrize("kind", SWELLING)
async def test_small_packets_with_large_outputs_behind_many_quick_ones(
    tmp_path: Path, under: Sequence[str], kind: str
) -> None:
    async with ServiceProcess(tmp_path, **SWELLING[kind]) as service:
        await service.start(under=under)
        await send(service, quick(QUICK), small("swell", LARGE))
        await collated(service, [f"swell-{one}" for one in range(0, LARGE, 20)])
        log = service.data_dir / "collator.db-wal"
        assert log.stat().st_size <= 64 * MIB
        await service.stop()


@pytest.mark.parametrize("kind", TAKING)
async def test_large_payloads_behind_a_kill_and_the_commands(tmp_path: Path, under: Sequence[str], kind: str) -> None:
    host_check = tmp_path / "gate"
    async with ServiceProcess(tmp_path, **TAKING[kind]) as service:
        service.environment["GATE"] = str(host_check)
        await service.start(under=under)
        await send(service, large("payload", TAKEN))
        service.kill()
        await service.start(under=under)
        command(under, "backup", str(tmp_path / "copy"), "--data-dir", str(service.data_dir))
        host_check.touch()
        await collated(service, [f"payload-{one}" for one in range(0, TAKEN, 20)])
        await service.stop()
    command(under, "check", "--data-dir", str(service.data_dir))


def command(under: Sequence[str], *arguments: str) -> None:
    done = subprocess.run(
        [*under, sys.executable, "-m", "collator", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def line(resource_id: str, index: int, payload: str, *, last: bool) -> bytes:
    return json.dumps({"resource_id": resource_id, "index": index, "payload": payload, "last": last}).encode() + b"\n"


def quick(count: int) -> Iterator[bytes]:
    for one in range(count):
        yield line("quick", one, "a few words", last=one == count - 1)


def small(name: str, count: int) -> Iterator[bytes]:
    for one in range(count):
        yield line(f"{name}-{one - one % 20}", one % 20, name, last=one % 20 == 19)


def large(name: str, count: int) -> Iterator[bytes]:
    for one in range(count):
        yield line(f"{name}-{one - one % 20}", one % 20, "wörd " * 90_000, last=one % 20 == 19)


async def send(service: ServiceProcess, *parts: Iterator[bytes]) -> None:
    async def lines() -> AsyncIterator[bytes]:
        for part in parts:
            for one in part:
                yield one

    headers = {"content-type": "application/x-ndjson"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(service.url + "/v1/packets", data=lines(), headers=headers) as answer,
    ):
        summary = await answer.text()
    assert answer.status == 200, summary


async def collated(service: ServiceProcess, names: Sequence[str]) -> None:
    """Wait until all of *names* have ended well, or the service has."""
    end = time.monotonic() + PATIENCE
    async with Client(service.url) as client:
        for name in names:
            while (report := await client.resource(name))["state"] == "open":
                assert time.monotonic() < end, report
                with anyio.move_on_after(LOOK):
                    await anyio.sleep_forever()
            assert report["state"] == "collated"
