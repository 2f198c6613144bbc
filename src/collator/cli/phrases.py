"""Wording of figures and paths."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from collator.text import escaped


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


def aligned(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table with *heads*, its columns as wide as what is in them; nothing is shown as ``-``."""
    table = [heads, *(["-" if cell is None else escaped(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def listed(page: Mapping[str, Any], what: str, columns: Mapping[str, str]) -> Iterator[str]:
    """A table of *what* there is in *page*, its heads and keys in *columns*, and where the next page begins."""
    yield from aligned([*columns], ([one[key] for key in columns.values()] for one in page[what]))
    if page["next_cursor"] is not None:
        yield f"… and more: --cursor {shlex.quote(page['next_cursor'])}"
