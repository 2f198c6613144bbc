"""The version: written in the package, and the same wherever a page or the changelog names it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collator import __version__

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r'(?:\bcollator/|"version": ")(\d+\.\d+\.\d+)\b')


@pytest.mark.parametrize("page", ["docs/api.md", "docs/endpoints.md"])
def test_examples_of_the_pages_are_of_this_version(page: str) -> None:
    assert {*NAMED.findall((ROOT / page).read_text("utf-8"))} == {__version__}


def test_no_other_page_names_another_version() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        assert {*NAMED.findall(page.read_text("utf-8"))} <= {__version__}, page.name


def test_the_changelog_tells_of_this_version_first() -> None:
    sections = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert next(one for one in sections if one != "Unreleased") == __version__


def test_the_package_alone_says_the_version() -> None:
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert not re.search(r"^version =", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
