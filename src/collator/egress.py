"""How bytes leave: one POST, and what came back, in words of this project. Webhooks go out here, and payloads.

Lives here: the pool of connections, the limits on an answer (R22), and the translation of what can go wrong. Does not
live here: what an answer means, when to try again, what is sent.

Theory. A receiver is not trusted: it may be slow, endless, compressed, broken. So one timeout runs from connecting to
the last byte of the answer; of the body at most 64 KiB are read, undecoded, and thrown away, or as much as the
caller wants of it; then the connection is closed. Redirects are not followed, cookies not kept, proxies and credentials
of the environment not used. An answer that breaks off is no answer, whatever its status said (RFC 9112, section 8). A
connection whose answer was read whole is kept for the next request, so that a webhook normally costs no handshake.
"""

from __future__ import annotations

import io
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import aiohttp

MAX_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read before the connection is closed (R22)."""

_LARGE = 1024 * 1024


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a receiver said."""

    status: int
    """The HTTP status."""
    retry_after: str | None = None
    """The ``Retry-After`` header, as it came."""
    words: str = ""
    """What it comes to, where that was no HTTP."""
    body: bytes | None = None
    """The body, undecoded, where it was to be kept and is no longer than that."""
    location: str = ""
    """The ``Location`` header, where there is one."""
    excerpt: str = ""
    """Up to 200 characters of a text answer, printable and on one line."""
    complete: bool = True
    """False where the head came whole, and the body did not end."""


class NoAnswer(msgspec.Struct, frozen=True, gc=False):
    """There is no answer, or not a whole one."""

    reason: str
    """In words: ``connection refused``, ``timed out after 15 s``."""
    reached: bool = True
    """False where it is known that no connection came about, which says something of the whole host."""
    own_shortage: bool = False
    """True where this process lacked descriptors or memory, which says nothing about the receiver."""


class Egress:
    """Sends requests over connections that it keeps. `open` it, or let the first request do so; `aclose` it."""

    def __init__(self, *, keep_alive: float = 30.0) -> None:
        """Hold each connection for *keep_alive* idle seconds.

        How many there are is up to those who send, each of whom has a limit. One for a host would let those who wait
        for a dead receiver take the places of others there.
        """
        self._keep_alive = keep_alive
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, timeout: float, keep: int = 0
    ) -> Answer | NoAnswer:
        """Send *body* to *url*, at most *timeout* seconds from connecting to the last byte of the answer.

        Keep the answer's body where it has at most *keep* bytes; none by default.
        """
        session = self._session or self.open()
        total = self._timeouts.get(timeout) or self._total(timeout)
        # The library sends bytes at once, and warns where they are many; a buffer it sends piece by piece.
        data = body if len(body) <= _LARGE else io.BytesIO(body)
        try:
            response = await session.post(url, data=data, headers=headers, allow_redirects=False, timeout=total)
            try:
                kept = await (_read(response.content, keep) if keep else _pass_over(response.content))
            finally:
                response.release()  # keeps the connection if the answer was read whole, else closes it
        except Exception as error:  # noqa: BLE001 - whatever a driver raises means the same: there is no answer
            _look_up_again(session, url)
            if isinstance(error, TimeoutError):
                return NoAnswer(f"timed out after {timeout:g} s")
            return NoAnswer(_words(error), reached=not _is_about_connecting(error))
        return Answer(response.status, response.headers.get("Retry-After"), body=kept)

    def open(self) -> aiohttp.ClientSession:
        """Load what is needed, which takes a tenth of a second, before the first request has to wait for it."""
        if self._session is None:
            self._session = self._make()
        return self._session

    async def aclose(self) -> None:
        """Close every connection. A later `post` opens anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _make(self) -> aiohttp.ClientSession:
        import aiohttp

        # A policy on addresses (no private networks) belongs into a socket_factory here: it sees each address that
        # a name resolves to, at the moment of connecting.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._keep_alive),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    def _total(self, timeout: float) -> aiohttp.ClientTimeout:
        import aiohttp

        self._timeouts[timeout] = aiohttp.ClientTimeout(total=timeout)
        return self._timeouts[timeout]


def _look_up_again(session: aiohttp.ClientSession, url: str) -> None:
    """Forget the address of the host of *url*, which would count for 10 s: who does not answer may have moved."""
    import aiohttp
    from yarl import URL

    with suppress(ValueError):  # nothing was looked up for what is no URL
        place = URL(url)
        if isinstance(session.connector, aiohttp.TCPConnector):  # a session that is closed has none
            session.connector.clear_dns_cache(place.raw_host, place.port)


async def _pass_over(content: aiohttp.StreamReader) -> None:
    left = MAX_ANSWER
    while left > 0 and not content.is_eof():
        left -= len(await content.readany())


def _is_about_connecting(error: Exception) -> bool:
    import aiohttp

    return isinstance(error, aiohttp.ClientConnectorError | UnicodeError)  # the latter: no host can have that name


async def _read(content: aiohttp.StreamReader, most: int) -> bytes | None:
    parts: list[bytes] = []
    left = most
    while left >= 0 and not content.at_eof():
        parts.append(await content.readany())
        left -= len(parts[-1])
    return b"".join(parts) if left >= 0 else None


def _words(error: Exception) -> str:
    """What went wrong, in words that hold nothing of the URL and nothing that the receiver wrote."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError):  # first, as it is a ValueError too
        return _cause(error.certificate_error)
    table: tuple[tuple[type[Exception], str], ...] = (
        (aiohttp.ClientConnectorDNSError, "host name not resolved"),
        (UnicodeError, "host name not resolved"),  # no name can be like this
        (aiohttp.NonHttpUrlClientError, "the URL cannot be used"),
        (ValueError, "the URL cannot be used"),
        (aiohttp.ServerDisconnectedError, "connection closed before the answer"),
        (aiohttp.ClientConnectionResetError, "connection closed before the answer"),
        (aiohttp.ClientPayloadError, "connection closed within the answer"),
        (aiohttp.ClientResponseError, "the answer is not HTTP"),
    )
    found = next((words for kind, words in table if isinstance(error, kind)), None)
    return found or _cause(error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error)


def _cause(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or 'failed').lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return type(error).__name__
