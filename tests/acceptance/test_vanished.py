"""The data directory is removed and made again under a running service: it says so, and ends."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from collator.cli.exits import Exit
from collator.engines.embedded.presence import GRACE
from tests.harness.service import Service

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be removed there")

NOTICED = 5.0
"""Seconds, on a machine that is busy."""


async def test_p1_a_service_whose_directory_was_replaced_takes_nothing_and_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with (
        Service(tmp_path / "first", data_dir=data) as first,
        Service(tmp_path / "second", data_dir=data) as second,
    ):
        await first.start()
        assert await _post(first) == 202
        shutil.rmtree(data)
        data.mkdir()
        await _not_ready(first, "is not there any more")
        assert await _post(first) == 503
        await second.start()  # a directory of its own, of which the first knows nothing
        assert await _post(second) == 202
        await _not_ready(first, "not")
        assert await first.ended(GRACE + 20.0) == Exit.STORE
        assert await _post(second) == 200, "it was there already"
        await second.stop()
    assert "is not the one that was opened" in first.log()
    assert first.log().splitlines()[-1].endswith("the service has ended")
    assert "Traceback" not in first.log()


async def _not_ready(service: Service, words: str) -> None:
    end = time.monotonic() + NOTICED
    while (await service.get("/readyz"))[0] == 200:
        assert time.monotonic() < end, "still ready"
    problem = (await service.get("/readyz"))[2]
    assert words in problem["detail"]


async def _post(service: Service) -> int:
    packet = {"resource_id": "r", "index": 0, "payload": "x"}
    async with aiohttp.ClientSession() as session, session.post(f"{service.url}/v1/packets", json=packet) as answer:
        return answer.status
