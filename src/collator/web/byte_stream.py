"""The bytes of a connection that has left HTTP, both ways, bounded: who does not take them is not read from either."""

from __future__ import annotations

import asyncio
from typing import Protocol

from collator.web.buffer_memory import BufferMemory
from collator.web.limits import KIB

_MOST = 64 * KIB
"""Bytes that may wait here, beside those of the last read; the rest waits in the system, and at the client."""


class StreamFlow(Protocol):
    """The flow of a connection, as uvicorn has it."""

    write_paused: bool
    """Whether the client has to take what is much."""

    def pause_reading(self) -> None:
        """Have nothing more come."""
        ...

    def resume_reading(self) -> None:
        """Let more come."""
        ...

    async def drain(self) -> None:
        """Wait until the client has taken what is much."""
        ...


class StreamOutput(Protocol):
    """The way to the client."""

    def write(self, data: bytes) -> None:
        """Write *data*, with all else that is written in this turn of the event loop."""
        ...


class ByteStream:
    """What came and was not read, and what the client has to take."""

    def __init__(self, flow: StreamFlow, output: StreamOutput, *, who: str, buffer_memory: BufferMemory) -> None:
        """Hold back what comes by *flow*, and write to *output*; what waits here counts for *who*."""
        self.ended = False
        """Whether nothing more can come, or be written."""
        self.stopping = False
        """Whether the service closes its connections."""
        self.flow, self._output = flow, output
        self._who, self._buffer_memory = who, buffer_memory
        self._came = bytearray()
        self._news = asyncio.Event()

    # What the connection says.

    def feed(self, data: bytes) -> None:
        """*data* came."""
        if self.ended:
            return
        self._came += data
        self._buffer_memory.take(self._who, len(data))
        if len(self._came) > _MOST:
            self.flow.pause_reading()
        self._news.set()

    def end(self) -> None:
        """Nothing more can come, nor be written."""
        self.ended = True
        self._news.set()

    def stop(self) -> None:
        """Say that the service closes its connections."""
        self.stopping = True
        self._news.set()

    # For who reads and writes.

    @property
    def writable(self) -> bool:
        """Whether the client takes what is written."""
        return not (self.ended or self.flow.write_paused)

    def wake(self) -> None:
        """Have `read` return, though nothing came."""
        self._news.set()

    async def read(self, seconds: float) -> bytes:
        """All that came, once something did; nothing at the end, once woken, or after so many *seconds*."""
        if not self._came:
            self.flow.resume_reading()
            late = asyncio.get_running_loop().call_later(seconds, self._news.set)
            try:
                await self._news.wait()
            finally:
                late.cancel()
        self._news.clear()
        data = bytes(self._came)
        self._came.clear()
        self._buffer_memory.give(self._who, len(data))
        return data

    def put_back(self, data: bytes) -> None:
        """Have the next `read` begin with *data*, the end of the last one."""
        if self.ended:
            return
        self._came[:0] = data
        self._buffer_memory.take(self._who, len(data))
        if len(self._came) > _MOST:
            self.flow.pause_reading()

    def write(self, data: bytes) -> None:
        """Write *data*, where the client is still there."""
        if not self.ended:
            self._output.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken what is much, or has gone."""
        await self.flow.drain()

    def discard(self) -> None:
        """Read no more: what came is dropped."""
        self.ended = True
        self._buffer_memory.give(self._who, len(self._came))
        self._came.clear()
