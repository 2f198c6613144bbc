"""A service in this process: listener, ledger, workers and webhooks, with a processor under control."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from collator.errors import Permanent
from collator.messages import Counts
from collator.service import Service, open_service
from collator.settings import Settings
from collator.testing import ManualClock, Receiver
from tests.http.ledgers import STORES, ClockOfBoth
from tests.http.listener import PATIENCE, Reply, Wire, connect, request
from tests.wait import until


class Gate:
    """A processor that echoes, or fails for good as its payload says; it works while the gate is open."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.open()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.clear()

    def __call__(self, payload: Any) -> Any:  # noqa: ANN401 - JSON may be anything
        assert self._open.wait(PATIENCE)
        if isinstance(payload, dict) and "fail" in payload:
            raise Permanent(payload["fail"])
        return payload


class Running(NamedTuple):
    """A service that runs, its receiver, its clock and its gate."""

    service: Service
    receiver: Receiver
    clock: ManualClock
    host_check: Gate
    wire: Wire
    """A connection that stays open."""
    turns: asyncio.Lock
    """One request after the other."""

    async def ask(
        self, method: str, path: str, body: object = None, *, media_type: str = "application/json", **fields: str
    ) -> Reply:
        """One request on the connection that stays open; *body* as JSON where it is not bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        async with self.turns:
            await self.wire.send(request(method, path, data, media_type=media_type, **fields))
            return await self.wire.reply()

    async def post(self, packets: object) -> Reply:
        return await self.ask("POST", "/v1/packets", packets)

    async def resource(self, resource_id: str = "r") -> dict[str, Any]:
        reply = await self.ask("GET", f"/v1/resources/{resource_id}")
        assert reply.status == 200, reply
        report: dict[str, Any] = reply.json
        return report

    async def counts(self) -> Counts:
        return await self.service.ledger.counts()

    async def quiet(self) -> None:
        """Wait until every packet has its outcome and every delivery is delivered."""
        await self.stored(waiting=0, due=0)

    async def stored(self, **numbers: int) -> None:
        """Wait until the store holds so many of each, as `Counts` has them."""

        async def holds() -> bool:
            counts = await self.counts()
            return all(getattr(counts, name) == number for name, number in numbers.items())

        await until(holds, PATIENCE)

    async def webhooks(self, count: int) -> list[dict[str, Any]]:
        """What the first *count* webhooks say, in the order in which they came."""
        received = await self.receiver.wait(count, timeout=PATIENCE)
        return [json.loads(webhook.body) for webhook in received]


@asynccontextmanager
async def running(
    data_dir: Path,
    *,
    clock: ManualClock | None = None,
    processor: Callable[..., object] | None = None,
    **settings: object,
) -> AsyncIterator[Running]:
    """A service on a port of its own, with *processor* instead of the gate; *settings* by their names."""
    store = STORES.at(data_dir)
    host_check, clock = Gate(), clock or ClockOfBoth(store.clock)
    async with Receiver() as receiver:
        given: Mapping[str, Any] = {"port": 0, "webhook": receiver.url, "min_free_disk": 1, **settings}
        made = Settings(data_dir=data_dir, **store.settings(), **given)
        async with open_service(made, clock=clock, processor=processor or host_check) as service:
            wire = await connect(int(service.url.rpartition(":")[2]))
            try:
                yield Running(service, receiver, clock, host_check, wire, asyncio.Lock())
            finally:
                host_check.open()
                await wire.aclose()
