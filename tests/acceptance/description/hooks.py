"""Teaches schemathesis to write and read a value a line."""

from __future__ import annotations

import json
from typing import Any

import schemathesis

LINES = ("application/x-ndjson", "application/jsonl")


@schemathesis.serializer(*LINES)
def write(_context: object, value: Any) -> bytes:  # noqa: ANN401 - whatever it makes up
    """A line for each item."""
    lines = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@schemathesis.deserializer(*LINES)
def read(_context: object, response: Any) -> list[Any]:  # noqa: ANN401 - its own class
    """The value of each line."""
    return [json.loads(line) for line in response.content.splitlines()]
