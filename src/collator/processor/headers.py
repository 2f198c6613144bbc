"""The headers of a request: those that name its packet, and those from the file of the operator (R29).

The file has one ``NAME: VALUE`` a line; blank lines and ``#`` comments are skipped. It contains keys of services, so it
is a secret: no message repeats a value, and an invalid line is named by its number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote

from collator.errors import ConfigError
from collator.file_watch import WatchedFile
from collator.messages import Key, Task

_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]+")
_OWN = frozenset({"collator-resource-id", "collator-index", "collator-attempt", "idempotency-key"})
"""These name the packet and the attempt."""
_WIRE = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""These belong to the connection, or to the coding of the answer, which is not decompressed."""
_VISIBLE = "".join(map(chr, range(ord("!"), ord("\x7f")))).replace("%", "")


class HeadersFile(WatchedFile[Mapping[str, str]]):
    """The headers of one file, by their names in small letters; read again when it changes."""

    def __init__(self, path: Path, *, authorized: bool) -> None:
        """Read *path*; *authorized*: whether the URL has credentials. Raises `ConfigError` where it cannot be used."""
        super().__init__(
            path, partial(parse_headers, authorized=authorized), what="processor_headers_file", secret=True
        )


def parse_headers(text: str, *, authorized: bool = False) -> Mapping[str, str]:
    """The headers of a file's *text*; *authorized*: whether the URL has credentials.

    Raises `ConfigError` with the number of the line that cannot be used.
    """
    found: dict[str, str] = {}
    text = text.removeprefix("\ufeff")  # the byte order mark of some editors
    for number, line in enumerate(map(str.strip, text.split("\n")), 1):
        if not line or line.startswith("#"):
            continue
        header = _LINE.fullmatch(line)
        if header is None or not _VALUE.fullmatch(header[2]):
            raise ConfigError(f"line {number}: expected NAME: VALUE, as in X-API-Key: …")
        name = header[1].lower()
        if name in _OWN | _WIRE:
            raise ConfigError(f"line {number}: Collator sets {name} itself; remove the line")
        if name in found:
            raise ConfigError(f"line {number}: {name} occurs twice")
        if authorized and name == "authorization":
            raise ConfigError(f"line {number}: the URL of the processor has a user or a password too; remove one")
        found[name] = header[2]
    return found


def packet_headers(task: Task) -> dict[str, str]:
    """The headers that name the packet of a request, and its attempt.

    In the id, ``%`` and everything that is not visible ASCII are percent-encoded, as UTF-8.
    """
    return {
        "idempotency-key": idempotency_key(task.key),
        "collator-resource-id": quote(task.key.resource_id, safe=_VISIBLE),
        "collator-index": str(task.key.index),
        "collator-attempt": str(task.attempt),
    }


def idempotency_key(key: Key) -> str:
    """The same for every attempt for a packet, and no other's: 64 hexadecimal digits."""
    packet = key.resource_id.encode() + b"\0" + key.generation + key.index.to_bytes(4)
    return hashlib.sha256(packet).hexdigest()
