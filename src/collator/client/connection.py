"""One request and its answer: the only part of the client that knows how HTTP is spoken."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from collator.backoff import parse_retry_after
from collator.errors import CollatorError, Conflict, Ended, Malformed, Unavailable, Unknown

if TYPE_CHECKING:
    import aiohttp

_BUSY = frozenset({429, 500, 502, 503, 504})
_ERRORS: Mapping[str, type[CollatorError]] = {
    "malformed": Malformed,
    "unknown": Unknown,
    "conflict": Conflict,
    "ended": Ended,
}


class Unreachable(Unavailable):
    """The service could not be reached, or took nothing."""


class Problem(msgspec.Struct, frozen=True):
    """An error as the service writes it (RFC 9457)."""

    title: str = ""
    detail: str = ""
    code: str = ""


class Answer(NamedTuple):
    """What the service answered to one request."""

    status: int
    body: bytes
    retry_after: float
    """Seconds; 0 where it did not say."""

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return self.status // 100 == 2  # noqa: PLR2004 - the class of success

    @property
    def busy(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in _BUSY

    @property
    def problem(self) -> Problem:
        """What the service says is wrong; the beginning of the body where it is not a problem document."""
        try:
            return msgspec.json.decode(self.body, type=Problem)
        except msgspec.MsgspecError:
            return Problem(detail=" ".join(self.body[:200].decode("utf-8", "replace").split()))

    def __str__(self) -> str:
        """In words."""
        said = self.problem.detail or self.problem.title
        return f"HTTP {self.status}: {said}" if said else f"HTTP {self.status}"


class Connection:
    """A pool of connections to the service at *url*."""

    def __init__(self, url: str, *, timeout: float) -> None:
        """Open it; *timeout* in seconds, for one request. Needs a running event loop, and `aclose` at the end."""
        import aiohttp

        self.url = url.rstrip("/")
        self._timeout = timeout
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout), headers={"content-type": "application/json"}
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Send one request to *path*, which goes out as it is. Raises `Unreachable`."""
        import aiohttp
        from yarl import URL

        try:
            async with self._session.request(method, URL(self.url + path, encoded=True), data=body) as response:
                wait = parse_retry_after(response.headers.get("retry-after"), time.time())
                return Answer(response.status, await response.read(), wait or 0.0)
        except TimeoutError:
            raise Unreachable(f"{self.url}: no answer within {self._timeout:g} s") from None
        except aiohttp.ClientError as error:
            raise Unreachable(f"{self.url}: {_cause(error)}") from None

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The object that the service answers with. Raises what its status means, as `Unknown` or `Ended`."""
        answer = await self.request(method, path, None if body is None else msgspec.json.encode(body))
        if answer.busy:
            raise Unreachable(f"{self.url}: {answer}", retry_after=answer.retry_after)
        if not answer.ok:
            raise _ERRORS.get(answer.problem.code, CollatorError)(f"{self.url}: {answer}")
        try:
            return msgspec.json.decode(answer.body, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise CollatorError(f"{self.url} does not answer as Collator does: {answer}") from None


def _cause(error: aiohttp.ClientError) -> str:
    system = getattr(error, "os_error", None)
    if system and system.errno == errno.ECONNREFUSED:
        return "connection refused; is the service running there?"
    return (system and system.strerror) or str(error) or type(error).__name__
