"""A receiver of webhooks that does what its script says: a real socket, and the answers as data.

A script is a tuple of steps for one request; the receiver has one for each request it will get, and the last one goes
on for all that follow.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

import anyio


class Say(NamedTuple):
    """Write these bytes."""

    data: bytes


class Flood(NamedTuple):
    """Write these bytes over and over, until the sender has gone."""

    data: bytes


class Hold(NamedTuple):
    """Wait until the event is set."""

    event: anyio.Event


class Stall(NamedTuple):
    """Wait until the sender has gone."""


class Close(NamedTuple):
    """Close the connection in good order."""


class Reset(NamedTuple):
    """Close the connection with a reset (RST)."""


class Judge(NamedTuple):
    """Answer as this function says for the request: with a status, or by a script of simple steps; now, or later."""

    judge: Callable[[Request], int | Script | Awaitable[Script]]


Step = Say | Flood | Hold | Stall | Close | Reset | Judge
Script = tuple[Step, ...]


class Request(NamedTuple):
    """A request as it came."""

    line: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes
    connection: int
    """1 for the first connection."""


def reply(status: int, *headers: str, body: bytes = b"ok") -> Script:
    """A plain answer, whole, after which the connection stays open."""
    lines = [f"HTTP/1.1 {status} Because", f"content-length: {len(body)}", *headers, "", ""]
    return (Say("\r\n".join(lines).encode() + body),)


async def _judged(step: Step, request: Request) -> Script:
    if not isinstance(step, Judge):
        return (step,)
    answer = step.judge(request)
    if isinstance(answer, Awaitable):
        answer = await answer
    return reply(answer) if isinstance(answer, int) else answer


class Receiver:
    """Listens on a free port of 127.0.0.1 while it is entered."""

    def __init__(
        self,
        *scripts: Script,
        paths: Mapping[str, Script] | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        """Do as *scripts* say, but for requests to one of *paths*; on *port*, where that is to be one of before."""
        self.port = port
        self.scripts = scripts or (reply(200),)
        self.paths = paths or {}
        self.requests: list[Request] = []
        self.connections = 0
        self.open = 0
        """Connections that are open now."""
        self.flooded = 0
        """Bytes written by floods."""
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:
            await anyio.lowlevel.checkpoint()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._talk(reader, writer, self.connections)
        finally:
            writer.close()
            self._writers.discard(writer)
            self.open -= 1

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        while True:
            line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Request(line, headers, body, connection)
            self.requests.append(request)
            for step in self._script(request):
                for simple in await _judged(step, request):
                    await self._do(simple, reader, writer)

    def _script(self, request: Request) -> Script:
        path = request.line.split()[1]
        return self.paths.get(path) or self.scripts[min(len(self.requests), len(self.scripts)) - 1]

    async def _do(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match step:
            case Say(data):
                writer.write(data)
                await writer.drain()
            case Flood(data):
                await self._flood(data, writer)
            case Hold(event):
                await event.wait()
            case Stall():
                await reader.read(1)
            case Close():
                writer.close()
                raise ConnectionError
            case Reset():
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                raise ConnectionError

    async def _flood(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while not writer.transport.is_closing():
            writer.write(data)
            await writer.drain()
            self.flooded += len(data)
