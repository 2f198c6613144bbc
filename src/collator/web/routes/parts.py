"""Parameters of paths: each is declared once, read by its declaration, and described from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_to_bytes

from collator.errors import Malformed
from collator.packet import MAX_ID_BYTES, MAX_INDEX, check_id
from collator.text import quoted
from collator.web.options import QueryOption, number

_DOTS = frozenset({".", ".."})
"""Segments that a client or a proxy takes away, with what stands before them, unless each dot is percent-encoded."""


def read_path(found: Mapping[str, str]) -> dict[str, Any]:
    """The value of each part that the router *found*, as it was sent. Raises `Malformed`."""
    return {name: PARTS[name].read(_decoded(segment), name) for name, segment in found.items()}


def _decoded(segment: str) -> str:
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise Malformed(f"{quoted(segment)} in the path is not UTF-8") from None
    if text in _DOTS and "." in segment:
        encoded = text.replace(".", "%2E")
        raise Malformed(f"{segment!r} means another path (RFC 3986, 5.2.4); if it is an id, write {encoded!r}")
    return text


PARTS: Mapping[str, QueryOption] = MappingProxyType(
    {
        "resource_id": QueryOption(
            name="resource_id",
            says="The id of a resource, percent-encoded: `%2F` for a slash; `.` and `..` only as `%2E` and `%2E%2E`.",
            read=lambda text, _: check_id(text),
            schema={
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_ID_BYTES,
                "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$",
                "not": {"enum": [".", ".."]},  # generated clients leave dots as they are
            },
        ),
        "delivery_id": QueryOption(
            name="delivery_id",
            says="The id of a delivery: the webhook id, a colon, the name of the endpoint.",
            read=lambda text, _: text,
            schema={"type": "string", "minLength": 1},
        ),
        "endpoint": QueryOption(
            name="endpoint",
            says="The name of an endpoint.",
            read=lambda text, _: text,
            schema={"type": "string", "minLength": 1},
        ),
        "index": number("index", "The place of a packet in its resource, from 0.", least=0, most=MAX_INDEX),
    }
)
"""Every name that may stand in braces in a path."""
