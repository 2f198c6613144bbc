"""The head of an answer: its status, and where its body ends (RFC 9112). Pure.

Theory. The head decides what an attempt comes to (R22), so nothing but a status line that is none can spoil it: a field
that no grammar admits is skipped, and where the fields do not say how the body ends, it does not count. After such an
answer the connection is closed, as the beginning of the next one could not be known. Two parsers that read a head
differently are a danger where both act on it; here this one alone does. That of httptools refuses heads that the RFC
admits (the same ``Content-Length`` twice, folded lines, bare line feeds), and some that it wants ignored.
"""

from __future__ import annotations

import math
import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

MAX_HEAD = 64 * 1024
"""Bytes of a head, with the empty line that ends it."""
MAX_FIELDS = 256

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) +([1-9][0-9][0-9])(?:[ \t].*)?", re.DOTALL)
_FOLD = re.compile(rb"\n[ \t]+")
_IDLE = re.compile(rb"timeout=([0-9]{1,9})")
_FIELDS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\n]*\n)*")
_MOST_DIGITS = 18
_LEAST_FINAL, _NO_CONTENT, _NOT_MODIFIED = 200, 204, 304


class NotHttp(Exception):
    """The answer cannot be read; the text says why."""


class Framing(Enum):
    """The end of a body."""

    LENGTH = auto()  #: so many bytes
    CHUNKED = auto()  #: the last chunk
    CLOSE = auto()  #: the end of the connection
    UNKNOWN = auto()  #: the head does not say


class Head(NamedTuple):
    """A final head."""

    status: int
    fields: dict[bytes, bytes]
    """By their names in small letters; those that came more than once are joined by commas."""
    framing: Framing
    length: int
    """Bytes of the body where `framing` is `Framing.LENGTH`."""
    reusable: bool
    """Whether another request may follow on the connection once the body has ended."""

    @property
    def idle(self) -> float:
        """Seconds that the connection may stand idle, as far as the receiver says."""
        found = _IDLE.search(self.fields.get(b"keep-alive", b""))
        return float(found[1]) if found else math.inf

    def text(self, name: bytes) -> str:
        """The field *name*; empty where there is none."""
        return self.fields.get(name, b"").decode("utf-8", "replace")


@lru_cache(maxsize=32)  # a receiver says the same for a second at a time: 5 µs an answer
def parse(block: bytes) -> Head:
    """Read the lines of a head, without the empty one that ends it. Raises `NotHttp`."""
    block = block.replace(b"\r\n", b"\n")
    if b"\n " in block or b"\n\t" in block:
        block = _FOLD.sub(b" ", block)
    first, *lines = block.split(b"\n")
    found = _STATUS_LINE.fullmatch(first)
    if found is None:
        raise NotHttp("the answer is not HTTP")
    if len(lines) > MAX_FIELDS:
        raise NotHttp(f"the answer has more than {MAX_FIELDS} header fields")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        fields[name] = fields[name] + b", " + value if name in fields else value
    odd = _FIELDS.fullmatch(b"\n".join([*lines, b""])) is None
    status = int(found[2])
    framing, length, sure = _framing(status, fields)
    options = fields.get(b"connection", b"").lower()
    persistent = b"keep-alive" in options if found[1] == b"0" else b"close" not in options
    return Head(status, fields, framing, length, persistent and sure and not odd and framing is not Framing.CLOSE)


def _framing(status: int, fields: dict[bytes, bytes]) -> tuple[Framing, int, bool]:
    """The framing of the body (RFC 9112 section 6.3), its length, and whether both are beyond doubt."""
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    lengths = None if length is None else {one.strip() for one in length.split(b",")} if b"," in length else {length}
    if status < _LEAST_FINAL or status in {_NO_CONTENT, _NOT_MODIFIED}:
        bare = coding is None and (status == _NOT_MODIFIED or lengths in (None, {b"0"}))
        return Framing.LENGTH, 0, bare and status >= _LEAST_FINAL
    if coding is not None:
        chunked = coding.lower().split(b",")[-1].strip() == b"chunked"
        return (Framing.CHUNKED if chunked else Framing.CLOSE), 0, chunked and lengths is None
    if lengths is None:
        return Framing.CLOSE, 0, False
    (length, *others) = lengths
    if others or not length.isdigit() or len(length) > _MOST_DIGITS:
        return Framing.UNKNOWN, 0, False
    return Framing.LENGTH, int(length), True
