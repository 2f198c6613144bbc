"""Every way in which the HTTP app says no: one catalogue, RFC 9457 (Problem Details for HTTP APIs).

A problem is ``{"type", "title", "status", "detail", "code", …}``. `type` and `code` are stable and say the same, the
one as a URI and the other as a word; `detail` is for a person. Errors of all other modules become problems here and
nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec

from collator.errors import (
    CollatorError,
    Conflict,
    Damaged,
    Ended,
    Malformed,
    ReadOnly,
    StorageFull,
    StorageLow,
    Unavailable,
    Uncertain,
    Unknown,
)
from collator.text import shorten

MEDIA_TYPE = "application/problem+json"

MOST_DETAIL = 1000
"""Characters of a `detail`, whatever it is made of."""

Headers = Sequence[tuple[bytes, bytes]]


class ProblemType(Enum):
    """The catalogue: the status and the title of each kind of problem."""

    BAD_REQUEST = (400, "Invalid HTTP request")
    UNAUTHORIZED = (401, "Unauthorized")
    FORBIDDEN = (403, "Forbidden")
    CROSS_ORIGIN = (403, "Cross-origin request refused")
    NOT_FOUND = (404, "Path not found")
    UNKNOWN = (404, "Unknown resource, delivery or endpoint")
    METHOD_NOT_ALLOWED = (405, "Method not allowed")
    TIMEOUT = (408, "Request timeout")
    STREAM_IDLE = (408, "No data on the stream for too long")
    CONFLICT = (409, "Conflict with the state of the resource")
    CLOSED = (409, "The resource has ended without this packet")
    ENDED = (409, "The resource or delivery has ended")
    TOO_LARGE = (413, "Request too large")
    UNSUPPORTED_MEDIA_TYPE = (415, "Unsupported media type")
    UNKNOWN_HOST = (421, "Unknown host")
    MALFORMED = (422, "Invalid packet or request")
    INCOMPLETE_LINE = (422, "The last line is incomplete")
    UPGRADE_REQUIRED = (426, "WebSocket required")
    REFUSED = (429, "Limit reached")
    HEAD_TOO_LARGE = (431, "Request headers too large")
    INTERNAL_ERROR = (500, "Internal error")
    ERROR = (500, "The packet could not be stored")
    DAMAGED = (500, "Stored data is damaged")
    UNAVAILABLE = (503, "Service unavailable")
    BUSY = (503, "Service busy")
    NOT_READY = (503, "Service not ready")
    READ_ONLY = (503, "Read-only until restart")
    STORAGE_FULL = (503, "Disk full")
    UNCERTAIN = (503, "It is unknown whether the data was stored")
    RECEIPTS_UNREAD = (503, "The receipts were not read")
    STORAGE_LOW = (507, "Too little free disk space")

    @property
    def code(self) -> str:
        """The name of the kind, as in ``storage_full``."""
        return self.name.lower()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def title(self) -> str:
        """The kind of problem, in words."""
        return self.value[1]


class HttpProblem(CollatorError):
    """The request cannot be served."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        retry_after: float | None = None,
        headers: Headers = (),
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep what the problem is made of. *retry_after* in seconds; *members* are added to the problem."""
        super().__init__(detail)
        self.kind = kind
        self.retry_after = retry_after
        self.headers = headers
        self.members = members or {}

    def with_members(self, members: Mapping[str, Any]) -> HttpProblem:
        """The same, with *members* in its problem."""
        headers, members = self.headers, {**self.members, **members}
        return HttpProblem(self.kind, self.detail, retry_after=self.retry_after, headers=headers, members=members)


def busy(detail: str, *, retry_after: float = 1.0) -> HttpProblem:
    """There is no place, or no room in memory, for the request at the moment."""
    return HttpProblem(ProblemType.BUSY, detail, retry_after=retry_after)


def method_not_allowed(allowed: str) -> HttpProblem:
    """The path has only the methods *allowed*, which are divided by commas."""
    return HttpProblem(
        ProblemType.METHOD_NOT_ALLOWED, f"allowed methods: {allowed}", headers=((b"allow", allowed.encode()),)
    )


_KINDS: tuple[tuple[type[CollatorError], ProblemType], ...] = (
    # Special kinds before general ones.
    (Malformed, ProblemType.MALFORMED),
    (Conflict, ProblemType.CONFLICT),
    (Unknown, ProblemType.UNKNOWN),
    (Ended, ProblemType.ENDED),
    (StorageFull, ProblemType.STORAGE_FULL),
    (StorageLow, ProblemType.STORAGE_LOW),
    (ReadOnly, ProblemType.READ_ONLY),
    (Uncertain, ProblemType.UNCERTAIN),
    (Unavailable, ProblemType.UNAVAILABLE),
    (Damaged, ProblemType.DAMAGED),
)

encode = msgspec.json.Encoder().encode
encode_lines = msgspec.json.Encoder().encode_lines


def problem_of(error: CollatorError) -> HttpProblem:
    """*error* as a refusal: the one place where errors get their HTTP status."""
    if isinstance(error, HttpProblem):
        return error
    kind = next((kind for of, kind in _KINDS if isinstance(error, of)), ProblemType.INTERNAL_ERROR)
    return HttpProblem(kind, error.detail, retry_after=error.retry_after if isinstance(error, Unavailable) else None)


def problem(error: CollatorError) -> dict[str, Any]:
    """*error* as the members of a problem."""
    refusal = problem_of(error)
    kind = refusal.kind
    members: dict[str, Any] = {
        "type": f"urn:collator:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": shorten(refusal.detail, MOST_DETAIL),
        "code": kind.code,
    }
    if refusal.retry_after is not None:
        members["retry_after"] = refusal.retry_after
    return {**members, **refusal.members}


def problem_headers(refusal: HttpProblem) -> list[tuple[bytes, bytes]]:
    """The fields that go with *refusal*, `Content-Length` aside. `Retry-After` in whole seconds (RFC 9110, 10.2.3)."""
    headers = [(b"content-type", MEDIA_TYPE.encode()), *refusal.headers]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(refusal.retry_after))))
    return headers
