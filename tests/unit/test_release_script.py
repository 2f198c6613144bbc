"""What makes a release: when it refuses to, and the README as a package index shows it."""

from __future__ import annotations

import re
import runpy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
VERSION = "1.2.3"
CHANGED = "# Changelog\n\n## Unreleased\n\n## 1.2.3 (2026-11-30)\n\n### More\n\n- Something.\n"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / ".ci" / "release"))


@pytest.fixture
def checked(script: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Ask for the version of a repository with a changelog; its own tests are said to pass."""
    names = script["checked_version"].__globals__
    before = {name: names[name] for name in ("ROOT", "run")}
    names.update(ROOT=tmp_path, run=lambda *_: None)
    package = tmp_path / "src" / "collator" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text(f'__version__ = "{VERSION}"\n')

    def check(changelog: str, stray: str = "") -> str:
        (tmp_path / "CHANGELOG.md").write_text(changelog)
        for command in (["init"], ["add", "--all"], [*AUTHOR, "commit", "--message", "All"]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
        if stray:
            (tmp_path / stray).write_text("")
        return str(script["checked_version"]())

    yield check
    names.update(before)


AUTHOR = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")


def test_it_takes_the_version_of_the_package(checked: Callable[..., str]) -> None:
    assert checked(CHANGED) == VERSION


@pytest.mark.parametrize(
    ("changelog", "stray", "reason"),
    [
        (CHANGED, "note.txt", "the working tree differs from its commit"),
        (CHANGED.replace("(2026-11-30)", "(unreleased)"), "", r"no date for 1\.2\.3"),
        (CHANGED.replace("1.2.3", "1.2.2"), "", r"no date for 1\.2\.3: its top section is '1\.2\.2"),
        (CHANGED.replace("## 1.2.3", "- New.\n\n## 1.2.3"), "", r"under Unreleased: .*\n- New\."),
        (CHANGED.replace("## 1.2.3", "### Faster\n\n- New.\n\n## 1.2.3"), "", r"under Unreleased: .*\n### Faster"),
    ],
)
def test_it_refuses(checked: Callable[..., str], changelog: str, stray: str, reason: str) -> None:
    with pytest.raises(SystemExit, match=f"^no release: .*{reason}"):
        checked(changelog, stray)


def test_on_an_index_the_readme_has_no_link_that_leads_nowhere(script: dict[str, Any]) -> None:
    """And all of its words, and those links that lead somewhere."""
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = script["readme_alone"](readme, VERSION, "")
    addresses = [address for address in re.findall(r"\]\(([^)\s]+)\)", readme) if address.startswith("https://")]
    assert re.findall(r"\]\(([^)\s]+)\)", shown) == addresses != []
    assert "*Senders give packets to Collator in any order." in shown
    assert "\nTutorial · receivers in FastAPI" in shown
    assert shown.startswith("# Collator\n\n*The pages that are named here are in the source distribution")


def test_with_an_address_its_links_lead_to_this_version_there(script: dict[str, Any]) -> None:
    text = "# A\n\n![A flow\nof packets.](docs/flow.svg) [rules](docs/rules.md#r1) [Go](https://example.org/) [x](#a)\n"
    assert script["readme_alone"](text, VERSION, "https://example.org/a/b") == (
        "# A\n\n![A flow\nof packets.](https://example.org/a/b/raw/v1.2.3/docs/flow.svg) "
        "[rules](https://example.org/a/b/blob/v1.2.3/docs/rules.md#r1) [Go](https://example.org/) [x](#a)\n"
    )
