"""The page on what is bounded names every queue, and its figures are those of the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "collator"
APART = ("cli/chaos/",)
"""Tools for developers, which a machine has for itself."""
UNITS = {"": 1, "KiB": 1024, "MiB": 1024 * 1024}
ROWS = [
    line
    for line in (ROOT / "docs/decisions/021-bounded-by-bytes.md").read_text("utf-8").splitlines()
    if line.startswith("|") and ".py`" in line
]


def figures() -> list[tuple[str, str, int]]:
    """File, name and value of every constant that the table names."""
    found = []
    for row in ROWS:
        file = re.findall(r"`([\w/]+\.py)`", row)[0]
        for name, value, unit in re.findall(r"`([A-Z_]{3,})` (\d+)(?: (KiB|MiB))?", row):
            found.append((file, name, int(value) * UNITS[unit]))
    return found


def test_every_queue_has_its_row() -> None:
    named = {file for row in ROWS for file in re.findall(r"`([\w/]+\.py)`", row)}
    queues = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        if re.search(r"\b((?:Simple|Lifo|Priority)?Queue|deque)(\[[^\n]*\])?\(", path.read_text("utf-8"))
    }
    assert [file for file in sorted(queues - named) if not file.startswith(APART)] == []
    assert [file for file in sorted(named) if not (SOURCES / file).exists()] == []


@pytest.mark.parametrize(("file", "name", "value"), figures())
def test_each_figure_is_that_of_the_code(file: str, name: str, value: int) -> None:
    module = import_module("collator." + file.removesuffix(".py").replace("/", "."))
    assert getattr(module, name) == value


def test_there_are_figures() -> None:
    assert len(figures()) > 10
