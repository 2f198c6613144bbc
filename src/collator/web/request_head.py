"""The head of a request, as the endpoints see it: its fields, who asks, and what the body is said to be."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Scope

from collator.text import quoted, shown
from collator.tokens import Caller
from collator.web.formats import JSON, wide_charset
from collator.web.problems import HttpProblem, ProblemType

TARGET_HOST = "collator.target_host"
"""The host in the scope of a request whose target is a whole URL."""
_FORM = "application/x-www-form-urlencoded"


class RequestHead:
    """The head of a request."""

    __slots__ = ("caller", "headers", "scope")

    def __init__(self, scope: Scope) -> None:
        """Look at *scope*."""
        self.scope = scope
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.caller: Caller | None = None
        """Who asks, where the service wants to know."""

    @property
    def target_host(self) -> bytes:
        """The host that the target names, where it is a whole URL; else empty."""
        host: bytes = self.scope.get(TARGET_HOST, b"")
        return host

    def media_type(self) -> str:
        """The media type of the body in small letters.

        Raises `HttpProblem` for a charset in which it would be no JSON.
        """
        field = self.headers.get(b"content-type", b"").decode("latin-1")
        if ";" not in field:
            return field if field == JSON else field.strip().lower()
        charset = wide_charset(field)
        if charset is not None:
            raise HttpProblem(
                ProblemType.UNSUPPORTED_MEDIA_TYPE,
                f"charset {quoted(charset)} is not supported; send UTF-8",
            )
        return field.partition(";")[0].strip().lower()

    def require_plain(self) -> None:
        """Raise `HttpProblem` for a body that is packed: what it unfolds to would be without a limit."""
        coding = self.headers.get(b"content-encoding", b"identity").decode("latin-1")
        if coding.lower() != "identity":
            detail = f"content-encoding {quoted(coding)} is not supported; send the body uncompressed"
            raise HttpProblem(ProblemType.UNSUPPORTED_MEDIA_TYPE, detail)


def foreign_media_type(found: str, *wanted: str) -> HttpProblem:
    """The body is not of a *wanted* media type."""
    there = f"set it to {' or '.join(wanted)}"
    if not found:
        return HttpProblem(ProblemType.UNSUPPORTED_MEDIA_TYPE, f"the request has no content-type; {there}")
    if found == _FORM:
        return HttpProblem(
            ProblemType.UNSUPPORTED_MEDIA_TYPE,
            f"content-type {found}, the default of curl and wget, is not supported; {there}",
        )
    return HttpProblem(ProblemType.UNSUPPORTED_MEDIA_TYPE, f"content-type {shown(found)} is not supported; {there}")
