"""A sender of packets in every way that there is, who notes what was acknowledged, and stops where nobody answers."""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
import anyio

from tests.harness.history import History, Packet
from tests.harness.wire import chunked

AT_ONCE = 6
JSON = {"content-type": "application/json"}


class Request(NamedTuple):
    """Packets that travel together."""

    shape: str
    """``one``, ``put``, ``array`` or ``stream``."""
    packets: Sequence[Packet]


def requests(random: Random, packets: Sequence[Packet], *, repeats: Sequence[Packet] = ()) -> Iterator[Request]:
    """*packets* in requests of all shapes, and now and then one of *repeats* a second time."""
    start = 0
    while start < len(packets):
        shape = random.choice(["one", "put", "array", "stream"])
        size = 1 if shape in {"one", "put"} else random.randint(1, 40)
        chosen = list(packets[start : start + size])
        start += size
        if shape in {"array", "stream"} and random.random() < 0.3:
            chosen.append(random.choice(chosen))
        yield Request(shape, chosen)
        if repeats and random.random() < 0.3:
            yield Request("one", [random.choice(repeats)])


class Sender:
    """Sends to one service after the other, and keeps a history of it."""

    def __init__(self, history: History, random: Random) -> None:
        self._history = history
        self._random = random
        self._broken = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, url: str, work: Iterator[Request], *, at_once: int = AT_ONCE) -> None:
        """Send all of *work*, several requests at once; stop when the service at *url* does not answer any more."""
        self._broken = False
        todo = deque(work)
        for request in todo:
            self._history.sending(request.packets)
        async with anyio.create_task_group() as group:
            for _ in range(at_once):
                group.start_soon(self._work, url, todo)

    async def _work(self, url: str, todo: deque[Request]) -> None:
        while todo and not self._broken:
            try:
                await self._post(url, todo.popleft())
            except (aiohttp.ClientError, OSError, TimeoutError):
                self._broken = True

    async def _post(self, url: str, request: Request) -> None:
        match request.shape:
            case "one":
                await self._one("POST", f"{url}/v1/packets", request.packets[0], request.packets[0].as_json())
            case "put":
                await self._put(url, request.packets[0])
            case "array":
                await self._array(url, request.packets)
            case "stream":
                await self._stream(url, request.packets)

    async def _put(self, url: str, packet: Packet) -> None:
        query = ("?last=true" if packet.last else "") or (f"?total={packet.total}" if packet.total else "")
        where = f"{url}/v1/resources/{packet.resource_id}/packets/{packet.index}{query}"
        await self._one("PUT", where, packet, json.dumps(packet.payload).encode())

    async def _one(self, method: str, url: str, packet: Packet, body: bytes) -> None:
        async with self._session.request(method, url, data=body, headers=JSON) as answer:
            told = json.loads(await answer.read())
        self._history.answered(packet.key, told["status"] if answer.status < 300 else told["code"])

    async def _array(self, url: str, packets: Sequence[Packet]) -> None:
        body = b"[" + b",".join(packet.as_json() for packet in packets) + b"]"
        async with self._session.post(f"{url}/v1/packets", data=io.BytesIO(body), headers=JSON) as answer:
            told = json.loads(await answer.read())
        receipts = told["receipts"] if "receipts" in told else [{"status": told["code"]}] * len(packets)
        for packet, receipt in zip(packets, receipts, strict=True):
            self._history.answered(packet.key, receipt["status"])

    async def _stream(self, url: str, packets: Sequence[Packet]) -> None:
        target = f"{url}/v1/packets?receipts=all"
        async with chunked(target, self._pieces(packets), content_type="application/x-ndjson") as exchange:
            if await exchange.head() != 200:
                return  # it says nothing of single packets: they stay unknown
            async for line in exchange.lines():
                told = json.loads(line)
                if "done" not in told:
                    self._history.answered((told["resource_id"], told["index"]), told["status"])

    def _pieces(self, packets: Sequence[Packet]) -> list[bytes]:
        """The lines, cut anywhere: a network knows nothing of lines."""
        data = b"".join(packet.as_json() + b"\n" for packet in packets)
        cuts = sorted({0, len(data), *(self._random.randrange(len(data)) for _ in range(len(packets)))})
        return [data[a:b] for a, b in pairwise(cuts)]
