"""Another disk in the place of the data directory, and a second service on it: the end of the first harms nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collator.cli.exits import Exit
from collator.client import Client
from tests.harness.disk import tmpfs
from tests.harness.service import ServiceProcess

pytestmark = pytest.mark.faults


async def test_p1_a_service_whose_disk_is_gone_takes_nothing_from_the_one_that_came_after(tmp_path: Path) -> None:
    packets = [{"resource_id": "a", "index": index, "payload": "x", "last": index == 9} for index in range(10)]
    place: dict[str, Any] = {"data_dir": tmp_path / "disk" / "data"}
    with tmpfs(tmp_path / "disk"):
        async with (
            ServiceProcess(tmp_path / "one", **place) as first,
            ServiceProcess(tmp_path / "two", **place) as second,
        ):
            await first.start()
            with tmpfs(tmp_path / "disk"):  # before the other, with the same numbers of inodes
                await second.start()
                async with Client(second.url) as client:
                    await client.send(packets)
                assert await first.ended(40.0) == Exit.STORE
                second.kill()
                await second.start()
                async with Client(second.url) as client:
                    assert (await client.resource("a"))["received"] == 10
                await second.stop()
