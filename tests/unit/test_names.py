"""A name stands for one thing, and a thing has one name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "collator"
SAME = {
    "Network": "the same type twice: the settings and egress know nothing of each other",
}
LEDGERS = re.compile(r"^ledgers/(sqlite|postgresql)/")
"""The same file of each has the same parts, each for its store."""

LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
REASON = frozenset({"cause", "detail", "how", "problem", "trouble", "why", "words"})
"""What `reason` is called elsewhere; of a request that was refused, the log has the `detail` of its problem."""


def named(path: Path) -> Iterator[str]:
    """The public classes and types that the module at *path* defines; of a type variable, its name says nothing."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper():
                yield name


def test_no_two_classes_or_types_share_a_name() -> None:
    found = sorted(
        (name, path.relative_to(SOURCE).as_posix())
        for path in SOURCE.rglob("*.py")
        for name in named(path)
        if not name.startswith("_")
    )
    places = {
        name: {LEDGERS.sub("ledgers/*/", place) for _, place in pairs} for name, pairs in groupby(found, itemgetter(0))
    }
    assert len(places) > 300
    assert {name: where for name, where in places.items() if len(where) > 1 and name not in SAME} == {}
    assert [name for name in SAME if len(places.get(name, ())) < 2] == []


def logged(path: Path) -> Iterator[tuple[str, str]]:
    """The names of the fields in the log lines of the module at *path*, each with its event."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            yield from ((ast.unparse(node.args[0]), keyword.arg) for keyword in node.keywords if keyword.arg)


def test_the_reason_of_what_is_logged_is_called_reason_everywhere() -> None:
    fields = [field for path in SOURCE.rglob("*.py") for field in logged(path)]
    assert len(fields) > 80
    assert [(event, name) for event, name in fields if name in REASON] == [("event", "detail")]
