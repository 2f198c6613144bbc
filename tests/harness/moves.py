"""A function that changes the directory of its process, and one call later imports what it has not imported yet."""

from __future__ import annotations

import importlib
import os
from pathlib import Path


def plain(payload: str | None) -> str | int:
    """Go to a directory that is then removed; or, for nothing, import."""
    if payload is None:
        return importlib.import_module("tests.harness.disk").__name__
    Path(payload).mkdir()
    os.chdir(payload)
    Path(payload).rmdir()
    return 0
