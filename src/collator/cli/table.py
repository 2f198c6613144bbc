"""Tables for people: as wide as the terminal, with ages in place of times; ``--wide`` has all of it."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import click
from rich.cells import cell_len

from collator.text import escaped

LEAST = 8
"""Columns of the terminal that a column of a table keeps, whatever the others need."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400

F = TypeVar("F", bound=Callable[..., object])


class CellType(Enum):
    """What a column has."""

    PLAIN = "plain"
    AGE = "age"
    """A time, RFC 3339: how long ago it was."""
    SPAN = "span"
    """A number of seconds."""
    WIDE = "wide"
    """What only a wide table has."""


class Column(NamedTuple):
    """A column of a table."""

    head: str
    key: str
    kind: CellType = CellType.PLAIN


def wide_option(function: F) -> F:
    """The option ``--wide``, as *wide*."""
    return click.option("--wide", is_flag=True, help="Show whole ids, times and reasons, however long.")(function)


def listed(page: Mapping[str, Any], what: str, columns: Sequence[Column], *, wide: bool) -> Iterator[str]:
    """A table of *what* there is in *page*, and where the next page begins."""
    if page[what]:
        yield from table(columns, page[what], wide=wide)
    else:
        yield f"no {what}" + (" in this page" if page["next_cursor"] is not None else "")
    if page["next_cursor"] is not None:
        yield f"… and more: --cursor {shlex.quote(page['next_cursor'])}"


def table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], *, wide: bool) -> Iterator[str]:
    """*rows* in *columns*; not *wide*: within the terminal, where the output is one."""
    now = time.time()
    shown = [column for column in columns if wide or column.kind is not CellType.WIDE]
    cells = [[_cell(row.get(column.key), column.kind, now=now, wide=wide) for column in shown] for row in rows]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() and not wide else None
    return aligned([column.head for column in shown], cells, width=width)


def aligned(heads: Sequence[str], rows: Iterable[Sequence[object]], *, width: int | None = None) -> Iterator[str]:
    """A table with *heads*, its columns as wide as what is in them; nothing is shown as ``-``.

    Where it is wider than *width*, the longest cells lose their ends, as far as needed.
    """
    cells = [heads, *(["-" if cell is None else escaped(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths = _fitted(widths, width - 2 * (len(heads) - 1))
    for row in cells:
        cut = [_cut(cell, most) for cell, most in zip(row, widths, strict=True)]
        yield "  ".join(cell + " " * (most - cell_len(cell)) for cell, most in zip(cut, widths, strict=True)).rstrip()


def age(moment: str, now: float) -> str:
    """The time from *moment*, RFC 3339, to *now*, in seconds since 1970; none below zero, as clocks differ."""
    return span(max(0.0, now - datetime.fromisoformat(moment).timestamp()))


def span(seconds: float) -> str:
    """*seconds* in their largest unit: ``7s``, ``12m``, ``5h``, ``3d``."""
    if seconds < _MINUTE:
        return f"{seconds:.0f}s"
    unit, name = next((unit, name) for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")) if seconds >= unit)
    return f"{seconds // unit:.0f}{name}"


def _cell(value: object, kind: CellType, *, now: float, wide: bool) -> object:
    if value is None:
        return value
    if kind is CellType.SPAN:
        seconds = float(str(value))
        return f"{seconds:.1f}s" if wide else span(seconds)
    return age(str(value), now) if kind is CellType.AGE and not wide else value


def _fitted(widths: Sequence[int], whole: int) -> list[int]:
    """*widths*, the largest of them cut to the same, so that all fit into *whole*, and none below `LEAST`."""
    most = max(widths)
    while most > LEAST and sum(min(width, most) for width in widths) > whole:
        most -= 1
    *fitted, last = [min(width, most) for width in widths]
    return [*fitted, max(last, min(widths[-1], whole - sum(fitted)))]  # what is left over is the last one's


def _cut(cell: str, most: int) -> str:
    if cell_len(cell) <= most:
        return cell
    while cell_len(cell) >= most:
        cell = cell[:-1]
    return f"{cell}…"
