"""One connection in the making: look the name up, connect, shake hands."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest

from collator.egress.connection import OutboundConnection
from collator.egress.failure import AddressDenied, own_shortage
from collator.egress.policy import Policy
from collator.egress.resolver import Resolver, SocketAddress
from collator.egress.tls import Tls
from collator.forks import Kept
from collator.target import Target

FALLBACK = 0.25
"""Seconds after which the next address is tried beside those that have not answered (RFC 8305)."""


class Dial:
    """Makes a connection to a target; `stage` says how far it has come."""

    def __init__(self, target: Target, secured_by: ssl.SSLContext | None, resolver: Resolver, policy: Policy) -> None:
        """Secure the connection by *secured_by*, if the target is to be reached by TLS; go where *policy* lets."""
        self.stage = "while resolving the host name"
        self._target = target
        self._secured_by = secured_by
        self._resolver = resolver
        self._policy = policy

    async def connection(
        self, *, free: Callable[[OutboundConnection], None], lost: Callable[[OutboundConnection], None]
    ) -> OutboundConnection:
        """Establish it, for an owner who is told when it is *free* and when it is *lost*.

        A name is looked up once: what is connected to are the addresses that were found, of which those that the
        policy denies are left out. Raises `OSError`, or `AddressDenied` where it denies all of them.
        """
        host = self._target.host
        addresses = await self._resolver.addresses(host, self._target.port)
        self.stage = "connecting"
        try:
            sock = await _connect(self._permitted(addresses))
        except BaseException:
            self._resolver.forget(host)
            raise
        connection = OutboundConnection(sock, free=free, lost=lost)
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, sock=sock)
        except BaseException:
            sock.close()
            raise
        if self._secured_by is not None:
            self.stage = "during the TLS handshake"
            try:
                await connection.secure(Tls(self._secured_by, host))
            except BaseException:
                connection.close()
                raise
        return connection

    def _permitted(self, addresses: Sequence[SocketAddress]) -> list[SocketAddress]:
        refusals = [(address, self._policy.refusal(str(address[1][0]))) for address in addresses]
        if permitted := [address for address, refusal in refusals if refusal is None]:
            return permitted
        raise AddressDenied(refusals[0][1])


async def _connect(addresses: Sequence[SocketAddress]) -> socket.socket:
    """The first connection that comes about; addresses are tried in their order, families in turns."""
    first_family = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    waiting = [address for address in chain(*zip_longest(first_family, others)) if address is not None]
    trying: set[asyncio.Task[socket.socket]] = set()
    problems: list[BaseException] = []
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.ensure_future(_try(waiting.pop(0))))
            limit = FALLBACK if waiting else None
            done, _ = await asyncio.wait(trying, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if first := next((task for task in done if task.exception() is None), None):
                trying.discard(first)
                return first.result()
            trying -= done
            problems += [error for task in done if (error := task.exception())]
    finally:
        for task in trying:
            task.add_done_callback(_close)
            task.cancel()
    raise next(filter(own_shortage, problems), problems[-1])


async def _try(address: SocketAddress) -> socket.socket:
    family, place = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - named nowhere
        with Kept(lambda: [sock.fileno()]):
            await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


def _close(task: asyncio.Task[socket.socket]) -> None:
    """Close what came second."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
