"""docs/api.md says what the service does: its examples are run as they stand, and its tables are those of the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from collator.settings import default
from collator.web.problems import ProblemType
from collator.web.routes import ROUTES
from tests.acceptance.programs import PATIENCE, serving
from tests.acceptance.test_documents import ROOT, SERVICE, blocks
from tests.requirements import need
from tests.wait import until_sync

PAGE = ROOT / "docs" / "api.md"
VARIES = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "a moment"),
    (r"msg_[a-z2-7]{52}", "an id"),
    (r'"name": ?"[^"]+:\d+"', '"name": "a node"'),
)


def values(text: str) -> list[object]:
    """The JSON values of *text*, one after the other, or its lines, without what differs from run to run."""
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text)
    if text.startswith("retry: "):
        return [*text.splitlines()]
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def asked(command: str) -> list[object]:
    done = subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl -sS ")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return values(done.stdout)


def test_every_example_is_answered_as_the_page_says(tmp_path: Path) -> None:
    need(shutil.which("curl"), "curl")
    found = blocks(PAGE)
    examples = [
        (one, after) for one, after in pairwise(found) if one.language == "sh" and after.language in {"json", "text"}
    ]
    assert len(examples) == sum(block.language == "sh" for block in found) > 10
    with serving(tmp_path) as (_, url):
        for command, answer in examples:
            text = command.text.replace(f"http://{SERVICE}", url)
            if "-X" in text or "-d" in text:
                assert asked(text) == values(answer.text), f"line {command.line}"
            else:  # what was given just now may not be processed yet
                until_sync(lambda text=text, answer=answer: asked(text) == values(answer.text), PATIENCE)  # type: ignore[misc]


def rows(heading: str) -> Iterator[list[str]]:
    """The rows of the table under *heading*, without its head."""
    (section,) = re.findall(
        rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    for line in lines[1:]:
        yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def test_the_page_says_of_every_route_who_may_ask() -> None:
    table = {row[0]: row[1] for row in rows("Tokens")}
    assert table == {f"{route.method} {route.path}": str(route.role or "none") for route in ROUTES}


def test_the_page_has_every_problem() -> None:
    assert sorted((int(status), code) for status, code, _ in rows("Problems")) == sorted(
        (kind.status, kind.code) for kind in ProblemType
    )


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, value, _ in rows("Limits")])
def test_the_page_has_the_defaults_of_the_limits(name: str, value: str) -> None:
    assert default(name) == value
