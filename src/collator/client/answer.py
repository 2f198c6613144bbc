"""Answers of a service, and the error that each means. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from collator.errors import CollatorError, Conflict, Denied, Ended, Malformed, Unavailable, Unknown
from collator.text import shown

MOST_DETAIL = 1000
"""Characters of what a service says; that of Collator says no more."""

_BUSY = frozenset({429, 500, 502, 503, 504, 507})
_DENIED = frozenset({401, 403})
_ERRORS: Mapping[str, type[CollatorError]] = {
    "malformed": Malformed,
    "unknown": Unknown,
    "conflict": Conflict,
    "ended": Ended,
}


def unexpected(where: str, what: object) -> str:
    """The words for *what* the service at *where* answered, or what is wrong with that, where it cannot be read."""
    return f"{where}: unexpected answer, is this a Collator service? ({what})"


class Unreachable(Unavailable):
    """The service could not be reached, or took nothing."""


class Problem(msgspec.Struct, frozen=True):
    """An error as the service writes it (RFC 9457)."""

    title: str = ""
    detail: str = ""
    code: str = ""


class Response(NamedTuple):
    """The answer of the service to one request."""

    status: int
    body: bytes
    retry_after: float
    """Seconds; 0 where it did not say."""
    media_type: str = ""

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status // 100 == 2  # noqa: PLR2004 - the class of success

    @property
    def busy(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in _BUSY

    @property
    def problem(self) -> Problem:
        """The problem that the service names; empty where something else answers, as a proxy does with a page."""
        try:
            said = msgspec.json.decode(self.body, type=Problem)
        except msgspec.MsgspecError:
            return Problem()
        if not said.code:
            return Problem()
        return Problem(shown(said.title), shown(said.detail, MOST_DETAIL), shown(said.code))

    def error(self, where: str) -> CollatorError:
        """The error for an answer that is not `ok`, from the service at *where*."""
        words = f"{where}: {self}" if self.problem.code else unexpected(where, self)
        if self.busy:
            return Unreachable(words, retry_after=self.retry_after)
        if self.status in _DENIED:
            return Denied(words)
        return _ERRORS.get(self.problem.code, CollatorError)(words)

    def __str__(self) -> str:
        """In words."""
        said = self.problem.detail or self.problem.title
        if said:
            return f"HTTP {self.status}: {said}"
        return f"HTTP {self.status}, {shown(self.media_type)}" if self.media_type else f"HTTP {self.status}"
