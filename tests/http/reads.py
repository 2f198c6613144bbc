"""One connection without a socket, so that a test says in which reads its bytes come, and has the answer in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from collator.web.app import App
from collator.web.connections import Connections
from collator.web.guard import Guard
from collator.web.limits import HttpLimits
from collator.web.packet_connection import PacketConnection
from tests.wait import until

LAST = b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
"""With the answer to this request the connection ends."""


class Socket(asyncio.Transport):
    """A transport that keeps what is written, and says what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.ended = self.paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio has it
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = write_eof = close

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def connected(app: App, *, direct: bool) -> tuple[Guard, Socket]:
    """A connection of *app*; *direct* as in `open_door`."""
    config = Config(app, loop="none", ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state, limits = ServerState(), HttpLimits()
    state.default_headers = [(b"date", b"today")]
    places: Connections[Guard] = Connections(10)
    if direct:
        made: Guard = PacketConnection(config, state, limits, app.refusals, places, direct=app.direct)
    else:
        made = Guard(config, state, limits, app.refusals, places)
    socket = Socket()
    made.connection_made(socket)
    return made, socket


async def answers(app: App, reads: Sequence[bytes], *, direct: bool) -> bytes:
    """All that *app* answers to what comes in *reads*, the last of which have a request with which it ends.

    Behind an empty read the connection waits until nothing is under way.
    """
    connection, socket = connected(app, direct=direct)
    for data in reads:
        if not data:
            await until(lambda: connection.idle_since() is not None or socket.ended or _waits_for_more(connection))
        await until(lambda: not socket.paused or socket.ended)
        if data and not socket.ended:
            connection.data_received(data)
    await until(lambda: socket.ended)
    connection.connection_lost(None)
    return bytes(socket.written)


def _waits_for_more(connection: Guard) -> bool:
    """Return whether the newest request has not come whole, so that it cannot end."""
    return bool(connection.cycle is not None and connection.cycle.more_body and not connection.pipeline)
