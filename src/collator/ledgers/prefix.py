"""Texts that begin alike, as a range: an index finds them without a look at any other."""

from __future__ import annotations

_SURROGATES = range(0xD800, 0xE000)


def behind(prefix: str) -> str | None:
    """The first text behind all that start with *prefix*, in the order of code points, which is that of UTF-8."""
    text = prefix.rstrip("\U0010ffff")
    if not text:
        return None
    following = ord(text[-1]) + 1
    return text[:-1] + chr(following if following not in _SURROGATES else _SURROGATES.stop)
