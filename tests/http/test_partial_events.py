"""Interim outputs of a processor that is a generator reach who follows, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collator.processor import Partial
from tests.harness.event_stream import Event, events_of
from tests.http.listener import connect, packet, request
from tests.http.service import Running, running

pytestmark = pytest.mark.usefixtures("each_ledger")


class Spelling:
    """Shows a text letter by letter, each when it is asked to."""

    def __init__(self) -> None:
        self.turns: asyncio.Queue[None] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    async def turn(self) -> None:
        """Wait for the test, on its loop: calls have one of their own."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.turns.get(), self.loop))

    async def __call__(self, payload: str) -> AsyncGenerator[Any, None]:
        for length in range(1, len(payload)):
            await self.turn()
            yield Partial(payload[:length])
        await self.turn()
        yield payload


@asynccontextmanager
async def followed(it: Running, query: str) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a resource, from now on."""
    wire = await connect(int(it.service.url.rpartition(":")[2]))
    try:
        await wire.send(request("GET", f"/v1/resources/r/events{query}", None))
        assert (await wire.head())[0] == 200
        yield events_of(wire.chunks())
    finally:
        await wire.aclose()


@pytest.mark.parametrize("order", ["", "?order=index"])
async def test_r26_each_follower_sees_the_letters_come_and_then_the_output(tmp_path: Path, order: str) -> None:
    spelling = Spelling()
    async with running(tmp_path, processor=spelling) as it, followed(it, order) as events:
        await it.post(packet(0, payload="abc"))
        spelling.turns.put_nowait(None)
        a = await anext(events)
        spelling.turns.put_nowait(None)
        ab = await anext(events)
        assert (await it.ask("GET", "/v1/resources/r/outputs")).json["outputs"] == []
        spelling.turns.put_nowait(None)
        output = await anext(events)
        await it.post(packet(1, payload="x", last=True))
        spelling.turns.put_nowait(None)
        rest = [event async for event in events]
        (webhook,) = await it.webhooks(1)
    said = {"resource_id": "r", "index": 0, "attempt": 1}
    assert [(one.kind, one.data, one.id) for one in (a, ab)] == [
        ("partial", {**said, "output": "a"}, ""),  # no id: it is no place to go on at
        ("partial", {**said, "output": "ab"}, ""),
    ]
    assert (output.kind, output.data["output"]) == ("output", "abc")
    assert [event.kind for event in rest] == ["output", "end"]
    assert webhook["data"]["outputs"] == ["abc", "x"]
