"""Wording of figures and paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def ranges(pairs: Sequence[Sequence[int]]) -> str:
    """Inclusive ranges as people write them: ``3-7, 9``."""
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in pairs)


def sized(amount: int) -> str:
    """*amount* of bytes as people write it: ``1.5 MiB``."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    power = min(max(amount.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{amount / 1024**power:.{1 if power else 0}f} {units[power]}"


def near(path: Path) -> Path:
    """*path* as a person would write it who is where the command was started."""
    try:
        return path.relative_to(Path.cwd())
    except (OSError, ValueError):  # that is gone, or the path lies elsewhere
        return path
