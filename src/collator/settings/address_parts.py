"""The parts of an address, one of several hosts too.

Not by `urllib.parse`: releases of Python that look at brackets refuse what PostgreSQL takes, a list of hosts with an
IPv6 address in it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)


class AddressParts(NamedTuple):
    """The parts of an address but the fragment, as they are written (RFC 3986); empty where they are missing."""

    scheme: str
    authority: str
    """User and hosts."""
    path: str
    query: str


def split(text: str) -> AddressParts | None:
    """Take *text* apart; `None` where it has no scheme and hosts."""
    found = _FORM.fullmatch(text)
    return None if found is None else AddressParts(*(part or "" for part in found.groups()))
