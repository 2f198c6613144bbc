"""R27 with a real service: its processor is away, it is killed meanwhile, and no packet fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from collator.client import Client
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.harness.store import store_complaints
from tests.receiver import Judge, Receiver, reply
from tests.wait import until

PACKETS = 60
_ECHO = (Judge(lambda request: reply(200, "content-type: application/json", body=request.body)),)


async def test_a_kill_while_the_processor_is_away_costs_no_packet(tmp_path: Path, free_tcp_port: int) -> None:
    processor = f"http://127.0.0.1:{free_tcp_port}/hook"
    async with ServiceProcess(tmp_path, processor=processor, processor_retries=0) as service:
        await service.start()
        async with Client(service.url) as client:
            await client.send(_packets())
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


async def test_kills_in_the_middle_of_an_open_breaker_lose_nothing_and_record_nothing_twice(
    tmp_path: Path, free_tcp_port: int
) -> None:
    """Half of the packets are answered, then the processor goes; two kills while the breaker is open."""
    processor = f"http://127.0.0.1:{free_tcp_port}/hook"
    async with (
        ServiceProcess(tmp_path, processor=processor, processor_retries=0, concurrency=4) as service,
        Sink(service.secret) as sink,
    ):
        service.settings["webhook"] = sink.url
        async with Receiver(*[_ECHO] * (PACKETS // 2), reply(503), port=free_tcp_port):
            await service.start()
            async with Client(service.url) as client:
                await client.send(_packets())
                await until(lambda: _done(client, PACKETS // 2), 20.0)
        for _ in range(2):
            await until(lambda: _not_ready(service), 20.0)
            service.kill()
            service.spawn()
            await until(service.find_url, 20.0)
        await until(lambda: _not_ready(service), 20.0)
        async with Receiver(_ECHO, port=free_tcp_port) as receiver, Client(service.url) as client:
            outcomes = [outcome async for outcome in client.follow("r")]
            await until(sink.ids, 20.0)
        await service.stop()
    assert sorted(outcome["index"] for outcome in outcomes) == [*range(PACKETS)]
    assert [outcome["seq"] for outcome in outcomes] == [*range(1, PACKETS + 1)]
    assert len(receiver.requests) == PACKETS - PACKETS // 2  # what had an outcome is not asked for again
    (webhook,) = sink.webhooks
    assert msgspec.json.decode(webhook.body)["data"]["outputs"] == [*range(PACKETS)]
    assert store_complaints(service.data_dir) == []


def _packets() -> list[dict[str, object]]:
    return [{"resource_id": "r", "index": n, "payload": n, "last": n == PACKETS - 1} for n in range(PACKETS)]


async def _done(client: Client, count: int) -> bool:
    return bool((await client.resource("r"))["done"] == count)


async def _not_ready(service: ServiceProcess) -> bool:
    status, _, told = await service.get("/readyz")
    return status == 503 and "takes no packets: connection refused" in str(told)


async def _ready(service: ServiceProcess) -> bool:
    return (await service.get("/readyz"))[0] == 200


async def _collated(service: ServiceProcess) -> bool:
    async with asyncio.timeout(5.0):
        _, _, resource = await service.get("/v1/resources/r")
    return bool(resource["state"] == "collated" and resource["failed"] == 0 and resource["done"] == PACKETS)
