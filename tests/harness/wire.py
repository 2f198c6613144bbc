"""One HTTP exchange on a connection of its own, whose answer is read while the request is still being written.

Clients of the trade take it badly when the other side dies in the middle; here that is the normal case.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httptools

MOST = 64 * 1024


class Exchange:
    """A request that is written piece by piece, and its answer; `ConnectionError` where that breaks off."""

    def __init__(self, url: str, method: str = "POST", **fields: str) -> None:
        """Ask *url*; *fields* by their names with ``_`` for ``-``."""
        self._url = urlsplit(url)
        target = self._url.path + (f"?{self._url.query}" if self._url.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"host: {self._url.netloc}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self._head = "\r\n".join([*lines, "", ""]).encode()
        self._parser = httptools.HttpResponseParser(self)
        self._complete = False
        self._body = b""
        self.status = 0
        self.fields: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        self._writer.write(self._head)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def write(self, data: bytes) -> None:
        """Write *data*, as it is."""
        self._writer.write(data)
        await self._writer.drain()

    async def write_chunks(self, pieces: Sequence[bytes]) -> None:
        """Write *pieces* as a chunked body."""
        for piece in pieces:
            await self.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await self.write(b"0\r\n\r\n")

    async def head(self) -> int:
        """Wait for the head of the answer; its status."""
        while not self.status:
            await self._feed()
        return self.status

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines of the answer as they come."""
        while not self._complete or self._body:
            line, end, rest = self._body.partition(b"\n")
            if end or self._complete:
                self._body = rest
                yield line
            else:
                await self._feed()

    async def body(self) -> bytes:
        """The whole answer."""
        while not self._complete:
            await self._feed()
        return self._body

    async def _feed(self) -> None:
        data = await self._reader.read(MOST)
        if not data:
            raise ConnectionResetError("the answer breaks off")
        self._parser.feed_data(data)

    # What the parser says.

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._complete = True


@asynccontextmanager
async def chunked(url: str, pieces: Sequence[bytes], **fields: str) -> AsyncIterator[Exchange]:
    """An exchange whose request is written in *pieces* while the answer is read."""
    async with Exchange(url, transfer_encoding="chunked", **fields) as exchange:
        writing = asyncio.create_task(exchange.write_chunks(pieces))
        try:
            yield exchange
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
