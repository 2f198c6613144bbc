"""R16: what a failed packet means for its resource, seen from outside: over HTTP, and by the receiver of webhooks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from collator.client import Client
from collator.client.replies import ResourceReply
from collator.errors import Permanent
from collator.service import open_service
from collator.settings import Settings
from collator.testing import Receiver
from tests.wait import until


class Processor:
    """Fails for good on what is ``"bad"``, until it is mended; lets ``"slow"`` wait for a gate."""

    def __init__(self) -> None:
        self.mended = False
        self.host_check = threading.Event()
        self.calls: list[object] = []

    def __call__(self, payload: object) -> object:
        self.calls.append(payload)
        if payload == "slow":
            assert self.host_check.wait(20.0)
        if payload == "bad" and not self.mended:
            raise Permanent("nothing to be heard")
        return payload


class House(NamedTuple):
    client: Client
    receiver: Receiver

    async def send(self, resource_id: str, *payloads: str) -> None:
        await self.client.send(
            [
                {"resource_id": resource_id, "index": index, "payload": payload, "last": index == len(payloads) - 1}
                for index, payload in enumerate(payloads)
            ]
        )

    async def webhook(self) -> dict[str, Any]:
        """The only one that comes."""
        (received,) = await self.receiver.wait(1)
        body: dict[str, Any] = json.loads(received.body)
        return body

    async def until_failed(self, *, done: int) -> ResourceReply:
        """The resource ``a``, once one packet of it has failed and *done* are done."""
        async with asyncio.timeout(10.0):
            while True:
                report = await self.client.resource("a")
                if (report["failed"], report["done"]) == (1, done):
                    return report


@pytest.fixture
def processor() -> Iterator[Processor]:
    processor = Processor()
    yield processor
    processor.host_check.set()


@asynccontextmanager
async def house(data_dir: Path, processor: Processor, on_failure: str) -> AsyncIterator[House]:
    async with Receiver() as receiver:
        settings = Settings(port=0, data_dir=data_dir, webhook=receiver.url, on_failure=on_failure)
        async with open_service(settings, processor=processor) as service, Client(service.url) as client:
            yield House(client, receiver)


async def test_r16_incomplete_goes_on_and_closes_when_all_others_are_done(tmp_path: Path, processor: Processor) -> None:
    async with house(tmp_path, processor, "incomplete") as it:
        await it.send("a", "one", "bad", "slow")
        await until(lambda: len(processor.calls) == 3)
        assert (await it.client.resource("a"))["state"] == "open"
        processor.host_check.set()
        body = await it.webhook()
    assert (body["type"], body["data"]["completed_by"]) == ("resource.incomplete", "last")
    assert body["data"]["partial"] == [{"index": 0, "output": "one"}, {"index": 2, "output": "slow"}]
    assert body["data"]["failed"] == [{"index": 1, "reason": "nothing to be heard", "attempts": 1}]
    assert (body["data"]["missing"], body["data"]["unfinished"]) == ([], [])


async def test_r16_fail_fast_closes_at_the_first_failed_packet(tmp_path: Path, processor: Processor) -> None:
    async with house(tmp_path, processor, "fail_fast") as it:
        await it.client.send([{"resource_id": "a", "index": 5, "payload": "slow"}])
        await until(lambda: processor.calls)
        await it.client.send([{"resource_id": "a", "index": 1, "payload": "bad"}])
        body = await it.webhook()
        assert (body["type"], body["data"]["completed_by"]) == ("resource.incomplete", "failure")
        assert body["data"]["failed"] == [{"index": 1, "reason": "nothing to be heard", "attempts": 1}]
        assert (body["data"]["partial"], body["data"]["unfinished"]) == ([], [[5, 5]])
        processor.host_check.set()
        await until(lambda: len(processor.calls) == 2)
        report = await it.client.resource("a")
        assert (report["state"], report["done"]) == ("incomplete", 0)
        assert len(it.receiver.received) == 1

        processor.mended = True
        assert await it.client.retry("a") == {"resource_id": "a", "retried": 2}
        await it.client.send([{"resource_id": "a", "index": index, "payload": "late"} for index in (0, 2, 3, 4)])
        await it.client.complete("a", total=6)
        (first, second) = await it.receiver.wait(2)
    said = json.loads(second.body)["data"]
    assert said["outputs"] == ["late", "bad", "late", "late", "late", "slow"]
    assert said["supersedes"] == first.headers["webhook-id"]


async def test_r16_hold_waits_until_a_person_has_its_failed_packets_tried_again(
    tmp_path: Path, processor: Processor
) -> None:
    async with house(tmp_path, processor, "hold") as it:
        await it.send("a", "one", "bad", "three")
        report = await it.until_failed(done=2)
        assert (report["state"], it.receiver.received) == ("open", [])
        assert report["failures"] == [{"index": 1, "reason": "nothing to be heard", "attempts": 1}]
        assert (
            report["why_undelivered"]
            == "held open because 1 packet failed: retry them, or complete the resource with force"
        )

        assert await it.client.retry("a") == {"resource_id": "a", "retried": 1}
        await until(lambda: len(processor.calls) == 4)
        assert (await it.until_failed(done=2))["state"] == "open"

        processor.mended = True
        assert await it.client.retry("a") == {"resource_id": "a", "retried": 1}
        body = await it.webhook()
        assert (body["type"], body["data"]["outputs"]) == ("resource.collated", ["one", "bad", "three"])
    assert len(processor.calls) == 5


async def test_r16_hold_ends_where_a_person_closes_it_by_force(tmp_path: Path, processor: Processor) -> None:
    async with house(tmp_path, processor, "hold") as it:
        await it.send("a", "one", "bad")
        await it.until_failed(done=1)
        await it.client.complete("a", force=True)
        body = await it.webhook()
    assert (body["type"], body["data"]["completed_by"]) == ("resource.incomplete", "forced")
    assert body["data"]["failed"] == [{"index": 1, "reason": "nothing to be heard", "attempts": 1}]
