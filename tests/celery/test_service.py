"""What operators see of Celery workers: by the status, the metrics and `/readyz` of a real service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collator import __version__
from collator.client import Client
from tests.celery.test_worker_command import COLLATOR, started
from tests.harness.service import ServiceProcess
from tests.receiver import Judge, Receiver, Request, Script, reply
from tests.wait import until

PATIENCE = 60.0
"""Seconds; a worker takes one of CPU time to start."""
ECHO = (Judge(lambda request: reply(200, "content-type: application/json", body=request.body)),)
KEY = "xyzzy"


@asynccontextmanager
async def node(home: Path, url: str, **settings: Any) -> AsyncIterator[ServiceProcess]:  # noqa: ANN401 - as there
    """A service with Celery workers at the broker *url*."""
    async with ServiceProcess(home, workers="celery", broker=url, **settings) as service:
        service.spawn()
        await until(service.find_url, PATIENCE)
        yield service
        await service.stop()


async def status(service: ServiceProcess) -> Any:  # noqa: ANN401 - JSON
    """The status."""
    return (await service.get("/v1/status"))[2]


async def test_r27_the_status_shows_workers_that_call_a_service_which_is_away_and_then_there(
    tmp_path: Path, url: str, free_tcp_port: int
) -> None:
    processor = f"http://user:{KEY}@127.0.0.1:{free_tcp_port}/?key={KEY}"
    options = ["--broker", url, "--processor", processor, "-P", "threads", "-c", "4", "-l", "warning", "-n", "w@here"]
    with started([*COLLATOR, "worker", *options]):
        async with node(tmp_path, url, processor_retries=0) as service, Client(service.url) as client:

            async def workers() -> Any:  # noqa: ANN401 - JSON
                """Those that have said what they are made of."""
                return [worker for worker in (await status(service))["workers"] if worker["pool"]]

            await until(workers, PATIENCE)  # nothing was sent yet
            (worker,) = await workers()
            assert (worker["name"], worker["pool"], worker["version"]) == ("w@here", "threads", __version__)
            assert (worker["calls"], worker["jobs"], worker["packets"], worker["trouble"]) == (4, 0, 0, "")
            assert worker["beat"] < 10.0
            assert worker["host"]
            assert "127.0.0.1" in worker["processor"]
            await client.send([{"resource_id": "r", "index": n, "payload": n, "last": n == 5} for n in range(6)])
            await until(lambda: not_ready(service), PATIENCE)
            (reason,) = (await status(service))["reasons"]
            assert f"127.0.0.1:{free_tcp_port}/" in reason
            assert "takes no packets: connection refused" in reason
            assert KEY not in str(await status(service))
            async with Receiver(ECHO, port=free_tcp_port) as receiver:
                await until(lambda: collated(client), PATIENCE)
            assert len(receiver.requests) == 6
            await until(lambda: ready(service), PATIENCE)
            _, _, metrics = await service.get("/metrics")
            assert 'collator_processor_calls_total{cause="output"} 6.0' in metrics
            assert 'collator_processor_calls_total{cause="service"}' in metrics
            assert 'collator_processor_failed_attempts_total{cause="service"} 0.0' not in metrics
            assert "collator_workers 1.0" in metrics


@pytest.mark.cluster
async def test_r28_r29_a_configuration_that_is_refused_uses_up_no_attempt_and_text_is_an_output(
    tmp_path: Path, url: str
) -> None:
    refuses = [True]

    def answer(_request: Request) -> Script:
        return reply(401) if refuses[0] else reply(200, "content-type: text/plain", body=b"word")

    async with Receiver((Judge(answer),)) as receiver:
        options = ["--broker", url, "--processor", receiver.url, "-P", "threads", "-c", "4", "-l", "warning"]
        with started([*COLLATOR, "worker", *options]):
            async with node(tmp_path, url, processor_retries=0) as service, Client(service.url) as client:
                await client.send([{"resource_id": "r", "index": n, "payload": n, "last": n == 5} for n in range(6)])
                await until(lambda: not_ready(service), PATIENCE)
                assert "401" in str((await status(service))["reasons"])
                refuses[0] = False
                await until(lambda: collated(client), PATIENCE)
                assert [(await client.packet("r", n))["output"] for n in range(6)] == ["word"] * 6


async def not_ready(service: ServiceProcess) -> bool:
    """Return whether the service says that its processor is away."""
    code, _, told = await service.get("/readyz")
    return code == 503 and "takes no packets" in str(told)


async def ready(service: ServiceProcess) -> bool:
    """Return whether the service is ready."""
    return (await service.get("/readyz"))[0] == 200


async def collated(client: Client) -> bool:
    """Return whether the resource is."""
    resource = await client.resource("r")
    return bool(resource["state"] == "collated" and resource["failed"] == 0)
