"""A disk that cannot sync any more: nothing is acknowledged from then on, and a restart finds all that was (P1)."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from tests.harness.checker import complaints
from tests.harness.history import History, workload
from tests.harness.sender import Sender, requests
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.harness.store import store_complaints
from tests.harness.trace import from_now_on, under_fault
from tests.harness.wire import Exchange
from tests.wait import until

pytestmark = pytest.mark.faults

DRAIN = 2.0
RECOVERY = 15.0
SYNCS = 24
"""To make a data directory takes 19, in the thread that opens it; the thread that commits gets that far soon."""
RESOURCES = 80
MANY = 240
"""So many that much is left to be sent when the thread that commits has got as far as the sync that fails."""
PACKET = b'{"resource_id": "late", "index": 0, "payload": "w"}'


async def test_p1_after_a_failed_sync_nothing_is_taken_until_a_restart(tmp_path: Path) -> None:
    """A sync that failed once says nothing about what it should have synced; that the next one works proves nothing."""
    random, history = Random(3), History()
    async with ServiceProcess(tmp_path) as service, Sink(service.secret) as sink, Sender(history, random) as sender:
        service.settings |= {"webhook": sink.url, "drain_timeout": DRAIN}
        await service.start(under=under_fault("fdatasync", "error=EIO", str(SYNCS)))
        await sender.send(service.url, requests(random, workload(random, "a", resources=MANY)))
        assert history.unacknowledged()
        assert history.answers["read_only"]
        await _says_so(service, known=min(history.acked)[0])
        await service.stop()
        await _goes_on(service, sender, sink, history, random)
    assert complaints(history, sink.webhooks, at_least=MANY) == []
    assert store_complaints(service.data_dir) == []


async def test_p7_a_service_whose_disk_is_dead_can_be_stopped_and_goes_on_when_the_disk_is_mended(
    tmp_path: Path,
) -> None:
    random, history = Random(3), History()
    packets = workload(random, "a", resources=RESOURCES)
    async with ServiceProcess(tmp_path) as service, Sink(service.secret) as sink, Sender(history, random) as sender:
        service.settings |= {"webhook": sink.url, "drain_timeout": DRAIN}
        await service.start()
        await sender.send(service.url, requests(random, packets[:200]))
        async with from_now_on(service, "fdatasync", "error=EIO"):
            await sender.send(service.url, requests(random, packets[200:]))
            assert len(history.unacknowledged()) == len(packets) - 200
            await _says_so(service, known=packets[0].resource_id)
            await service.stop()
        assert "Traceback" not in service.log()
        await _goes_on(service, sender, sink, history, random)
    assert complaints(history, sink.webhooks, at_least=RESOURCES) == []
    assert store_complaints(service.data_dir) == []


async def test_p6_a_disk_that_takes_no_write_is_told_once_and_used_again_when_it_does(tmp_path: Path) -> None:
    random, history = Random(3), History()
    packets = workload(random, "a", resources=RESOURCES)
    async with ServiceProcess(tmp_path) as service, Sink(service.secret) as sink, Sender(history, random) as sender:
        service.settings |= {"webhook": sink.url, "drain_timeout": DRAIN}
        await service.start()
        await sender.send(service.url, requests(random, packets[:200]))
        async with from_now_on(service, "pwrite64", "error=EIO"):
            await sender.send(service.url, requests(random, packets[200:]))
            assert len(history.unacknowledged()) == len(packets) - 200
            status, _, problem = await service.get("/readyz")
            assert (status, "cannot be written at the moment" in problem["detail"]) == (503, True)
        end = time.monotonic() + RECOVERY
        while (await service.get("/readyz"))[0] != 200:
            assert time.monotonic() < end, "not ready again"
        await sender.send(service.url, requests(random, [*history.sent.values()]))
        await until(lambda: len(sink.ids()) == RESOURCES, RECOVERY)
        told = service.log().count('event="the store cannot be written"')
        await service.stop()
    assert told == 1
    assert complaints(history, sink.webhooks, at_least=RESOURCES) == []
    assert store_complaints(service.data_dir) == []


async def _goes_on(service: ServiceProcess, sender: Sender, sink: Sink, history: History, random: Random) -> None:
    """A restart, and everything is sent again: nothing of it may be new that was acknowledged."""
    await service.start()
    await sender.send(service.url, requests(random, [*history.sent.values()]))
    resources = {packet.resource_id for packet in history.sent.values()}
    await until(lambda: len(sink.ids()) == len(resources), RECOVERY)
    await service.stop()


async def _says_so(service: ServiceProcess, *, known: str) -> None:
    """A packet is refused with a problem that says what to do, while reading goes on."""
    async with Exchange(
        f"{service.url}/v1/packets", content_type="application/json", content_length=str(len(PACKET))
    ) as exchange:
        await exchange.write(PACKET)
        assert await exchange.head() == 503
        assert b"until the service is restarted" in await exchange.body()
        assert int(exchange.fields["retry-after"]) >= 1
    status, _, problem = await service.get("/readyz")
    assert (status, "until the service is restarted" in str(problem)) == (503, True)
    status, _, found = await service.get(f"/v1/resources/{known}")
    assert status == 200, found
    assert found["received"]
