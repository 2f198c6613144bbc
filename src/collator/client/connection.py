"""One request and its answer: the seam between the client and its transport, and HTTP, the usual one."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Protocol

from collator.backoff import parse_retry_after
from collator.client.answer import Response, Unreachable
from collator.errors import CollatorError
from collator.text import shown

if TYPE_CHECKING:
    import aiohttp


class ServiceConnection(Protocol):
    """A way to one service."""

    where: str
    """What messages call the service."""

    async def request(self, method: str, path: str, body: bytes | None = None) -> Response:
        """Send one request to *path*, which goes out as it is; *body* is JSON. Raises `Unreachable`."""
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
        raise CollatorError(f"{self.where} is not open: use it within `async with`")

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
        import aiohttp
        from yarl import URL

        url = URL(self.where + path, encoded=True)
        try:
            async with self._session.request(method, url, data=body, allow_redirects=False) as response:
                wait = parse_retry_after(response.headers.get("retry-after"), time.time())
                return Response(response.status, await response.read(), wait or 0.0, response.content_type)
        except TimeoutError:
            raise Unreachable(f"{self.where}: no answer within {self._timeout:g} s") from None
        except aiohttp.ClientError as error:
            raise Unreachable(f"{self.where}: {_cause(error)}") from None
        except RuntimeError:
            if self._session.closed:
                raise CollatorError(f"the client of {self.where} was closed during the request") from None
            raise
        except UnicodeError:
            raise Unreachable(f"{self.where}: invalid host name") from None


def _cause(error: aiohttp.ClientError) -> str:
    system = getattr(error, "os_error", None)
    if system and system.errno == errno.ECONNREFUSED:
        return "connection refused; is the service running there?"
    return (system and system.strerror) or shown(error) or type(error).__name__
