"""Opens the port, and closes it without breaking anything off.

uvicorn's parser and its protocol serve the connections; its `Server` does not run, since it takes over the signals of
the process, ends it where a port is in use, and looks for its end ten times a second.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from functools import partial
from typing import NamedTuple

import structlog
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from collator.errors import cannot_listen
from collator.forks import Kept
from collator.web.connections import Connections
from collator.web.direct_packets import DirectPackets
from collator.web.guard import Guard
from collator.web.limits import HttpLimits
from collator.web.packet_connection import PacketConnection
from collator.web.refusals import RefusalLog
from collator.web.request_feed import check_parser
from collator.web.upgrade_connection import UpgradeConnection

_log = structlog.get_logger(__name__)
_TICK = 0.1  # seconds; how precise the deadlines of the guard are
_CHECKED = 200  # connections whose deadlines are looked at in a tick: of thousands, each has its turn a little later
_BACKLOG = 2048
_UNSENT = 64 * 1024
"""Bytes of answers that the system may keep for each client, beside what is on its way; else it keeps megabytes, and of
what is in the system nobody sees whether the client takes it (`HttpLimits.write_rate`)."""
_ALWAYS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
"""On every answer, those of the guard too: none of them is to be taken for a page, or cached by a proxy."""


class Listener(NamedTuple):
    """An open port."""

    host: str
    port: int
    state: ServerState

    @property
    def connections(self) -> int:
        """The number of connections."""
        return len(self.state.connections)

    @property
    def url(self) -> str:
        """The URL of the service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serve(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: HttpLimits | None = None,
    grace: Callable[[], float] = lambda: 10.0,
    lagged: Callable[[float], object] = bool,
    stopping: Callable[[], bool] = lambda: False,
    refusals: RefusalLog | None = None,
    direct: DirectPackets | None = None,
    upgrades: bool = False,
) -> AsyncIterator[Listener]:
    """Serve *app* at *host* and *port* (0: any that is free) while the context is open.

    *lagged* is told ten times a second for how many seconds others held up the event loop; *refusals* notes what is
    refused before *app* sees it; *direct* may answer in its place. With it, or with *upgrades*, connections may leave
    HTTP. Once *stopping* says so, requests that have not come whole are waited for no longer.

    At the end: refuse connections, let the requests that are under way finish within the seconds of *grace*, and break
    off the others. `Intake.drain` before that ends streams with a summary. Raises what `cannot_listen` gives, and
    `ConfigError` where the parser of requests is too old.
    """
    check_parser()
    listener = _listen(host, port)
    config = Config(
        app, loop="none", ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
    )  # fmt: skip
    config.load()
    state = ServerState()
    state.default_headers = _default_headers()
    guarded = limits or HttpLimits()
    loop = asyncio.get_running_loop()
    places: Connections[Guard] = Connections(guarded.max_connections, max_queued=guarded.max_queued)

    def connection() -> Guard:
        if direct is None:
            return (UpgradeConnection if upgrades else Guard)(config, state, guarded, refusals, places)
        return PacketConnection(config, state, guarded, refusals, places, direct=direct)

    server = await loop.create_server(connection, sock=listener, backlog=_BACKLOG)
    closing = asyncio.Event()
    ticking = asyncio.create_task(_tick(state, lagged, lambda: closing.is_set() or stopping()))
    try:
        bound_host, bound_port = listener.getsockname()[:2]
        with Kept(partial(_descriptors, listener, state)):  # the port is free when this process has ended
            yield Listener(bound_host, bound_port, state)
    finally:
        closing.set()
        try:
            await _finish(server, listener, state, grace())
        finally:
            ticking.cancel()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise cannot_listen(host, port, error) from None
    if (option := getattr(socket, "TCP_NOTSENT_LOWAT", None)) is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, _UNSENT)  # each connection has it from its listener
    return listener


async def _tick(state: ServerState, lagged: Callable[[float], object], stopping: Callable[[], bool]) -> None:
    """Keep the `Date` of answers (RFC 9110, 6.6.1), and the deadlines of all connections; see how late the loop is."""
    loop = asyncio.get_running_loop()
    left: list[Guard] = []
    while True:
        state.default_headers = _default_headers()
        now, stops = loop.time(), stopping()
        if stops or not left:
            left = _guards(state)
        checked = len(left) if stops else _CHECKED
        for connection in left[:checked]:
            _check(connection, now, stopping=stops)
        left = left[checked:]
        due = loop.time() + _TICK
        await asyncio.sleep(_TICK)
        lagged(max(0.0, loop.time() - due))


def _default_headers() -> list[tuple[bytes, bytes]]:
    return [(b"date", formatdate(usegmt=True).encode()), *_ALWAYS]


def _check(connection: Guard, now: float, *, stopping: bool) -> None:
    """Act on the deadlines of *connection*; a defect that shows there is no reason to forget those of others."""
    try:
        connection.check(now, stopping=stopping)
    except Exception:  # noqa: BLE001 - logged, and the connection is given up
        _log.exception("connection aborted")
        connection.transport.abort()


async def _finish(server: asyncio.Server, listener: socket.socket, state: ServerState, grace: float) -> None:
    """Accept no more; close idle connections at once, busy ones after their answer, all after *grace* seconds."""
    asyncio.get_running_loop().remove_reader(listener)
    try:
        await asyncio.sleep(0)  # what was just accepted gets its transport: behind `close`, asyncio would leave it open
        server.close()
        await asyncio.sleep(0)  # and its guard
        connections = _guards(state)
        for connection in connections:
            connection.shutdown()
        if connections:
            await asyncio.wait({connection.lost for connection in connections}, timeout=grace)
    finally:
        server.close()
        for connection in _guards(state):
            connection.transport.abort()
        await _end(state.tasks)


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """End *tasks*, whose clients have gone: those that wait for the client end by themselves, and are no errors."""
    if tasks:
        _, left = await asyncio.wait({*tasks}, timeout=_TICK)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _descriptors(listener: socket.socket, state: ServerState) -> list[int]:
    """The descriptors of the port and the connections: a client waits for the end of one that is closed here."""
    sockets = [guard.transport.get_extra_info("socket") for guard in _guards(state)]
    return [one.fileno() for one in (listener, *sockets) if one is not None]


def _guards(state: ServerState) -> list[Guard]:
    return [connection for connection in state.connections if isinstance(connection, Guard)]
