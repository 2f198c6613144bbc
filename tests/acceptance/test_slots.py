"""Services whose resources are divided among two PostgreSQL databases, of which one is away for a while."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import aiohttp
import pytest

from collator.ledgers.slots.places import slot_of
from tests.harness.checker import complaints
from tests.harness.history import NOT_TAKEN, TAKEN, UNKNOWN, History, Packet, workload
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.requirements import need
from tests.servers import postgresql
from tests.wait import until

PACKETS = 3
BEFORE, WHILE = ([f"{when}-{number}" for number in range(8)] for when in ("before", "while"))
AT_ONCE = 8
"""Requests of a sender."""
AGAIN = 0.1
"""Seconds until what was not taken is sent again."""
RECOVERY = 120.0
"""Seconds within which all is delivered once nothing is wrong any more: leases have to end, on a busy machine."""


@pytest.fixture
async def servers() -> AsyncIterator[list[postgresql.Server]]:
    """Two servers of their own, as one of them is stopped."""
    missing = postgresql.missing()
    need(missing is None, str(missing))
    servers = [await asyncio.to_thread(postgresql.Server) for _ in range(2)]
    yield servers
    for server in servers:
        await asyncio.to_thread(server.remove)


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[Sink]:
    """A receiver, and the secret that all services sign with."""
    secret = tmp_path / "secret"
    secret.write_text("whsec_" + "QUJD" * 10 + "\n")
    secret.chmod(0o600)
    async with Sink(secret) as up:
        yield up


def node(home: Path, servers: Sequence[postgresql.Server], sink: Sink) -> ServiceProcess:
    """A service on the databases of *servers*, not started."""
    return ServiceProcess(
        home,
        webhook=sink.url,
        webhook_secret_file=home.parent / "secret",
        ledger=";".join(f"{server.url}/postgres" for server in servers),
        ledger_durability="relaxed",  # the servers of the tests do not wait for the disk
        processor="tests.harness.processors:slower",
    )


def in_slot(names: list[str], slot: int) -> list[str]:
    """Those of *names* that live in one of the two ledgers."""
    return [name for name in names if slot_of(name, 2) == slot]


async def post(url: str, names: list[str]) -> tuple[int, dict[str, set[str]]]:
    """Send whole resources in one request; the status, and those of the packets of each resource."""
    packets = [
        {"resource_id": name, "index": index, "payload": name, "last": index == PACKETS - 1}
        for name in names
        for index in range(PACKETS)
    ]
    async with aiohttp.ClientSession() as session, session.post(f"{url}/v1/packets", json=packets) as answer:
        found: dict[str, set[str]] = {}
        for receipt in (await answer.json()).get("receipts", ()):
            found.setdefault(receipt["resource_id"], set()).add(receipt["status"])
        return answer.status, found


async def test_while_one_ledger_is_away_the_resources_of_the_other_go_on(
    tmp_path: Path, servers: list[postgresql.Server], sink: Sink
) -> None:
    async with node(tmp_path / "node", servers, sink) as service:
        await service.start()
        assert (await post(service.url, BEFORE))[0] == 202
        await until(lambda: len(sink.webhooks) >= len(BEFORE), 30)

        await asyncio.to_thread(servers[1].stop)
        here, away = in_slot(WHILE, 0), in_slot(WHILE, 1)
        await until(lambda: refused(service.url, away[0]), 30)
        status, receipts = await post(service.url, WHILE)
        assert status == 429  # some were taken, and the others may be sent again
        assert receipts == {name: {"accepted" if name in here else "refused"} for name in WHILE}
        await until(lambda: len(sink.webhooks) >= len(BEFORE) + len(here), 30)
        assert (await service.get("/readyz"))[0] == 200
        assert (await service.get("/v1/resources"))[0] == 503  # a list with holes would tell what is not so

        await asyncio.to_thread(servers[1].start)
        await until(lambda: taken(service.url, WHILE), 30)
        await until(lambda: len(sink.webhooks) >= len(BEFORE) + len(WHILE), 30)
        await service.stop()
    assert not [webhook.problem for webhook in sink.webhooks if webhook.problem]
    assert len({webhook.id for webhook in sink.webhooks}) == len(sink.webhooks) == len(BEFORE) + len(WHILE)


async def refused(url: str, name: str) -> bool:
    """Whether packets of a resource are refused."""
    return (await post(url, [name]))[0] == 503


async def taken(url: str, names: list[str]) -> bool:
    """Whether all packets of *names* are there."""
    return (await post(url, names))[0] < 300


class Answer(NamedTuple):
    """An answer to one packet."""

    slot: int
    status: int
    """0 where there was none."""
    says_when: bool
    """Whether it says when to come again."""


class Traffic:
    """Packets of ever new resources, one a request, each at any node that runs, until it is acknowledged."""

    def __init__(self, nodes: Sequence[ServiceProcess]) -> None:
        """Send nothing yet."""
        self.history = History()
        self.answers: list[Answer] = []
        self.more = True
        """Whether new resources are begun."""
        self._nodes, self._random = nodes, Random(20261129)
        self._names = count()
        self._todo, self._refused = deque[Packet](), deque[Packet]()

    async def run(self) -> None:
        """Send until there are to be no `more`, and all is acknowledged."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work(session))

    def acknowledged(self, slot: int) -> int:
        """The number of packets of a ledger that are acknowledged."""
        return sum(slot_of(name, 2) == slot for name, _ in self.history.acked)

    async def further(self, number: int, *slots: int) -> None:
        """Wait until so many more packets of each of *slots* are acknowledged than now."""
        enough = {slot: self.acknowledged(slot) + number for slot in slots}
        await until(lambda: all(self.acknowledged(slot) >= most for slot, most in enough.items()), RECOVERY)

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while self.more or self._todo or self._refused:
            if not self._todo:
                new = workload(self._random, f"r{next(self._names)}", resources=10) if self.more else []
                self.history.sending(new)
                self._todo += [*new, *self._refused]
                self._refused.clear()
            packet = self._todo.popleft()
            if not await self._send(session, packet):
                self._refused.append(packet)
                end = time.monotonic() + AGAIN
                await until(lambda: time.monotonic() > end)  # noqa: B023 - it is awaited here

    async def _send(self, session: aiohttp.ClientSession, packet: Packet) -> bool:
        slot = slot_of(packet.resource_id, 2)
        url = self._random.choice([each.url for each in self._nodes if each.running() and each.url])
        try:
            async with session.post(
                f"{url}/v1/packets", data=packet.as_json(), headers={"content-type": "application/json"}
            ) as answer:
                told = json.loads(await answer.read())
        except (aiohttp.ClientError, OSError):
            self.answers.append(Answer(slot, 0, says_when=False))
            return False
        word = told["status"] if answer.status < 300 else told["code"]
        self.history.answered(packet.key, word)
        self.answers.append(Answer(slot, answer.status, says_when="retry-after" in answer.headers))
        assert word in TAKEN | NOT_TAKEN | UNKNOWN, word
        return word in TAKEN


