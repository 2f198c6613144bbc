"""The site of these pages, built by `make docs`: the pages stay plain Markdown, and everything else is here.

Sources are the pages of the whole repository, so that links between them lead where they lead in a checkout; a link to
any other file becomes a download. What a page is missing (a link, an anchor, a place in the index) is an error.
"""

from __future__ import annotations

import re
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "Collator"
root_doc = "docs/README"
source_suffix = {".md": "markdown"}
include_patterns = ["*.md", "docs/*.md", "docs/decisions/*.md", "examples/cluster/README.md"]
extensions = ["myst_parser"]
myst_heading_anchors = 4  # as hosts of repositories give them
nitpicky = True

html_theme = "furo"
html_title = "Collator"
html_copy_source = False  # each page is in the repository
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}  # there is no address to edit them at

_PLAIN = ("haproxy", "headers", "http", "keys", "output", "try")
"""What blocks of code are marked with that has no lexer, or none that takes it: `http` blocks hold two messages."""
_SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_PAGE = re.compile(r"^- \[[^]]+\]\(([^)#:]+)\.md\)", re.MULTILINE)


def _with_contents(_: Sphinx, page: str, source: list[str]) -> None:
    """Make the menu of the lists of an index page: a part a section, and the first link of each item."""
    if Path(page).name == "README" and page.startswith("docs/"):
        for title, text in _SECTION.findall(source[0]):
            entries = "\n".join(_PAGE.findall(text))
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{entries}\n```\n"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    for language in _PLAIN:
        app.add_lexer(language, TextLexer)
    app.connect("source-read", _with_contents)
