"""What waits to be sent: read from the source as there is room, and given out in batches of what is there.

Nothing waits for a batch to fill: whoever asks gets at once what has come since, so that a slow source is sent packet
by packet and a fast one in large batches, with no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from collator.client.batch import Item, Packets, Rejection, Sendable, Tally, encode

BATCH_BYTES = 256 * 1024
"""A batch takes no further packet once it is as large."""


class Feed:
    """The packets of one `send`, between the source and the requests."""

    def __init__(self, packets: Packets, tally: Tally, *, batch: int, takers: int) -> None:
        """Batches of *packets*, of at most *batch* each, for *takers*; what is no packet goes to *tally*."""
        self._packets = packets
        self._tally = tally
        self._batch = batch
        self._takers = takers
        self._queue = asyncio.Queue[Item | None](maxsize=2 * batch)

    async def fill(self) -> None:
        """Read the source to its end, never further ahead than two batches."""
        number = 0
        async for packet in _each(self._packets):
            number += 1
            if isinstance(packet, bytes) and not packet.strip():
                continue
            try:
                line = encode(packet)
            except ValueError as error:
                self._tally.rejected.append(Rejection(number, str(error)))
            else:
                await self._queue.put(Item(number, line))
        for _ in range(self._takers):
            await self._queue.put(None)

    async def take(self) -> list[Item]:
        """What is there, at least one packet; nothing at the end."""
        batch: list[Item] = []
        size = 0
        item = await self._queue.get()
        while item is not None:
            batch.append(item)
            size += len(item.line)
            if len(batch) == self._batch or size >= BATCH_BYTES or self._queue.empty():
                break
            item = self._queue.get_nowait()
        if item is None and batch:
            self._queue.put_nowait(None)  # the end, once more, for this taker's next call
        return batch


async def _each(packets: Packets) -> AsyncIterator[Sendable]:
    if isinstance(packets, AsyncIterable):
        async for packet in packets:
            yield packet
    else:
        for packet in packets:
            yield packet
