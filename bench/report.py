"""The output of the figures: a table where a person looks at a terminal, plain columns in a pipe, JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.figures import SECTIONS, Row
from bench.runs import Scale
from collator import __version__

_WIDE = 160
_NOTE = """\
Sender, receiver and service share the cores of this machine. Each run has a fresh service with an empty store, warmed
up by a check of 50 resources whose payloads all differ. Every webhook of every run is compared with what it must be."""


def about(scale: Scale, runs: int, broker: str | None) -> dict[str, Any]:
    """Return where and with what is measured, and how much."""
    machine = {
        "collator": __version__,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "apsw": version("apsw"),  # the version of the SQLite in it, and a number more
        "uvicorn": version("uvicorn"),
        "msgspec": version("msgspec"),
    }
    job = {name: getattr(scale, name) for name in ("resources", "packets", "connections", "seed")}
    workers = f"Celery on {broker}" if broker else "local"
    return {"machine": machine, "job": {**job, "workers": workers, "runs": runs, "settings": scale.changed}}


def as_json(about: dict[str, Any], rows: Sequence[Row], faults: Sequence[str]) -> bytes:
    """All of it for programs, in a line."""
    return msgspec.json.encode({**about, "rows": [row.as_dict() for row in rows], "faults": faults})


def show(console: Console, about: dict[str, Any], rows: Iterable[Row]) -> None:
    """Print all of it on *console* for a person."""
    if not console.is_terminal:
        console.width = _WIDE
    show_machine(console, about)
    for part, found in groupby(rows, lambda row: row.part):
        console.print(Text(f"\n{part}: {SECTIONS[part][0]}", style="bold"))
        console.print(_table(found, about["job"]["runs"]))
    console.print(Text(f"\n{_NOTE}", style="dim"))


def show_machine(console: Console, about: dict[str, Any]) -> None:
    """Print where and with what was measured, and how much."""
    console.print(Text(f"{_machine(**about['machine'])}\n{_job(**about['job'])}"))


def _machine(**found: object) -> str:
    return (
        "{cores} cores at load {load}, {system}, Python {python}, SQLite of apsw {apsw}, uvicorn {uvicorn}, "
        "msgspec {msgspec}, Collator {collator}"
    ).format(**found)


def _job(**job: Any) -> str:  # noqa: ANN401 - numbers, and settings
    spread = f"{job['runs']} runs: median, and min – max" if job["runs"] > 1 else "1 run"
    settings = "".join(f", {name}={value}" for name, value in job["settings"].items())
    return (
        "{resources} resources × {packets} packets, 50 under way at once, {connections} connections for single POSTs; "
        "{workers} workers; {spread}"
    ).format(**job, spread=spread) + settings


def _table(rows: Iterable[Row], runs: int) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=14, no_wrap=True)
    table.add_column(min_width=9, justify="right", no_wrap=True, style="bold")
    table.add_column(min_width=7, no_wrap=True)
    if runs > 1:
        table.add_column(min_width=17, justify="right", no_wrap=True)
    table.add_column(style="dim")
    for row in rows:
        spread = [f"{number(min(row.values))} – {number(max(row.values))}"] if runs > 1 else []
        table.add_row(row.figure.label, number(row.median), row.figure.unit, *spread, row.figure.what)
    return table


def number(value: float) -> str:
    """*value* with three digits that count, or as a whole number."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
