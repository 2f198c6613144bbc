"""A proxy before a PostgreSQL server that loses the answer to a commit: the commit is done, and nobody is told."""

from __future__ import annotations

import asyncio
from typing import Any, Self

COMMITS = (b"commit;", b"COMMIT;")
"""As steps say it, and as the driver does."""
READER = b"collator-reader"


class Proxy:
    """A proxy on loopback."""

    def __init__(self, target: int) -> None:
        """Forward to the port *target* of this machine."""
        self.port = 0
        self._target = target
        self._left: int | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._served: set[asyncio.Task[Any]] = set()

    @classmethod
    async def start(cls, target: int) -> Self:
        """Listen."""
        proxy = cls(target)
        proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.port = proxy._server.sockets[0].getsockname()[1]
        return proxy

    def cut_after(self, commits: int) -> None:
        """Let *commits* be answered, and cut the connection of the next once it is done."""
        self._left = commits

    def cut(self) -> None:
        """Cut all connections at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        """End, with all connections."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._served, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            self._served.add(task)
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        lost = asyncio.Event()
        ways = [self._there(reader, back, lost), self._back(there, writer, lost)]
        tasks = [asyncio.create_task(way) for way in ways]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in (writer, back):
            one.transport.abort()
        self._writers -= {writer, back}

    async def _there(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        reads_only = False
        while data := await reader.read(2**16):
            reads_only |= READER in data
            if self._left is not None and any(commit in data for commit in COMMITS) and not reads_only:
                self._left -= 1
                if self._left < 0:
                    self._left = None
                    lost.set()
            back.write(data)
            await back.drain()

    async def _back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        while data := await there.read(2**16):
            if lost.is_set():  # what came now is the answer
                return
            writer.write(data)
            await writer.drain()
