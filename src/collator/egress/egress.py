"""The public class of the sender: one request, within one timeout."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial

from collator.clock import never
from collator.egress.answer import Answer, NoAnswer
from collator.egress.body import Body, length
from collator.egress.connection import OutboundConnection
from collator.egress.destination import Destination, destination, lines
from collator.egress.dial import Dial
from collator.egress.failure import no_answer
from collator.egress.policy import Policy
from collator.egress.pool import ConnectionPool
from collator.egress.request import OutboundRequest, RequestEnded
from collator.egress.resolver import Resolver
from collator.egress.tls import context

KEEP_ALIVE = 30.0
MAX_AGE = 300.0
"""Seconds after which a connection is used no more, so that a name that has moved is noticed (R22)."""


class Egress:
    """Sends requests over connections that it keeps. Belongs to one event loop at a time; `aclose` it."""

    def __init__(
        self,
        *,
        policy: Policy | None = None,
        keep_alive: float = KEEP_ALIVE,
        max_age: float = MAX_AGE,
        stood_still: Callable[[], float] = never,
    ) -> None:
        """Connect where *policy* lets; hold each connection for *keep_alive* idle seconds, *max_age* seconds in all.

        *stood_still* gives the seconds for which this process did: no timeout of an answer runs across them.
        How many are under way is up to those who send, each of whom has a limit. One for a host would let those who
        wait for a dead receiver take the places of others there.
        """
        self._policy = policy or Policy()
        self._keep_alive = keep_alive
        self._max_age = max_age
        self._stood_still = stood_still
        self._destinations: dict[tuple[str, str, ssl.SSLContext | None], Destination | None] = {}
        self._pool: ConnectionPool | None = None
        self._resolver: Resolver
        self._tls: ssl.SSLContext | None = None

    async def send(
        self,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        *,
        method: str = "POST",
        timeout: float,
        keep: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> Answer | NoAnswer:
        """Send a request as `begin` does, and wait for what comes of it. What reading the body raises is raised.

        *tls* secures the connection where that of the system does not do.
        """
        place = self._destinations.get((url, method, tls))
        if place is None:
            place = self._destinations[url, method, tls] = destination(url, {}, method=method, tls=tls)
        waiter: asyncio.Future[Answer | NoAnswer] = asyncio.get_running_loop().create_future()
        fields = lines(headers)
        place = None if fields is None else place
        request = self.begin(place, fields or "", body, partial(_resolve, waiter), timeout=timeout, keep=keep)
        try:
            return await waiter
        finally:
            if request is not None:
                request.cancel()

    def begin(
        self,
        place: Destination | None,
        fields: str,
        body: Body,
        told: RequestEnded,
        *,
        timeout: float,
        keep: int = 0,
    ) -> OutboundRequest | None:
        """Send *body* to *place*, with *fields* in its head. *timeout* counts from connecting to the last byte.

        *told* gets the answer, or the exception that reading a body in pieces raised: once, in a later turn of the
        event loop, and not at all where the request that this returns is cancelled before. Such a body is read as it
        is taken. Keep the answer's body where it has at most *keep* bytes; none by default. `None` where nothing can
        be sent there.
        """
        if place is None:
            asyncio.get_running_loop().call_soon(told, NoAnswer("the URL cannot be used"))
            return None
        pool = self._pool
        if pool is None:
            pool = self._pool = ConnectionPool(keep_alive=self._keep_alive, max_age=self._max_age)
            self._resolver = Resolver()
        head = f"{place.head}{fields}content-length: {length(body)}\r\n\r\n".encode()
        connect = partial(self._connect, pool, place)
        request = OutboundRequest(
            head, body, keep=keep, timeout=timeout, connect=connect, stood_still=self._stood_still, told=told
        )
        request.start(pool.take(place.origin))
        return request

    def close_idle(self) -> None:
        """Close every connection on which nothing is under way."""
        if self._pool is not None:
            self._pool.close_idle()

    async def aclose(self) -> None:
        """Close every connection. A later `send` opens anew."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
            await asyncio.sleep(0)  # the transports close in the next turn

    async def _connect(
        self, pool: ConnectionPool, place: Destination, deadline: float, timeout: float
    ) -> OutboundConnection | NoAnswer:
        tls = (place.tls or self._default_tls()) if place.target.tls else None
        dial = Dial(place.target, tls, self._resolver, self._policy)
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                connection = await dial.connection(free=pool.keep, lost=pool.drop)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong means the same: there is no connection
            if limit.expired():
                return NoAnswer(f"timed out after {timeout:g} s, {dial.stage}", reached=False)
            failure = no_answer(error, reached=isinstance(error, ssl.SSLError))
            if failure.own_shortage:
                pool.close_idle()
            return failure
        pool.add(connection, place.origin)
        return connection

    def _default_tls(self) -> ssl.SSLContext:
        self._tls = self._tls or context()
        return self._tls


def _resolve(waiter: asyncio.Future[Answer | NoAnswer], outcome: Answer | NoAnswer | Exception) -> None:
    if waiter.done():  # cancelled
        return
    if isinstance(outcome, Exception):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)
