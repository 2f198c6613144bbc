"""P4 while the receiver is away: nothing is lost, and what comes late has the same id and the same bytes."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from random import Random

from tests.harness.checker import complaints
from tests.harness.history import History, workload
from tests.harness.sender import Sender, requests
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.harness.store import store_complaints
from tests.wait import until

RESOURCES = 30
FAILURES = 5


async def test_p4_what_is_finished_while_the_receiver_is_down_is_delivered_when_it_is_back(tmp_path: Path) -> None:
    random, history = Random(5), History()
    async with (
        ServiceProcess(tmp_path, breaker_failures=FAILURES) as service,
        Sink(service.secret, up=False) as sink,
        Sender(history, random) as sender,
    ):
        await service.start(webhook=sink.url)
        await sender.send(service.url, requests(random, workload(random, "a", resources=RESOURCES)))
        await _attempted(service, FAILURES)  # then it is left alone for a while
        service.kill()  # what is due is in the store, and not in anybody's memory
        await sink.up()
        await service.start(webhook=sink.url)
        await until(lambda: len(sink.ids()) == RESOURCES, 15.0)
        await service.stop()
    assert complaints(history, sink.webhooks, at_least=RESOURCES) == []
    assert store_complaints(service.data_dir) == []


async def test_p4_a_receiver_that_fails_and_then_goes_gets_the_same_bytes_again(tmp_path: Path) -> None:
    random, history = Random(6), History()
    answers = [500] * 5 + [204] * 5 + [503] * 5
    async with (
        # Many attempts are wanted here.
        ServiceProcess(tmp_path, delivery_concurrency=2, breaker_failures=1000) as service,
        Sink(service.secret, answers=answers) as sink,
        Sender(history, random) as sender,
    ):
        await service.start(webhook=sink.url)
        await sender.send(service.url, requests(random, workload(random, "b", resources=RESOURCES)))
        await until(lambda: len(sink.webhooks) >= len(answers), 15.0)
        await sink.down()
        await _attempted(service, RESOURCES)
        await sink.up()
        await until(lambda: len(sink.ids()) == RESOURCES, 15.0)
        await service.stop()
    assert len(sink.webhooks) >= RESOURCES + 10
    assert complaints(history, sink.webhooks, at_least=RESOURCES) == []
    assert store_complaints(service.data_dir) == []


async def _attempted(service: ServiceProcess, count: int) -> None:
    """Wait until as many attempts to deliver have ended, in whichever way."""

    async def attempts() -> float:
        _, _, text = await service.get("/metrics")
        found = re.findall(r"^collator_delivery_attempts_total\{.*?\} (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    async with asyncio.timeout(20):
        while await attempts() < count:
            pass
