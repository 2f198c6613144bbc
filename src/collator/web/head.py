"""The head of a request: one reading of it, or none. Pure.

Where two parsers on the way of a request may read a head differently, one of them is deceived (RFC 9112, 11.2): so what
can be read in two ways is refused, and a field that means something here stands there once.
"""

from __future__ import annotations

from collections.abc import Sequence

from collator.web.problems import Kind, Refusal

Fields = Sequence[tuple[bytes, bytes]]
"""Names in small letters, and values, as they came."""

_ONCE = (b"authorization", b"content-type", b"origin")


def check_head(url: bytes, version: str, fields: Fields) -> None:
    """Raise `Refusal` unless a request for *url* with *fields* can be read in one way only."""
    if version not in {"1.1", "1.0"} or url[:1] != b"/" or b"#" in url:
        raise _bad("an HTTP/1.1 request for a path is wanted")
    names = [name for name, _ in fields]
    if names.count(b"host") != 1:
        raise _bad("there must be exactly one Host field (RFC 9112, 3.2)")
    if len({*names}) < len(names):  # seldom
        for name in _ONCE:
            if names.count(name) > 1:
                raise _bad(f"there must be one {name.decode().title()} field at most (RFC 9110, 5.3)")
    if b"transfer-encoding" in names and (version == "1.0" or not _chunked(fields)):
        raise _bad("of all transfer encodings only chunked is taken")


def _chunked(fields: Fields) -> bool:
    return [value.lower() for name, value in fields if name == b"transfer-encoding"] == [b"chunked"]


def _bad(detail: str) -> Refusal:
    return Refusal(Kind.BAD_REQUEST, detail)
