"""The manual says what the commands are."""

from __future__ import annotations

import pytest

from collator.cli.exits import Exit
from collator.cli.main import listed
from collator.cli.manual import manual, verbs


@pytest.mark.parametrize("name", [path for path, _ in verbs(listed())])
def test_the_manual_has_every_command_with_its_examples(name: str) -> None:
    section = manual().partition(f"# {name}\n")[2].partition("\n##")[0]
    assert f"`collator {name}" in section
    assert f"\ncollator {name}" in section.partition("\n```\n")[2]


@pytest.mark.parametrize("code", Exit)
def test_the_manual_has_every_exit_code(code: Exit) -> None:
    assert f"| {code.value} | {code.name.lower()} | {code.meaning} |" in manual()
