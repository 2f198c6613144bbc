"""What users read is plain English: phrases that were read twice, and may not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "collator"
PHRASES = re.compile(
    r"\b(nobody|whoever|who asks|is wanted|are wanted|is taken here|not taken|as may be|in a moment|opened anew"
    r"|good news|home directory of nobody|is told|was told|were born|is forgotten|begun anew|no word there)\b",
    re.IGNORECASE,
)


def documented(tree: ast.Module) -> Iterator[ast.Constant]:
    """The docstrings in *tree*, those behind fields too: they are for readers of the code."""
    for node in ast.walk(tree):
        for statement in getattr(node, "body", ()) if not isinstance(node, ast.Lambda | ast.IfExp) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.value


def visible(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The texts in *tree* that somebody may read at run time, with their lines."""
    hidden = {id(constant) for constant in documented(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in hidden:
            yield node.lineno, node.value


def test_no_text_that_users_read_has_an_odd_phrase() -> None:
    texts = [
        (path.name, line, text)
        for path in sorted(SOURCE.rglob("*.py"))
        for line, text in visible(ast.parse(path.read_text(encoding="utf-8")))
        if " " in text
    ]
    found = [f"{name}:{line}: {odd[0]!r}" for name, line, text in texts for odd in PHRASES.finditer(text)]
    assert found == []
    assert len(texts) > 500
