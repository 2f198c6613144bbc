"""Workers that are killed or stand still under load: nothing is lost, nothing is done twice, what kills is found."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.brokers import Valkey
from tests.cluster.cluster import Cluster
from tests.harness.history import Packet, payload_of
from tests.harness.processors import DEADLY
from tests.harness.service import ServiceProcess
from tests.wait import until


async def test_p2_processes_of_a_worker_that_are_killed_lose_nothing(cluster: Cluster, valkey: Valkey) -> None:
    node = await cluster.node(valkey.url(), processor_retries=20)
    worker = cluster.worker(valkey.url(), "-c", "2")
    await worker.start()
    await node.start()
    load = cluster.load()
    async with load.run():
        for _ in range(5):
            await load.acknowledges(100)
            await until(worker.children)  # the one before may not have been replaced yet
            os.kill(worker.children()[0], signal.SIGKILL)
    await load.delivered()
    await node.stop()
    assert cluster.judge(load, at_least=500) == []
    assert cluster.failed() == []


@pytest.mark.cluster
async def test_p2_workers_that_are_killed_lose_nothing(cluster: Cluster, valkey: Valkey) -> None:
    node = await cluster.node(valkey.url(), processor_retries=20)
    workers = [cluster.worker(valkey.url(), "-P", "threads", "-c", "2") for _ in range(2)]
    for worker in workers:
        await worker.start()
    await node.start()
    load = cluster.load()
    async with load.run():
        for worker in workers:
            await load.acknowledges(100)
            worker.kill()
            await worker.start()
    await load.delivered()
    await node.stop()
    assert cluster.judge(load, at_least=200) == []
    assert cluster.failed() == []


@pytest.mark.cluster
@pytest.mark.parametrize("pool", ["threads", "prefork"])
async def test_p2_what_a_worker_says_that_stood_still_beyond_its_lease_changes_nothing(
    cluster: Cluster, valkey: Valkey, tmp_path: Path, pool: str
) -> None:
    """It has other outputs, so that they would be seen; the resource is open when they come."""
    gate = tmp_path / "gate"
    node = await cluster.node(valkey.url(), processor_retries=20)
    late, other = cluster.worker(valkey.url(), "-P", pool, "-c", "2", processor="wrong"), cluster.worker(valkey.url())
    late.environment["GATE"] = str(gate)
    await late.start()
    await node.start()
    load = cluster.load()
    await load.send_packets([Packet("a", index, payload_of("a", index)) for index in range(4)])
    await until(gate.with_suffix(".called").exists)
    late.signal(signal.SIGSTOP)
    await until(late.stands_still)  # on a busy machine some thread goes on for a moment, and would see the gate
    gate.touch()
    await other.start()
    await until(lambda: _done(node, 4), 60.0)
    late.signal(signal.SIGCONT)
    await until(lambda: " succeeded in " in late.log())
    await late.stop()
    await load.send_packets([Packet("a", 4, payload_of("a", 4), last=True)])
    await load.delivered()
    await node.stop()
    assert cluster.judge(load, at_least=5) == []
    assert cluster.failed() == []


@pytest.mark.cluster
async def test_what_that_worker_says_would_be_seen(cluster: Cluster, valkey: Valkey, tmp_path: Path) -> None:
    node = await cluster.node(valkey.url())
    worker = cluster.worker(valkey.url(), "-P", "threads", "-c", "2", processor="wrong")
    worker.environment["GATE"] = str(tmp_path)  # it is there
    await worker.start()
    await node.start()
    load = cluster.load()
    await load.send(1)
    await load.delivered()
    assert {complaint[:2] for complaint in cluster.judge(load, at_least=1)} == {"I2"}


@pytest.mark.parametrize("pool", ["prefork", pytest.param("threads", marks=pytest.mark.cluster)])
async def test_a_packet_that_kills_what_processes_it_fails_after_its_attempts_and_no_other_does(
    cluster: Cluster, valkey: Valkey, pool: str
) -> None:
    """With threads it takes the whole worker with it, which is then started again as by a supervisor."""
    node = await cluster.node(valkey.url(), processor_retries=1)
    worker = cluster.worker(valkey.url(), "-P", pool, "-c", "2", processor="fatal")
    await worker.start()
    await node.start()
    load = cluster.load()
    packets = [Packet("poison", index, payload_of("poison", index), last=index == 5) for index in range(6)]
    packets[3] = replace(packets[3], payload=DEADLY)
    await load.send_packets(packets)
    starts = 1
    while load.undelivered():
        await until(lambda: not (load.undelivered() and worker.running()), 60.0)
        if not worker.running():
            starts += 1
            await worker.start()
    assert cluster.judge(load, at_least=6) == []
    (body,) = [json.loads(webhook.body) for webhook in cluster.sink.webhooks]
    (failure,) = body["data"]["failed"]
    assert (failure["index"], failure["attempts"]) == (3, 2)
    assert len(body["data"]["partial"]) == 5
    assert starts <= 1 + 2 + 2, "it was started more often than the packet has attempts, and two"


@pytest.mark.cluster
async def test_p2_a_task_that_outlasts_the_visibility_timeout_counts_once(cluster: Cluster, valkey: Valkey) -> None:
    node = await cluster.node(valkey.url())
    app = "tests.cluster.hasty_app"
    for _ in range(2):
        await cluster.worker(valkey.url(), "-P", "threads", "-c", "2", processor="dragging", app=app).start()
    await node.start()
    load = cluster.load()
    await load.send(1, longest=8)
    await load.delivered()
    assert cluster.judge(load, at_least=1) == []
    assert cluster.failed() == []
    assert sum(worker.log().count(" received") for worker in cluster.workers) > len(load.history.acked)


async def _done(node: ServiceProcess, count: int) -> bool:
    _, _, resource = await node.get("/v1/resources/a")
    return bool(resource["done"] == count)
