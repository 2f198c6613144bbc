"""The target of a request, byte for byte: a URL taken apart, or refused because it can never work. Pure (R20).

Path and query go out byte for byte as they are written, without the fragment: addresses are signed, and ``%2F`` is not
``/``. What is not ASCII is sent percent-encoded as UTF-8 (RFC 3987), and a host by IDNA. Every URL of the settings is
parsed here, so that one that can never be used is reported at the start, and not found at every attempt.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:(.*)@)?(\[[^\[\]]*\]|[^:\[\]]+)(?::([0-9]*))?")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253
_MOST_PORTS = 65_535


class Target(NamedTuple):
    """A URL, ready for use."""

    tls: bool
    host: str
    """To connect to: a name in ASCII, or an IP address without brackets."""
    port: int
    authority: str
    """What the ``Host`` field says: the port only where it is not that of the scheme."""
    path: str
    """Path and query, as the first line of the request has them."""
    authorization: str
    """What the ``Authorization`` field says; empty without credentials."""

    def head(self, method: str) -> str:
        """Return the first lines of a request."""
        credentials = f"authorization: {self.authorization}\r\n" if self.authorization else ""
        return f"{method} {self.path} HTTP/1.1\r\nhost: {self.authority}\r\n{credentials}"

    @property
    def origin(self) -> tuple[bool, str, int]:
        """The origin (RFC 6454), for which requests share connections."""
        return self.tls, self.host, self.port


def is_url(text: str) -> bool:
    """Return whether *text* is meant as a URL, where it may be something else, as ``MODULE:FUNCTION``."""
    return text.startswith(("http://", "https://"))


def parse(url: str) -> Target:
    """Take *url* apart. Raises `ValueError` in words that go on after a colon, and hold nothing of the URL."""
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("it contains a space or a control character; write %20 for a space")
    found, problem = _URL.fullmatch(url), "write http://HOST:PORT/PATH or https://…"
    if found is None:
        raise ValueError(problem)
    scheme, path, query = found[1].lower(), found[3], found[4] or ""
    authority = _AUTHORITY.fullmatch(found[2])
    if authority is None:
        raise ValueError(problem)
    port = int(authority[3] or _PORTS[scheme]) if len(authority[3] or "") < len("000000") else _MOST_PORTS + 1
    if not 1 <= port <= _MOST_PORTS:
        raise ValueError(f"the port must be a number from 1 to {_MOST_PORTS}")
    host = _host(authority[2])
    shown = f"[{host}]" if ":" in host else host
    return Target(
        tls=scheme == "https",
        host=host,
        port=port,
        authority=shown if port == _PORTS[scheme] else f"{shown}:{port}",
        path=_encoded(path or "/") + _encoded(query),
        authorization=_basic(authority[1]) if authority[1] else "",
    )


def _host(written: str) -> str:
    if written.startswith("["):
        return _ipv6(written[1:-1])
    host = (written if written.isascii() else _international(written)).lower()
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError("write an IPv4 address in full, as 127.0.0.1") from None
    if len(host) > _LONGEST_NAME or host.startswith("-") or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("invalid host name")
    return host


def _ipv6(written: str) -> str:
    if "%" in written:
        raise ValueError("an address with a zone is valid on one machine only; use a host name")
    try:
        return str(ipaddress.IPv6Address(written))
    except ValueError:
        raise ValueError("the text in brackets is not an IPv6 address") from None


def _international(written: str) -> str:
    import idna

    try:
        return idna.encode(written, uts46=True).decode()
    except UnicodeError:  # which idna's own errors are
        raise ValueError("invalid host name") from None


def _basic(userinfo: str) -> str:
    """Credentials of RFC 7617, in UTF-8."""
    user, _, password = userinfo.partition(":")
    if b":" in unquote_to_bytes(user):
        raise ValueError("a user name cannot contain a colon")
    both = unquote_to_bytes(_encoded(user)) + b":" + unquote_to_bytes(_encoded(password))
    if any(byte < ord(" ") or byte == ord("\x7f") for byte in both):
        raise ValueError("a user name or password cannot contain a control character")
    return "Basic " + b64encode(both).decode()


def _encoded(text: str) -> str:
    """*text*, in which nothing but what is not ASCII is percent-encoded."""
    if text.isascii():
        return text
    try:
        return "".join(character if character.isascii() else quote(character) for character in text)
    except UnicodeEncodeError:
        raise ValueError("it is not valid text") from None
