"""Addresses of host names: a thread for each name that is being looked up.

The threads of the event loop's own pool are few, and shared: some names whose server is silent would hold them all, for
half a minute each. Here a name holds one thread however many requests need it, and no request waits for another name.
Nor does the end of the process, which would wait for the threads of a pool.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from ipaddress import ip_address

from collator.egress.failure import OwnShortage, own_shortage

FRESH = 5.0
"""Seconds for which addresses are not looked up again, unless nobody answered there."""

SocketAddress = tuple[int, tuple[str | int | bytes, ...]]
"""Family, and what a socket of that family connects to."""


class Resolver:
    """Looks names up for one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._found: dict[str, asyncio.Future[list[SocketAddress]]] = {}

    async def addresses(self, host: str, port: int) -> list[SocketAddress]:
        """Look *host* up. Raises `OSError`, or `OwnShortage` where no thread can be started."""
        with suppress(ValueError):
            v6 = ip_address(host).version == 6  # noqa: PLR2004 - the version
            return [(socket.AF_INET6, (host, port, 0, 0)) if v6 else (socket.AF_INET, (host, port))]
        if host not in self._found:
            self._begin(host)
        found = await asyncio.shield(self._found[host])
        return [(family, (place[0], port, *place[2:])) for family, place in found]

    def forget(self, host: str) -> None:
        """Look *host* up anew the next time, unless that is under way: who does not answer there may have moved."""
        if host in self._found and self._found[host].done():
            del self._found[host]

    def _begin(self, host: str) -> None:
        try:
            threading.Thread(target=self._look_up, args=(host,), name="collator-lookup", daemon=True).start()
        except RuntimeError:
            raise OwnShortage("cannot start a thread") from None
        self._found[host] = self._loop.create_future()

    def _look_up(self, host: str) -> None:
        found: list[SocketAddress] | OSError
        try:
            infos = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
            found = [(family, place) for family, _, _, _, place in infos]
        except (OSError, UnicodeError) as error:
            found = _cause(error)
        with suppress(RuntimeError):  # the loop is closed, and no request waits
            self._loop.call_soon_threadsafe(self._end, host, found)

    def _end(self, host: str, found: list[SocketAddress] | OSError) -> None:
        future = self._found[host]
        if isinstance(found, OSError):
            future.set_exception(found)
            future.exception()  # all requests that waited for it may have gone
            del self._found[host]
        else:
            future.set_result(found)
            self._loop.call_later(FRESH, self.forget, host)


def _cause(error: Exception) -> OSError:
    """The cause of a failed lookup, which without descriptors says that there is no such name."""
    try:
        socket.socket().close()
    except OSError as shortage:
        if own_shortage(shortage):
            return shortage
    return error if isinstance(error, OSError) else socket.gaierror(str(error))
