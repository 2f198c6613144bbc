"""P7 where others than threads call the processor: what is under way is finished or handed back, and nothing stays."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import aiohttp
import anyio
import pytest

from tests.harness.service import ServiceProcess
from tests.requirements import need
from tests.wait import until

DRAIN = 10.0
"""Seconds."""


async def send(service: ServiceProcess, resource_id: str, payload: object) -> None:
    packet = {"resource_id": resource_id, "index": 0, "payload": payload, "last": True}
    async with aiohttp.ClientSession() as session, session.post(service.url + "/v1/packets", json=packet) as answer:
        assert answer.status == 202


def children(pid: int | None) -> set[int]:
    """The processes that *pid* has started, on Linux; all that there are for `None`."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, parent = stat.parent.name, stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it has ended
        found |= {int(name)} if pid in {None, int(parent)} else set()
    return found


async def test_p7_a_stop_lets_processes_finish_and_leaves_none(tmp_path: Path) -> None:
    need(sys.platform == "linux", "Linux, to see the children of a process")
    host_check = anyio.Path(tmp_path / "gate")
    async with ServiceProcess(
        tmp_path, processor="tests.harness.fault_filesystem:gated", pool="process", concurrency=2
    ) as service:
        await service.start(drain_timeout=DRAIN)
        await send(service, "a", str(host_check))
        await until((tmp_path / "gate.begun").exists, DRAIN)
        workers = children(service.pid())
        assert len(workers) == 2
        service.signal(signal.SIGTERM)
        await until(lambda: "event=stopping" in service.log())
        await host_check.touch()
        assert await service.ended(DRAIN) == 0
        assert workers.isdisjoint(children(None))
        await service.start()
        assert (await service.get("/v1/resources/a"))[2]["state"] == "collated"
        await service.stop()


@pytest.mark.parametrize("function", ["coroutine", "in_thread"])
async def test_p7_a_call_that_never_ends_does_not_hold_up_the_end(tmp_path: Path, function: str) -> None:
    async with ServiceProcess(tmp_path, processor=f"tests.harness.fault_filesystem:{function}") as service:
        await service.start(drain_timeout=0.5)
        await send(service, "a", ["hang", str(tmp_path / "begun")])
        await until((tmp_path / "begun").exists, DRAIN)
        await service.stop()
        assert "released=1" in service.log()
