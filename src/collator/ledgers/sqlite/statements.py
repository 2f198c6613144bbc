"""The named statements of the SQL files.

A statement for many rows takes them as one JSON text, `?1`, and reads column n of each by `value->>n`: one crossing
into SQLite for all. A single row needs no JSON, which costs as much as storing it. So such a statement has a second
form, in which the columns of one row are parameters. It is made from the first, so that both do the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from collator.ledgers.named_statements import named_statements

_ROWS = re.compile(r"\s+from jsonb_each\(\?1\)(?: j)? where\b")


def load_statements(file: str = "statements.sql") -> dict[str, str]:
    """The statements of *file* by name."""
    return named_statements("collator.ledgers.sqlite", file)


def bound_forms(statements: Mapping[str, str]) -> dict[str, str]:
    """The form for one row of each of *statements* that has one, by name: its columns follow the other parameters."""
    return {name: _bound_form(text) for name, text in statements.items() if _ROWS.search(text) and "value->>" in text}


def _bound_form(statement: str) -> str:
    others = max(map(int, re.findall(r"\?(\d+)", statement))) - 1
    statement = re.sub(r"\?(\d+)", lambda found: f"?{int(found[1]) - 1}", _ROWS.sub(" where", statement))
    return re.sub(r"(?:j\.)?value->>(\d+)", lambda found: f"?{int(found[1]) + 1 + others}", statement)
