"""What a client is told whose request comes too late, is too large, or finds no place. Pure."""

from __future__ import annotations

from collator.web.limits import Limits
from collator.web.problems import Kind, Refusal


def large_head(limits: Limits) -> Refusal:
    """The head, or the trailers, are too large."""
    return Refusal(Kind.HEAD_TOO_LARGE, f"{limits.head_bytes} bytes and {limits.head_fields} fields at most")


def late_head(limits: Limits) -> Refusal:
    """The head did not come in time."""
    return Refusal(Kind.TIMEOUT, f"the head took more than {limits.head_seconds:g} s")


def late_body(size: int) -> Refusal:
    """Of the body *size* bytes came, and the rest did not in time."""
    return Refusal(Kind.TIMEOUT, f"{size} bytes of the body came, and then too little")


def stopping() -> Refusal:
    """The service stops, and does not wait for the rest of the request."""
    detail = "the service is stopping, and the request has not come whole; send it again in a moment"
    return Refusal(Kind.UNAVAILABLE, detail, retry_after=5.0)


def pipelined(number: int) -> Refusal:
    """On the connection as many requests as may be wait already."""
    return Refusal(Kind.BUSY, f"{number} requests wait here for the answer to an earlier one", retry_after=1.0)


def queued(why_not: str) -> Refusal:
    """The bodies of requests that wait behind others take too much memory, as *why_not* says."""
    return Refusal(Kind.BUSY, why_not, retry_after=1.0)


def no_place(limits: Limits) -> Refusal:
    """There is no place for the connection."""
    detail = f"connections: as many have a request as may be, {limits.max_connections} (max_connections)"
    return Refusal(Kind.BUSY, detail, retry_after=1.0)
