"""The head of a request: one reading of it, or none. Pure.

Where two parsers on the way of a request may read a head differently, one of them is deceived (RFC 9112, 11.2): so what
can be read in two ways is refused, and a field that means something here stands there once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from collator.web.problems import HttpProblem, ProblemType

Fields = Sequence[tuple[bytes, bytes]]
"""Names in small letters, and values, as they came."""

_ONCE = (b"authorization", b"content-type", b"origin", b"sec-fetch-site")
_WHOLE_URL = re.compile(rb"(?i:http(s)?)://([^/?#@]+)(/[^#]*|(?:\?[^#]*)?)")
"""What a client sends to a proxy, and may send to any server (RFC 9112, 3.2.2)."""


def check_head(method: bytes, url: bytes, version: str, fields: Fields) -> tuple[bytes, bytes]:
    """The host that *url* names, empty where it is no whole URL, and the path with the query, as they were sent.

    Raises `HttpProblem` unless the request can be read in one way only.
    """
    whole = None if url[:1] == b"/" else _WHOLE_URL.fullmatch(url)
    if version not in {"1.1", "1.0"} or method == b"CONNECT" or not (whole or (url[:1] == b"/" and b"#" not in url)):
        raise bad("expected an HTTP/1.1 request for a path")
    names = [name for name, _ in fields]
    if names.count(b"host") != 1:
        raise bad("a request must have exactly one Host header (RFC 9112, 3.2)")
    if len({*names}) < len(names):  # seldom
        for name in _ONCE:
            if names.count(name) > 1:
                raise bad(f"a request may have at most one {name.decode().title()} header (RFC 9110, 5.3)")
    if b"transfer-encoding" in names:
        codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
        if version == "1.0" or codings != [b"chunked"]:
            raise bad("the only supported transfer encoding is chunked")
    if whole is None:
        return b"", url
    secure, host, path = whole.groups()
    if secure:  # a proxy that ends TLS asks for the path alone
        raise HttpProblem(
            ProblemType.UNKNOWN_HOST, "the request is for an https URL, but this port does not support TLS"
        )
    return host, path if path[:1] == b"/" else b"/" + path


def head_without_offer(method: bytes, url: bytes, version: bytes, fields: Fields) -> bytes:
    """The head that was read, for the parser to read once more, without what offers another protocol."""
    lines = [name + b": " + value for name, value in fields if name != b"upgrade"]
    return b"\r\n".join([b"%s %s HTTP/%s" % (method, url, version), *lines, b"", b""])


def bad(detail: str) -> HttpProblem:
    """The request cannot be read, or in more than one way."""
    return HttpProblem(ProblemType.BAD_REQUEST, detail)
