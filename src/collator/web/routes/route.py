"""The declaration of a route: one method of one path, with all that may be asked there and all that may be answered.

The router, the check of roles and the description of the API (`/openapi.json`) are made from these declarations, so
that none of them can say what the others do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from collator.tokens import Role
from collator.web.options import QueryOption
from collator.web.problems import ProblemType

JSON = "application/json"
EVENTS = "text/event-stream"
NDJSON = ("application/x-ndjson", "application/jsonl")

STORE_PROBLEMS = (
    ProblemType.UNAVAILABLE,
    ProblemType.UNCERTAIN,
    ProblemType.READ_ONLY,
    ProblemType.STORAGE_FULL,
)
"""What is answered where a change cannot be stored, or where it is not known whether it was."""

BodyType = Any
"""A type that msgspec describes, several of which any may come, or a JSON Schema as a mapping."""


class RouteReply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is good news."""

    says: str
    """When it is given, and what it holds."""
    content: Mapping[str, BodyType]
    """What the body holds, by media type."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path."""

    name: str
    """What it is called in the description: `operationId`."""
    method: str
    path: str
    """With names in braces for what varies."""
    role: Role | None
    """Which role a token must have; `None`: no token is needed."""
    says: str
    """What it does: one line."""
    more: str = ""
    """What there is to know beyond that."""
    options: tuple[QueryOption, ...] = ()
    body: Mapping[str, BodyType] = {}
    """What the request holds, by media type; empty where it holds nothing."""
    examples: Mapping[str, Any] = {}
    """A good body, by media type; that of a sequence as an array of its lines."""
    replies: Mapping[int, RouteReply]
    """By status."""
    own: bool = False
    """Whether its handler keeps to the resources that a token with prefixes is for. Without it, such a token may ask
    only where the path names one of them."""
    is_stream: bool = False
    """Whether its handler writes the answer itself, bit by bit."""
    told: Mapping[Role, type[msgspec.Struct]] = {}
    """What a good answer has for a token of one role alone; all roles that may ask are told alike where it is empty."""
    problems: tuple[ProblemType, ...] = ()
    """What else is answered, beyond what `problems_of` says of every route."""


def problems_of(route: Route, *, guarded: bool) -> tuple[ProblemType, ...]:
    """All problems that *route* may answer; *guarded* where the service asks for tokens."""
    found = [
        ProblemType.BAD_REQUEST,
        ProblemType.CROSS_ORIGIN,
        ProblemType.UNKNOWN_HOST,
        ProblemType.TIMEOUT,
        ProblemType.HEAD_TOO_LARGE,
        ProblemType.INTERNAL_ERROR,
    ]
    found += [ProblemType.MALFORMED, ProblemType.BUSY]
    if guarded and route.role is not None:
        found += [ProblemType.UNAUTHORIZED, ProblemType.FORBIDDEN]
    if "{" in route.path:
        found.append(ProblemType.NOT_FOUND)  # where it is empty, or has a slash that is not percent-encoded
    if route.method != "GET":  # one that takes no body says so only where it has read it
        found += [ProblemType.TOO_LARGE, ProblemType.UNSUPPORTED_MEDIA_TYPE]
    return (*dict.fromkeys((*found, *route.problems)),)
