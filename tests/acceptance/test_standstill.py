"""A service that is stopped for longer than its limits, as a paused container is: nothing is taken for silence."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.wait import until

LIMIT = 4.0
"""Seconds, of the idle timeout and of a call."""
STOPPED = 7.0
LOOKED = 1.5
"""Seconds in which the service has looked for silence."""
NAMES = [f"r{number}" for number in range(30)]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no process is stopped by a signal there")


async def test_r13_a_stopped_process_takes_no_standstill_for_silence(tmp_path: Path) -> None:
    host_check = tmp_path / "gate"
    limits: dict[str, Any] = {"idle_timeout": f"{LIMIT:g}s", "processor_timeout": f"{LIMIT:g}s"}
    async with ServiceProcess(tmp_path, **limits) as service, Sink(service.secret) as sink:
        service.settings["webhook"] = sink.url
        service.environment["GATE"] = str(host_check)
        await service.start(processor="tests.harness.processors:holding")
        await _send(service, NAMES, 0)
        await _processed(service, len(NAMES))
        await _send(service, ["held"], 0, "hold", last=True)
        await until(host_check.with_suffix(".called").exists)
        os.kill(service.pid(), signal.SIGSTOP)
        await _passed(STOPPED)
        os.kill(service.pid(), signal.SIGCONT)
        await _passed(LOOKED)
        host_check.touch()
        await _send(service, NAMES, 1, last=True)
        await until(lambda: len(sink.ids()) > len(NAMES), 20.0)
        metrics = str((await service.get("/metrics"))[2])
        await service.stop()
    assert {json.loads(webhook.body)["type"] for webhook in sink.webhooks} == {"resource.collated"}
    assert 'collator_processor_attempts_total{result="retry"} 0.0' in metrics  # no call has timed out


async def _passed(seconds: float) -> None:
    """Only the real clock says for how long a process was stopped."""
    begun = time.monotonic()
    await until(lambda: time.monotonic() - begun > seconds, seconds + 5.0)


async def _processed(service: ServiceProcess, count: int) -> None:
    end = time.monotonic() + 10.0
    while f'collator_processor_attempts_total{{result="output"}} {count}.0' not in str(
        (await service.get("/metrics"))[2]
    ):
        assert time.monotonic() < end, "not processed"


async def _send(
    service: ServiceProcess, names: list[str], index: int, payload: str = "a bee", *, last: bool = False
) -> None:
    body = [{"resource_id": name, "index": index, "payload": payload, "last": last} for name in names]
    async with aiohttp.ClientSession() as session, session.post(f"{service.url}/v1/packets", json=body) as answer:
        assert answer.status == 202, await answer.text()
