"""A store that cannot be used, under a running service: its directory is gone, or an outsider has locked it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from collator.cli.exits import Exit
from collator.ledgers.sqlite.presence import GRACE
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.wait import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be removed there")

NOTICED = 12.0
"""Seconds, on a machine that is busy."""


async def test_p1_a_service_whose_directory_was_replaced_takes_nothing_and_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with (
        ServiceProcess(tmp_path / "first", data_dir=data) as first,
        ServiceProcess(tmp_path / "second", data_dir=data) as second,
    ):
        await first.start()
        assert await _post(first) == 202
        shutil.rmtree(data)
        data.mkdir()
        await _not_ready(first, "does not exist any more")
        assert await _post(first) == 503
        await second.start()  # a directory of its own, of which the first knows nothing
        assert await _post(second) == 202
        await _not_ready(first, "not")
        assert await first.ended(GRACE + 20.0) == Exit.STORE
        assert await _post(second) == 200, "it was there already"
        await second.stop()
    assert "was moved, removed or replaced" in first.log()
    assert first.log().splitlines()[-1].endswith("the service stopped after 15 s")
    assert "Traceback" not in first.log()


async def test_p6_a_database_that_an_outsider_locks_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    host_check = tmp_path / "gate"
    async with ServiceProcess(tmp_path, drain_timeout="5s") as service, Sink(service.secret) as sink:
        service.environment["GATE"] = str(host_check)
        await service.start(webhook=sink.url, processor="tests.harness.processors:gated")
        assert await _post(service, last=True) == 202
        await until(host_check.with_suffix(".called").exists)
        with _locked(service.data_dir / "collator.db"):
            host_check.touch()
            await _not_ready(service, "nothing can be stored")
            assert await _post(service) == 503
            assert not sink.webhooks
        await until(lambda: len(sink.webhooks) == 1, 40.0)
        await _ready(service)
        assert await _post(service, "later") == 202
        lines = [line for line in service.log().splitlines() if "level=info" not in line]
        await service.stop()
    assert len(lines) < 12, lines


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Another process has *database* for itself."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('begin immediate')"
    code += "; print('locked', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as outsider:
        assert outsider.stdout
        assert outsider.stdout.readline() == b"locked\n"
        yield
        outsider.communicate()


async def _ready(service: ServiceProcess) -> None:
    end = time.monotonic() + 20.0
    while (await service.get("/readyz"))[0] != 200:
        assert time.monotonic() < end, "not ready again"


async def _not_ready(service: ServiceProcess, words: str) -> None:
    end = time.monotonic() + NOTICED
    while (await service.get("/readyz"))[0] == 200:
        assert time.monotonic() < end, "still ready"
    problem = (await service.get("/readyz"))[2]
    assert words in problem["detail"]


async def _post(service: ServiceProcess, resource_id: str = "r", *, last: bool = False) -> int:
    packet = {"resource_id": resource_id, "index": 0, "payload": "x", "last": last}
    async with aiohttp.ClientSession() as session, session.post(f"{service.url}/v1/packets", json=packet) as answer:
        return answer.status
