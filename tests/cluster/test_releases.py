"""Nodes and workers of different releases: neighbours work together, others are refused in words and lose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.brokers import Valkey
from tests.cluster.cluster import Cluster
from tests.cluster.test_broker_faults import not_ready, ready
from tests.cluster.variant import variant

MESSAGES = "workers/celery/messages.py"


def incompatible(directory: Path) -> Path:
    """A release of whose messages this one can read none."""
    return variant(directory, MESSAGES, "VERSION = 1\n", "VERSION = 2\n")


def next_release(directory: Path) -> Path:
    """A release that sends another field and another argument with each job, and another field with each answer."""
    node_threads = "workers/celery/node_threads.py"
    variant(
        directory, node_threads, "encode(job.content).decode(), VERSION]", "encode(job.content).decode(), VERSION, 7]"
    )
    variant(directory, MESSAGES, "    packets: list[JobPacket]\n", "    packets: list[JobPacket]\n    added: int = 7\n")
    old = "    hedges: Mapping[str, int] = {}\n"
    return variant(directory, MESSAGES, old, f"{old}    added: int = 7\n")


async def test_p1_a_worker_that_cannot_read_the_messages_says_so_and_loses_nothing(
    cluster: Cluster, valkey: Valkey, tmp_path: Path
) -> None:
    new = incompatible(tmp_path)
    node = await cluster.node(valkey.url(), processor_retries=0, source=new)
    old = cluster.worker(valkey.url(), "-P", "threads", "-c", "2")
    await old.start()
    await node.start()
    load = cluster.load()
    await load.send(3)
    words = "reads messages of version 1, and the service sends version 2"
    await not_ready(node, words)
    assert words in old.log()
    (worker,) = (await node.get("/v1/status"))[2]["workers"]
    assert (worker["calls"], words in worker["trouble"]) == (0, True)
    assert "collator_workers 0.0" in (await node.get("/metrics"))[2]
    await cluster.worker(valkey.url(), "-P", "threads", "-c", "2", source=new).start()
    await ready(node)
    await load.delivered()
    workers = (await node.get("/v1/status"))[2]["workers"]
    assert sorted(bool(worker["trouble"]) for worker in workers) == [False, True]
    await old.stop()
    assert "Traceback" not in node.log() + old.log()
    assert cluster.judge(load, at_least=3) == []
    assert cluster.failed() == []


@pytest.mark.cluster
@pytest.mark.parametrize("newer", ["node", "worker"])
async def test_p1_a_node_and_a_worker_of_neighbouring_releases_work_together(
    cluster: Cluster, valkey: Valkey, tmp_path: Path, newer: str
) -> None:
    new = next_release(tmp_path)
    node = await cluster.node(valkey.url(), processor_retries=0, source=new if newer == "node" else None)
    worker = cluster.worker(valkey.url(), "-P", "threads", "-c", "2", source=new if newer == "worker" else None)
    await worker.start()
    await node.start()
    load = cluster.load()
    await load.send(5)
    await load.delivered()
    assert cluster.judge(load, at_least=5) == []
    assert cluster.failed() == []
    assert "cannot be read" not in node.log() + worker.log()
