"""P1 to P4 under `kill -9` in the middle of a retry by filter: nothing is lost, a generation has one id and one body.

The moments are drawn from a seed: after so many of the webhooks that the retry brings about.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from collator.client import Client
from collator.errors import CollatorError
from collator.processor import word_lengths
from tests.harness.note import note
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.harness.store import store_complaints
from tests.wait import until

SEED = int(os.environ.get("TEST_SEED", "20261129"))
RESOURCES, PACKETS, PATIENCE = 400, 4, 60.0
KILLS = 2
"""Fewer than a packet may be in work alone at, before it is held to have ended the process."""
NAMES = [f"call-{number:03}" for number in range(RESOURCES)]


def payload(number: int, index: int) -> str:
    """Every other packet fails at first."""
    return f"{'fail' if index % 2 else 'go'} {'x' * (number % 7 + 1)} {index}"


async def test_p1_kills_in_the_middle_of_a_retry_lose_nothing(tmp_path: Path) -> None:
    random = Random(SEED)
    note(f"TEST_SEED={SEED}")
    gate = tmp_path / "mended"
    async with ServiceProcess(tmp_path / "service") as service, Sink(service.secret) as sink:
        service.environment["GATE"] = str(gate)
        service.settings |= {"webhook": sink.url, "processor": "tests.harness.processors:failing"}
        await service.start()
        async with Client(service.url) as client:
            await client.send(
                {"resource_id": name, "index": index, "payload": payload(number, index), "total": PACKETS}
                for number, name in enumerate(NAMES)
                for index in range(PACKETS)
            )
        await until(lambda: len(sink.ids()) == RESOURCES, PATIENCE)
        gate.touch()
        done = 0
        for number in range(KILLS):
            after = random.randint(1, 40)
            done += await _retry_until_killed(service, sink, after)
            note(f"kill {number}, after {after}: {done} resources answered for, {len(sink.ids())} webhooks")
            await service.start()
        async with Client(service.url) as client:
            done += (await client.retry_all(state="incomplete"))["resources"]
        await until(lambda: len(sink.ids()) == 2 * RESOURCES, PATIENCE)
        await service.stop()
    assert done <= RESOURCES  # of those that were killed, some were not told what they had done
    assert store_complaints(service.data_dir) == []
    _check(sink)


async def _retry_until_killed(service: ServiceProcess, sink: Sink, after: int) -> int:
    """Ask for a retry of all, and kill the service *after* so many more webhooks; how many resources it told of."""
    async with Client(service.url, patience=0) as client:
        asked = asyncio.create_task(client.retry_all(prefix="call-"))
        wanted = min(len(sink.ids()) + after, 2 * RESOURCES)
        await until(lambda: len(sink.ids()) >= wanted, PATIENCE)
        service.kill()
        with suppress(CollatorError, OSError):
            return int((await asked)["resources"])
    return 0


def _check(sink: Sink) -> None:
    bodies: dict[str, set[bytes]] = {}
    for webhook in sink.webhooks:
        assert not webhook.problem
        bodies.setdefault(webhook.id, set()).add(webhook.body)
    assert {len(some) for some in bodies.values()} == {1}
    said = {id_: json.loads(body)["data"] for id_, (body,) in bodies.items()}
    told: dict[str, dict[str, Any]] = {}
    for id_, data in said.items():
        kind = "whole" if "outputs" in data else "early"
        assert kind not in told.setdefault(data["resource_id"], {})
        told[data["resource_id"]][kind] = id_
    assert sorted(told) == NAMES
    for number, name in enumerate(NAMES):
        early, whole = said[told[name]["early"]], said[told[name]["whole"]]
        outputs = [word_lengths(payload(number, index)) for index in range(PACKETS)]
        assert [one["index"] for one in early["failed"]] == [1, 3]
        assert [one["output"] for one in early["partial"]] == outputs[::2]
        assert (whole["outputs"], whole["supersedes"]) == (outputs, told[name]["early"])
