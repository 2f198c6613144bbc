"""The part of requests that is the same for all that go to one place: made once, and not for each of them."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import NamedTuple

from collator import target as targets
from collator.target import Target


class Destination(NamedTuple):
    """Where requests go, and how each begins."""

    target: Target
    tls: ssl.SSLContext | None
    """What secures its connections, where that of the system does not do."""
    origin: tuple[object, ...]
    """What shares connections with it."""
    head: str
    """The first lines of each request, and the headers that all have."""


def destination(
    url: str, headers: Mapping[str, str], *, method: str = "POST", tls: ssl.SSLContext | None = None
) -> Destination | None:
    """The destination of requests to *url* with *headers*; `None` where nothing can be sent there, or with these."""
    try:
        target = targets.parse(url)
    except ValueError:
        return None
    fixed = lines(headers)
    return None if fixed is None else Destination(target, tls, (*target.origin, tls), target.head(method) + fixed)


def lines(headers: Mapping[str, str]) -> str | None:
    """The lines of *headers*; `None` where one would say more than its name and value."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return text if text.count("\n") == text.count("\r") == len(headers) else None
