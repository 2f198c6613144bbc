"""The gate: who may ask. Pure.

A service on the loopback address is open to every program of the machine, and web browsers run programs of strangers.
So a request has to name a host that is ours (against DNS rebinding: the page of evil.example whose name suddenly means
127.0.0.1 still says ``Host: evil.example``), and a request that a page of another origin sends is refused (against
cross-site requests). JSON media types only, which the endpoints ask for, close the last way: a form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from collator.web.problems import Kind, Refusal

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(rb"\[?([A-Za-z0-9._~-]+|(?<=\[)[0-9A-Fa-f:.]+(?=\]))\]?(?::[0-9]*)?")


class Gate:
    """Lets pass those who may ask."""

    def __init__(self, hosts: Iterable[str] | None = LOOPBACK) -> None:
        """Be known as *hosts*, names or addresses without a port; `None`: by any name."""
        self._hosts = None if hosts is None else frozenset(host.strip("[]").lower().encode() for host in hosts)

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise `Refusal` for a foreign Host or Origin."""
        host = headers.get(b"host", b"")
        if self._hosts is not None and _name(host) not in self._hosts:
            raise Refusal(
                Kind.FOREIGN_HOST, "the Host field names another host; add it with --allow-host if it is right"
            )
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != host:
            raise Refusal(Kind.FOREIGN_ORIGIN, "the Origin field names another origin than the Host field")


@lru_cache(maxsize=256)
def _name(host: bytes) -> bytes | None:
    """The name or address in ``host[:port]``, in small letters and without brackets."""
    named = _HOST.fullmatch(host)
    return named[1].lower() if named else None
