"""One request and its answer: the seam between the client and its transport, and HTTP, the usual one."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from collator.backoff import parse_retry_after
from collator.client.answer import Response, Unreachable
from collator.client.trace_headers import trace_headers
from collator.errors import CollatorError
from collator.text import shown

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

SILENCE = 45.0
"""Seconds without a byte after which a stream is taken for dead: the service writes a comment every 15."""
_CLOSE = 2.0  # seconds for the answer to the close of a WebSocket


class ServiceStream(Protocol):
    """An answer of the service that comes bit by bit."""

    async def read(self) -> bytes:
        """Return the next bytes; none at its end. Raises `Unreachable` where it was cut off."""
        ...

    def close(self) -> None:
        """Let go of it, wherever it is."""
        ...


class ServiceSocket(Protocol):
    """A WebSocket of the service."""

    where: str
    """What messages call the service."""

    async def send(self, message: bytes) -> None:
        """Send *message*, once the service has taken what was sent before. Raises `Unreachable`."""
        ...

    async def receive(self) -> bytes:
        """Return the next message. Raises `Unreachable` where there is none, as the connection has ended."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class ServiceConnection(Protocol):
    """A way to one service."""

    where: str
    """What messages call the service."""

    async def request(self, method: str, path: str, body: bytes | None = None) -> Response:
        """Send one request to *path*, which goes out as it is; *body* is JSON. Raises `Unreachable`."""
        ...

    async def stream(self, path: str, *, last_event_id: str) -> ServiceStream:
        """Open the stream of events at *path* behind *last_event_id*. Raises what a refusal means; `Unreachable`."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...


class Unopened:
    """The connection of a client outside of its context: it refuses every request."""

    def __init__(self, owner: str) -> None:
        """Speak for *owner*, a class."""
        self.where = owner

    async def request(self, method: str, path: str, body: bytes | None = None) -> Response:
        """Raise `CollatorError`."""
        del method, path, body
        raise self.closed()

    async def stream(self, path: str, *, last_event_id: str) -> ServiceStream:
        """Raise `CollatorError`."""
        del path, last_event_id
        raise self.closed()

    def closed(self) -> CollatorError:
        """The error."""
        return CollatorError(f"{self.where} is not open: use it within `async with`")

    async def aclose(self) -> None:
        """Do nothing."""


class HttpConnection:
    """A pool of connections to the service at a URL."""

    def __init__(self, url: str, *, timeout: float, token: str | None = None) -> None:
        """Open it; *timeout* in seconds, for one request. Needs a running event loop, and `aclose` at the end."""
        import aiohttp

        self.where = url.rstrip("/")
        self._timeout = timeout
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout), headers=headers)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def request(self, method: str, path: str, body: bytes | None = None) -> Response:
        """Send one request to *path*, which goes out as it is. Raises `Unreachable`."""
        with self.in_words(self._timeout):
            sending = self._session.request(
                method, self._url(path), data=body, headers=trace_headers(), allow_redirects=False
            )
            async with sending as response:
                return await _whole(response)

    async def stream(self, path: str, *, last_event_id: str) -> ServiceStream:
        """Open the stream of events at *path* behind *last_event_id*. Raises what a refusal means; `Unreachable`."""
        import aiohttp

        silence = max(SILENCE, self._timeout)
        limits = aiohttp.ClientTimeout(connect=self._timeout, sock_read=silence)
        fields = {"last-event-id": last_event_id, **trace_headers()}
        with self.in_words(silence):
            response = await self._session.get(self._url(path), headers=fields, timeout=limits, allow_redirects=False)
            if response.status != HTTPStatus.OK:
                async with response:
                    raise (await _whole(response)).error(self.where)
        return _HttpStream(self, response, silence)

    async def socket(self, path: str) -> ServiceSocket:
        """Open a WebSocket at *path*. Raises what a refusal means; `Unreachable`."""
        import aiohttp

        ending = aiohttp.ClientWSTimeout(ws_close=_CLOSE)
        with self.in_words(self._timeout):
            try:
                return _HttpSocket(
                    self,
                    await self._session.ws_connect(
                        self._url(path), headers=trace_headers(), heartbeat=SILENCE, timeout=ending
                    ),
                )
            except aiohttp.WSServerHandshakeError as error:
                refusal = Response(error.status, b"", 0.0)
        why = await self.request("GET", path)  # judged alike, and its answer says why
        raise (refusal if why.status == HTTPStatus.UPGRADE_REQUIRED else why).error(self.where)

    @contextmanager
    def in_words(self, timeout: float) -> Iterator[None]:
        """Raise `Unreachable` instead of what the library raises where nothing came within *timeout*, or cannot."""
        import aiohttp

        try:
            yield
        except TimeoutError:
            raise Unreachable(f"{self.where}: no answer within {timeout:g} s") from None
        except aiohttp.ClientError as error:
            raise Unreachable(f"{self.where}: {_cause(error)}") from None
        except RuntimeError:
            if self._session.closed:
                raise CollatorError(f"the client of {self.where} was closed during the request") from None
            raise
        except UnicodeError:
            raise Unreachable(f"{self.where}: invalid host name") from None

    def _url(self, path: str) -> URL:
        from yarl import URL

        return URL(self.where + path, encoded=True)


class _HttpStream:
    """A stream of one connection."""

    def __init__(self, connection: HttpConnection, response: aiohttp.ClientResponse, silence: float) -> None:
        self._connection, self._response, self._silence = connection, response, silence

    async def read(self) -> bytes:
        with self._connection.in_words(self._silence):
            return await self._response.content.readany()

    def close(self) -> None:
        self._response.close()


class _HttpSocket:
    """A WebSocket of one connection."""

    def __init__(self, connection: HttpConnection, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.where = connection.where
        self._connection, self._socket = connection, socket

    async def send(self, message: bytes) -> None:
        with self._connection.in_words(SILENCE):
            await self._socket.send_str(message.decode())

    async def receive(self) -> bytes:
        import aiohttp

        with self._connection.in_words(SILENCE):
            message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data).encode()
        raise Unreachable(f"{self.where}: the stream was cut off (code {self._socket.close_code})")

    async def close(self) -> None:
        await self._socket.close()


async def _whole(response: aiohttp.ClientResponse) -> Response:
    wait = parse_retry_after(response.headers.get("retry-after"), time.time())
    return Response(response.status, await response.read(), wait or 0.0, response.content_type)


def _cause(error: aiohttp.ClientError) -> str:
    system = getattr(error, "os_error", None)
    if system and system.errno == errno.ECONNREFUSED:
        return "connection refused; is the service running there?"
    return (system and system.strerror) or shown(error) or type(error).__name__
