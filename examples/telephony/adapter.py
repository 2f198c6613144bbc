"""Passes media streams of telephone calls on to Collator: each chunk of audio is a packet of its call.

Providers of telephony open a WebSocket to you for each call, and send JSON: ``start`` with the id of the call,
``media`` with the number of a chunk and its audio in base64, and ``stop``. Run it beside a service:

    python examples/telephony/adapter.py 8080 ws://127.0.0.1:8000/v1/stream
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import WebSocketException

log = logging.getLogger(__name__)
PAUSE = 1.0
"""Seconds until Collator is asked again."""


class Call:
    """One call: the chunks that Collator does not have yet, by index."""

    def __init__(self, start: dict[str, Any]) -> None:
        """Begin with the message *start*."""
        self.resource_id = start["callSid"]
        self.metadata = {"stream": start["streamSid"], "format": start["mediaFormat"]}
        self.chunks: dict[int, str] = {}
        self.total: int | None = None
        self.news = asyncio.Event()
        self._next = 0

    def take(self, message: dict[str, Any]) -> None:
        """Take the next *message* of the provider."""
        if message["event"] == "media":
            index = int(message["media"]["chunk"]) - 1  # they count from 1
            self.chunks[index] = message["media"]["payload"]
            self._next = max(self._next, index + 1)
        elif message["event"] == "stop":
            self.end()
        self.news.set()

    def end(self) -> None:
        """No more chunks come, also where the provider was cut off."""
        self.total = self._next
        self.news.set()

    def stored(self, through: int) -> None:
        """Forget the chunks up to the index *through*, which Collator has on its disk."""
        self.chunks = {index: chunk for index, chunk in self.chunks.items() if index > through}


async def pass_on(messages: AsyncIterable[str | bytes], url: str) -> None:
    """Send the call that *messages* of a provider tell of to Collator's stream at *url*, until it has all of it."""
    sending: asyncio.Task[None] | None = None
    call: Call | None = None
    async for message in messages:
        said = json.loads(message)
        if said["event"] == "start":
            call = Call(said["start"])
            sending = asyncio.create_task(_send(call, url))
        elif call is not None:
            call.take(said)
    if call is not None and sending is not None:
        if call.total is None:
            call.end()
        await sending


async def _send(call: Call, url: str) -> None:
    """Send *call*; after a cut again, from where Collator says."""
    while True:
        try:
            async with connect(url, compression=None) as collator:
                await _converse(call, collator)
                return
        except (WebSocketException, OSError) as error:
            log.warning("%s: cut off, going on soon: %s", call.resource_id, error)
            await asyncio.sleep(PAUSE)


async def _converse(call: Call, collator: ClientConnection) -> None:
    await collator.send(json.dumps({"type": "start", "resource_id": call.resource_id, "metadata": call.metadata}))
    begin = json.loads(await collator.recv())
    call.stored(begin["next_index"] - 1)
    writing = asyncio.create_task(_write(call, collator))
    try:
        async for message in collator:
            said = json.loads(message)
            if said["type"] == "ack":
                call.stored(said["through"])
            elif said["type"] == "error":
                log.error("%s: %s", call.resource_id, said["problem"]["detail"])
            elif said["type"] == "end":
                return
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)  # where it failed, the connection did
    raise ConnectionError(f"{call.resource_id}: closed before the end")


async def _write(call: Call, collator: ClientConnection) -> None:
    """Write the chunks that are there, and those that come, and then the end."""
    written = -1
    while True:
        call.news.clear()
        for index in sorted(index for index in call.chunks if index > written):
            await collator.send(json.dumps({"type": "packet", "index": index, "payload": call.chunks[index]}))
            written = index
        if call.total is not None:
            await collator.send(json.dumps({"type": "stop", "total": call.total}))
            return
        await call.news.wait()


async def listen(port: int, url: str) -> None:
    """Take calls at *port*."""

    async def take(provider: ServerConnection) -> None:
        await pass_on(provider, url)

    async with serve(take, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(listen(int(sys.argv[1]), sys.argv[2]))
