"""The recipes of docs/recipes.md, taken apart."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text("utf-8")
RECIPES = {text.partition("\n")[0]: text for text in PAGE.split("\n## ")[1:]}


def block(recipe: str, language: str) -> str:
    """The one block in *language*; empty where there is none."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", recipe, flags=re.MULTILINE | re.DOTALL)
    assert len(found) <= 1
    return "".join(found)
