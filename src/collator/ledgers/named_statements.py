"""The SQL files of the ledgers: each statement stands behind a line with its name, and words about it."""

from __future__ import annotations

import re
from importlib.resources import files


def named_statements(package: str, file: str) -> dict[str, str]:
    """The statements of *file*, which is in *package*, by name."""
    text = (files(package) / file).read_text("utf-8")
    parts = re.split(r"^-- name: (\w+).*$(?:\n--.*$)*", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))