@pytest.mark.cluster
async def test_a_node_and_a_ledger_die_under_load_and_nothing_is_lost(
    tmp_path: Path, servers: list[postgresql.Server], sink: Sink
) -> None:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(tmp_path / name, servers, sink)) for name in ("one", "two")]
        await nodes[0].start()  # the first start gives the databases their places
        await nodes[1].start()
        traffic = Traffic(nodes)
        sending = asyncio.create_task(traffic.run())
        await traffic.further(60, 0, 1)
        nodes[0].kill()
        await traffic.further(60, 0, 1)
        await nodes[0].start()
        await traffic.further(30, 0, 1)

        await asyncio.to_thread(servers[1].kill)
        traffic.answers.clear()
        await traffic.further(100, 0)
        answers = [*traffic.answers]
        assert {answer.status for answer in answers if answer.slot == 0} == {202}
        assert {answer.says_when for answer in answers if answer.status != 202} == {True}
        assert {answer.status for answer in answers if answer.slot == 1} <= {202, 429, 503}
        assert (await nodes[1].get("/readyz"))[0] == 200
        assert "ledger 2: " in (await nodes[1].get("/v1/status"))[2]["durability"]["away"][0]
        nodes[0].kill()
        await nodes[0].start()  # though the ledger is away
        await traffic.further(30, 0)

        await asyncio.to_thread(servers[1].start)
        await traffic.further(60, 0, 1)
        traffic.more = False
        await asyncio.wait_for(sending, RECOVERY)
        names = {name for name, _ in traffic.history.sent}
        await until(lambda: len(sink.ids()) >= len(names), RECOVERY)
        await repeat(nodes[0].url, traffic.history)
        assert await listed(nodes[1]) == names
        status = (await nodes[1].get("/v1/status"))[2]
        assert (status["stored"]["collated"], status["stored"]["open"]) == (len(names), 0)
        for each in nodes:
            await each.stop()
    assert not complaints(traffic.history, sink.webhooks, at_least=400)
    assert {json.loads(webhook.body)["type"] for webhook in sink.webhooks} == {"resource.collated"}


async def repeat(url: str, history: History) -> None:
    """Send once more what was acknowledged: whatever is then taken as new was lost."""
    async with aiohttp.ClientSession() as session:
        for key in sorted(history.acked):
            data, headers = history.sent[key].as_json(), {"content-type": "application/json"}
            async with session.post(f"{url}/v1/packets", data=data, headers=headers) as answer:
                history.answered(key, (await answer.json())["status"])


async def listed(service: ServiceProcess) -> set[str]:
    """The ids of all resources, page by page."""
    found: set[str] = set()
    cursor: str | None = ""
    while cursor is not None:
        page: Mapping[str, Any] = (await service.get(f"/v1/resources?limit=50&cursor={cursor}"))[2]
        found.update(line["resource_id"] for line in page["resources"])
        cursor = page["next_cursor"]
    return found
