"""A proxy before a server: the life of its connections. What passes, and what does not, is up to who subclasses it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine, Sequence
from ssl import SSLContext
from typing import Any, Self


class TcpProxy(ABC):
    """A proxy on loopback, or at another address of the machine."""

    def __init__(self, target: int) -> None:
        """Forward to the port *target* of this machine."""
        self.port = 0
        self.target = target
        self._server: asyncio.Server | None = None
        self._writers: set[StreamWriter] = set()
        self._served: set[asyncio.Task[Any]] = set()

    @classmethod
    async def start(cls, target: int, host: str = "127.0.0.1", *, tls: SSLContext | None = None) -> Self:
        """Listen; with *tls*, speak it to clients, and not to the server."""
        proxy = cls(target)
        proxy._server = await asyncio.start_server(proxy._serve, host, 0, ssl=tls)
        proxy.port = proxy._server.sockets[0].getsockname()[1]
        return proxy

    def cut(self) -> None:
        """Reset all connections at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        """End, with all connections."""
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._served:
            task.cancel()
        await asyncio.gather(*self._served, return_exceptions=True)

    @abstractmethod
    def ways(
        self, reader: StreamReader, back: StreamWriter, there: StreamReader, writer: StreamWriter
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """What passes on in either direction; the end of one ends the connection.

        From *reader*, what the client says, to *back*, and from *there*, what the server says, to *writer*.
        """

    async def forward(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a client."""
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers.add(back)
        tasks = [asyncio.create_task(way) for way in self.ways(reader, back, there, writer)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            back.transport.abort()
            self._writers.discard(back)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        if task := asyncio.current_task():
            self._served.add(task)
            task.add_done_callback(self._served.discard)
        self._writers.add(writer)
        try:
            await self.forward(reader, writer)
        except (OSError, asyncio.CancelledError):  # `stop` cancels it, and asyncio would tell of that
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
