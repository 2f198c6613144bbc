"""P1, P2, P3, P4 under `kill -9`: whatever was acknowledged is delivered, once, in order, under one id with one body.

The moments are drawn from a seed in terms of progress (after so many acknowledgements, after so many webhooks), never
in terms of time. The seed is printed; TEST_SEED chooses another one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from tests.harness.checker import KILLER, complaints, innocents
from tests.harness.history import History, Packet, payload_of, workload
from tests.harness.note import note
from tests.harness.processors import DEADLY
from tests.harness.sender import Request, Sender, requests
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.harness.store import store_complaints
from tests.wait import until

SEED = int(os.environ.get("TEST_SEED", "20261124"))
ROUNDS = 20
RECOVERY = 15.0
"""Seconds after the last start within which all is delivered (I7)."""
PROCESSORS = ("collator.processor:word_lengths", "tests.harness.processors:slow")


async def test_p1_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    random, history = Random(SEED), History()
    note(f"TEST_SEED={SEED}")
    async with ServiceProcess(tmp_path) as service, Sink(service.secret) as sink, Sender(history, random) as sender:
        service.settings["webhook"] = sink.url
        for number in range(ROUNDS):
            fresh = workload(random, f"r{number}", resources=random.randint(5, 30))
            await service.start(processor=random.choice(PROCESSORS))
            wire = random.choice([history.acks, sink.arrivals])
            wire.set(random.randint(1, 120), service.kill)
            await _send(sender, service, history, random, fresh)
            if wire is sink.arrivals:  # with luck some come while nothing is sent
                await _until_killed_or_delivered(service, history, sink)
            wire.clear()
            note(f"kill {number}: {len(history.acked)} acknowledged, {len(sink.webhooks)} webhooks")
            service.kill()
        await service.start(processor=PROCESSORS[0])
        await _send(sender, service, history, random, [])
        await _all_delivered(history, sink)
        await service.stop()
    unlucky = innocents(sink.webhooks)
    note(f"{len(history.acked)} acknowledged ({history.answers}), {len(sink.webhooks)} webhooks, {unlucky} unlucky")
    assert complaints(history, sink.webhooks, at_least=1000) == []
    assert store_complaints(service.data_dir) == []
    assert unlucky <= ROUNDS // 2


async def _send(
    sender: Sender, service: ServiceProcess, history: History, random: Random, fresh: Sequence[Packet]
) -> None:
    """Send what nobody acknowledged, then what is *fresh*, and now and then again what was acknowledged long ago."""
    old = [history.sent[key] for key in sorted(history.acked)]
    await sender.send(service.url, requests(random, [*history.unacknowledged(), *fresh], repeats=old))


async def _until_killed_or_delivered(service: ServiceProcess, history: History, sink: Sink) -> None:
    await until(lambda: not service.running() or _delivered(history, sink), RECOVERY)


async def _all_delivered(history: History, sink: Sink) -> None:
    assert not history.unacknowledged()
    await until(lambda: _delivered(history, sink), RECOVERY)


def _delivered(history: History, sink: Sink) -> bool:
    """Whether every resource has come to its end; all packets of it were acknowledged."""
    whole = {resource_id for resource_id, _ in history.sent} - {
        packet.resource_id for packet in history.unacknowledged()
    }
    return len(sink.ids()) >= len(whole)


async def test_a_packet_that_kills_the_process_fails_after_three_deaths_and_the_others_are_delivered(
    tmp_path: Path,
) -> None:
    random, history = Random(SEED), History()
    poison = [Packet("poison", index, payload_of("poison", index)) for index in range(3)]
    poison[1] = replace(poison[1], payload=DEADLY)
    poison[2] = replace(poison[2], last=True)
    others = workload(random, "others", resources=20)
    async with (
        ServiceProcess(tmp_path, processor="tests.harness.processors:fatal") as service,
        Sink(service.secret) as sink,
        Sender(history, random) as sender,
    ):
        service.settings["webhook"] = sink.url
        await service.start()
        mixed = [*others[:50], *poison, *others[50:]]
        await sender.send(service.url, iter([Request("stream", mixed)]))
        while history.unacknowledged() or not _delivered(history, sink):
            await _until_killed_or_delivered(service, history, sink)
            if not service.running():
                service.spawn()  # as a supervisor would; it may die again before it says that it serves
                await until(lambda: service.find_url() or not service.running(), RECOVERY)
            if service.running():
                await _send(sender, service, history, random, [])
        await service.stop()
    assert service.starts in {1 + 3, 1 + 4}  # the first death may be among neighbours, and is on nobody's account
    assert complaints(history, sink.webhooks, at_least=len(mixed)) == []
    assert store_complaints(service.data_dir) == []
    ended = [json.loads(webhook.body)["data"] for webhook in sink.webhooks]
    assert [data["resource_id"] for data in ended if "partial" in data] == ["poison"]
    failed = [data["failed"] for data in ended if "partial" in data]
    assert failed == [[{"index": 1, "reason": KILLER, "attempts": 3}]]
