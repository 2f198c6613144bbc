"""What users read is plain English, and a docstring begins with a thing or an act: what may not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "collator"
PHRASES = re.compile(
    r"\b(nobody|whoever|who asks|is wanted|are wanted|is taken here|not taken|as may be|in a moment|opened anew"
    r"|good news|home directory of nobody|is told|was told|were born|is forgotten|begun anew|no word there)\b",
    re.IGNORECASE,
)
CLAUSE = re.compile(
    r"(return )?(what|why|how|which|where|who|whose|whoever|when|since|if|so|that|those)\b|(return )?whether\b",
    re.IGNORECASE,
)
"""How no docstring of a function begins: it names a thing or an act. Of a truth, a function says `Return whether`, and
a property, like a field, `Whether`."""


@cache
def modules() -> Sequence[tuple[Path, ast.Module]]:
    """All of the source."""
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(SOURCE.rglob("*.py"))]


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
    texts = [(path.name, line, text) for path, tree in modules() for line, text in visible(tree) if " " in text]
    found = [f"{name}:{line}: {odd[0]!r}" for name, line, text in texts for odd in PHRASES.finditer(text)]
    assert found == []
    assert len(texts) > 500


def begins_with_a_clause(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    found = CLAUSE.match(ast.get_docstring(function) or "")
    is_property = any(ast.unparse(decorator).endswith("property") for decorator in function.decorator_list)
    return found is not None and found[0] != ("Whether" if is_property else "Return whether")


def test_no_docstring_of_a_function_begins_with_a_clause() -> None:
    functions = [
        (path.relative_to(SOURCE), node)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(functions) > 1000
    assert [f"{path}:{node.lineno}: {node.name}" for path, node in functions if begins_with_a_clause(node)] == []
