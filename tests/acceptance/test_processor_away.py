"""R27 with a real service: its processor is away, it is killed meanwhile, and no packet fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from tests.harness.service import ServiceProcess
from tests.receiver import Receiver, reply
from tests.wait import until

PACKETS = 60


async def test_a_kill_while_the_processor_is_away_costs_no_packet(tmp_path: Path, free_tcp_port: int) -> None:
    processor = f"http://127.0.0.1:{free_tcp_port}/hook"
    async with ServiceProcess(tmp_path, processor=processor, processor_retries=0) as service:
        await service.start()
        async with aiohttp.ClientSession() as session:
            packets = [{"resource_id": "r", "index": n, "payload": n, "last": n == PACKETS - 1} for n in range(PACKETS)]
            async with session.post(f"{service.url}/v1/packets", json=packets) as answer:
                assert answer.status == 202
        await until(lambda: _not_ready(service), 10.0)
        service.kill()
        service.spawn()
        await until(service.find_url, 20.0)
        await until(lambda: _not_ready(service), 10.0)
        answers = reply(200, "content-type: application/json", body=b"1")
        async with Receiver(answers, port=free_tcp_port) as receiver:
            await until(lambda: _collated(service), 20.0)
            assert len({request.headers["idempotency-key"] for request in receiver.requests}) == PACKETS
        await until(lambda: _ready(service))
        await service.stop()
    assert "the processor takes packets again" in service.log()


async def _not_ready(service: ServiceProcess) -> bool:
    status, _, told = await service.get("/readyz")
    return status == 503 and "takes no packets: connection refused" in str(told)


async def _ready(service: ServiceProcess) -> bool:
    return (await service.get("/readyz"))[0] == 200


async def _collated(service: ServiceProcess) -> bool:
    async with asyncio.timeout(5.0):
        _, _, resource = await service.get("/v1/resources/r")
    return bool(resource["state"] == "collated" and resource["failed"] == 0 and resource["done"] == PACKETS)
