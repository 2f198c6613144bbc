"""A load balancer between the sender and the nodes of a demo: each connection goes to the next node."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle

_CHUNK = 65536


@contextmanager
def balancer(ports: Sequence[int]) -> Iterator[int]:
    """Serve *ports* of 127.0.0.1 in turn, in a thread, while the context is open; the port that it listens on."""
    with asyncio.Runner() as runner:  # which ends what is under way
        loop = runner.get_loop()
        server = loop.run_until_complete(asyncio.start_server(_Turns(ports).forward, "127.0.0.1", 0))
        thread = threading.Thread(target=loop.run_forever, name="balancer", daemon=True)
        thread.start()
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            server.close()


class _Turns:
    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = cycle(ports)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes over a connection, and what is answered."""
        try:
            with suppress(OSError, asyncio.CancelledError):  # asyncio logs a handler that was cancelled as an error
                answers, requests = await asyncio.open_connection("127.0.0.1", next(self._ports))
                try:
                    await asyncio.gather(_pass(reader, requests), _pass(answers, writer))
                finally:
                    requests.close()
        finally:
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.close()
