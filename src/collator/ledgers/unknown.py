"""The error for a resource that is not stored, in the words of all ledgers."""

from __future__ import annotations

from typing import NamedTuple

from collator.clock import rfc3339
from collator.errors import Removed, Unknown


class Remembered(NamedTuple):
    """What a tombstone says of how its resource ended."""

    state: str
    total: int | None
    closed_at: float
    """Seconds since 1970."""


def unknown_resource(resource_id: str, remembered: Remembered | None) -> Unknown:
    """The error for *resource_id*: it has ended and was removed where it is *remembered*, and else nobody knows it."""
    if remembered is None:
        return Unknown(f"resource {resource_id!r} is unknown: it was never seen, or was purged")
    packets = "" if remembered.total is None else f", total {remembered.total}"
    return Removed(
        f"resource {resource_id!r} has ended ({remembered.state}{packets}) at {rfc3339(remembered.closed_at)} and was "
        "removed after its retention; its packets are duplicate or closed. Purge it to use its id again"
    )
