"""Numbers that JSON has no word for. The encoder writes ``null`` for them, which would be a loss in silence."""

from __future__ import annotations

import math
from typing import Any

import msgspec


def refuse_infinite(value: object, encoded: bytes) -> None:
    """Raise `ValueError` where not-a-number or infinity is in *value*, which *encoded* is the JSON of.

    It is looked through only where there is a ``null``.
    """
    if b"null" not in encoded:
        return
    todo: list[Any] = [msgspec.to_builtins(value, enc_hook=_nothing)]
    while todo:
        item = todo.pop()
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError("JSON has no NaN and no infinity")
        todo += item.values() if isinstance(item, dict) else item if isinstance(item, list | tuple) else ()


def _nothing(_ready_made: object) -> None:
    """Stand for JSON that is ready-made: the encoder wrote no number of it."""
