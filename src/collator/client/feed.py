"""The buffer of packets to be sent, filled from the source within bounds and emptied in batches.

Nothing waits for a batch to fill: a sender gets at once what has come since, so that a slow source is sent packet by
packet and a fast one in large batches, with no timer. A source that may block, which the event loop may not, is read in
a thread of its own. What a source gave before it raised is given out all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing, nullcontext

from collator.client.batch import Item, Packets, Rejection, Sendable, Tally, encode
from collator.client.handover import Handover
from collator.client.poll import wait_for_end

BATCH_BYTES = 256 * 1024
"""A batch takes no further packet once it is as large."""
BYTES_AHEAD = 4 * 1024 * 1024
"""Bytes that are read ahead, at most, or a single packet."""


class Feed:
    """The packets of one `send`, between the source and the requests."""

    def __init__(self, packets: Packets, tally: Tally, *, batch: int, takers: int) -> None:
        """Batches of *packets*, of at most *batch* each, for *takers*; what is no packet goes to *tally*."""
        self.error: BaseException | None = None
        """What the source raised, once it has."""
        self._packets = packets
        self._tally = tally
        self._batch = batch
        self._takers = takers
        self._queue = asyncio.Queue[Item | None](maxsize=2 * batch)
        self._bytes = 0  # in the queue
        self._taken = asyncio.Event()

    async def fill(self) -> None:
        """Read the source to its end, never further ahead than two batches, or `BYTES_AHEAD`."""
        reading = await wait_for_end(self._read())  # a source may be cancelled too, which is an error as any other
        self.error = asyncio.CancelledError() if reading.cancelled() else reading.exception()
        for _ in range(self._takers):
            await self._queue.put(None)

    async def take(self) -> list[Item]:
        """Take the packets that are there, one at least; none at the end."""
        batch: list[Item] = []
        size = 0
        item = await self._queue.get()
        while item is not None:
            batch.append(item)
            size += len(item.line)
            self._bytes -= len(item.line)
            if len(batch) == self._batch or size >= BATCH_BYTES or self._queue.empty():
                break
            item = self._queue.get_nowait()
        self._taken.set()
        if item is None and batch:
            self._queue.put_nowait(None)  # the end, once more, for this taker's next call
        return batch

    async def _read(self) -> None:
        number = 0
        async with aclosing(_each(self._packets)) as packets:
            async for packet in packets:
                number += 1
                if item := self._item(number, packet):
                    await self._put(item)

    async def _put(self, item: Item) -> None:
        while self._bytes and self._bytes + len(item.line) > BYTES_AHEAD:
            self._taken.clear()
            await self._taken.wait()
        self._bytes += len(item.line)
        await self._queue.put(item)

    def _item(self, number: int, packet: Sendable) -> Item | None:
        if isinstance(packet, bytes) and not packet.strip():
            return None
        try:
            return Item(number, encode(packet))
        except ValueError as error:
            self._tally.rejected.append(Rejection(number, str(error), sent=False))
            return None


async def _each(packets: Packets) -> AsyncGenerator[Sendable, None]:
    if isinstance(packets, AsyncIterable):
        # Closed here where it is a generator: what its end raises would be lost once it is dropped.
        async with aclosing(packets) if isinstance(packets, AsyncGenerator) else nullcontext():
            async for packet in packets:
                yield packet
    elif isinstance(packets, list | tuple):  # all are there
        for packet in packets:
            yield packet
    else:
        handover = Handover(asyncio.get_running_loop())
        handover.read_in_thread(packets)
        try:
            async for packet in handover.packets():
                yield packet
        finally:
            handover.stop()
