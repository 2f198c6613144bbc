"""A copy of Collator with a line changed: another release of it, or one that has lost what the test is about."""

from __future__ import annotations

import shutil
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def variant(directory: Path, file: str, old: str, new: str) -> Path:
    """A copy in *directory*, for a PYTHONPATH, whose *file* has *new* where it had *old*; more than once by and by."""
    copy = directory / "variant"
    if not copy.exists():
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    path = copy / "collator" / file
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
    path.write_text(text.replace(old, new), "utf-8")
    return copy
