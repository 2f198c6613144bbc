"""P5 on a full disk: packets are refused before they are acknowledged, what is under way is finished, and it passes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from collator.cli.exits import Exit
from tests.harness.checker import complaints
from tests.harness.disk import ext4, filled
from tests.harness.history import History, Packet, workload
from tests.harness.sender import Request, Sender, requests
from tests.harness.service import START, ServiceProcess
from tests.harness.sink import Sink
from tests.harness.store import store_complaints
from tests.harness.wire import Exchange
from tests.wait import until

pytestmark = pytest.mark.faults

SIZE = 1024 * 1024 * 1024
FULL = {503: b"storage_full", 507: b"storage_low"}
"""Refused before the ack: by the store, or by the watch on the free space, whichever sees the full disk first."""
REASONS = ("full", "min_free_disk")
"""What either says."""
RESOURCES = 60
RECOVERY = 15.0
LATE = Packet("late", 0, "w", last=True)
GATED = "tests.harness.processors:gated"


class House:
    """A service on a small disk, whose processor waits at a gate."""

    def __init__(self, home: Path, disk: Path, sink: Sink, sender: Sender, service: ServiceProcess) -> None:
        self.disk, self.sink, self.sender, self.service = disk, sink, sender, service
        self.host_check = home / "gate"
        service.environment["GATE"] = str(self.host_check)

    async def offer(self) -> tuple[int, int, bytes]:
        """Offer the late packet: status, seconds to wait, body."""
        body = LATE.as_json()
        url = f"{self.service.url}/v1/packets"
        async with Exchange(url, content_type="application/json", content_length=str(len(body))) as exchange:
            await exchange.write(body)
            return await exchange.head(), int(exchange.fields.get("retry-after", 0)), await exchange.body()

    async def spawn(self) -> None:
        """Start the service, which may not be ready for packets."""
        self.service.spawn()
        await until(self.service.find_url, START)

    async def taken_at_last(self) -> None:
        """Offer the late packet until it is taken."""
        end = time.monotonic() + RECOVERY
        while (await self.offer())[0] not in {200, 202}:
            assert time.monotonic() < end


@asynccontextmanager
async def house(home: Path, history: History, random: Random) -> AsyncIterator[House]:
    with ext4(home, size=SIZE) as disk:
        async with (
            ServiceProcess(home, data_dir=disk.mount / "data", processor=GATED) as service,
            Sink(service.secret) as sink,
            Sender(history, random) as sender,
        ):
            service.settings["webhook"] = sink.url
            yield House(home, disk.mount, sink, sender, service)
            assert store_complaints(service.data_dir) == []


async def test_p5_a_full_disk_refuses_what_is_new_and_finishes_what_is_under_way(tmp_path: Path) -> None:
    random, history = Random(4), History()
    async with house(tmp_path, history, random) as it:
        await it.service.start()
        await it.sender.send(it.service.url, requests(random, workload(random, "a", resources=RESOURCES)))
        assert not history.unacknowledged()
        with filled(it.disk):
            status, wait, body = await it.offer()
            assert wait >= 1
            assert FULL[status] in body
            assert (await it.service.get("/v1/resources/a-0"))[0] == 200
            status, _, problem = await it.service.get("/readyz")
            assert (status, any(reason in str(problem) for reason in REASONS)) == (503, True)
            it.host_check.touch()
            await until(lambda: len(it.sink.ids()) == RESOURCES, RECOVERY)
            assert (await it.offer())[0] in FULL
        await it.taken_at_last()
        assert (await it.service.get("/readyz"))[0] == 200
        history.sending([LATE])
        await until(lambda: len(it.sink.ids()) == RESOURCES + 1, RECOVERY)
        await it.service.stop()
    assert complaints(history, it.sink.webhooks, at_least=RESOURCES) == []


async def test_p7_a_service_on_a_full_disk_stops_and_starts_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    random, history = Random(5), History()
    async with house(tmp_path, history, random) as it:
        it.service.settings["drain_timeout"] = 2
        await it.service.start()
        await it.sender.send(it.service.url, requests(random, workload(random, "a", resources=RESOURCES)))
        with filled(it.disk):
            it.service.kill()
            await it.spawn()  # what is left is the reserve, and a start may use that
            assert (await it.offer())[0] in FULL
            assert (await it.service.get("/v1/resources/a-0"))[0] == 200
            await it.service.stop()
            with filled(it.disk, "what the reserve set free"):
                it.service.spawn()
                assert await it.service.ended() == Exit.UNREACHABLE
                assert "is full; free some space" in it.service.log()
                assert "Traceback" not in it.service.log()
        it.host_check.touch()
        await it.service.start()
        await it.taken_at_last()
        history.sending([LATE])
        await until(lambda: len(it.sink.ids()) == RESOURCES + 1, RECOVERY)
        await it.service.stop()
    assert complaints(history, it.sink.webhooks, at_least=RESOURCES) == []


async def test_p5_a_stream_that_meets_a_full_disk_is_told_what_was_taken(tmp_path: Path) -> None:
    random, history = Random(6), History()
    async with house(tmp_path, history, random) as it:
        it.host_check.touch()
        await it.service.start()
        packets = workload(random, "a", resources=RESOURCES)
        with filled(it.disk):
            await it.sender.send(it.service.url, iter([Request("stream", packets)]))
            assert len(history.acked) < len(packets)
        await it.taken_at_last()
        history.sending([LATE])
        await it.sender.send(it.service.url, requests(random, history.unacknowledged()))
        await until(lambda: len(it.sink.ids()) == RESOURCES + 1, RECOVERY)
        await it.service.stop()
    assert complaints(history, it.sink.webhooks, at_least=RESOURCES) == []
