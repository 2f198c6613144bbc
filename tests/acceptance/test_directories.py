"""Directories that cannot be made, read or written: told in a line that says what to do, by every command."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from collator.cli.exits import Exit
from tests.acceptance.programs import assert_told, run
from tests.needs import need

SERVE = ("serve", "--port", "0", "--webhook")
BARE = ("--bounding-set=-dac_override,-dac_read_search",)


@pytest.fixture
def as_others() -> list[str]:
    """What makes a command mind permissions, where root runs the tests, which minds none."""
    if os.geteuid() != 0:
        return []
    need(sys.platform == "linux" and shutil.which("setpriv"), "setpriv, to be root without its privileges")
    return ["setpriv", *BARE]


@pytest.mark.parametrize("where", ["file", "file/inside", "/dev/null/inside"])
@pytest.mark.parametrize(
    "command",
    [
        [*SERVE, "none", "--data-dir"],
        [*SERVE, "http://127.0.0.1:1/", "--data-dir"],
        ["receive", "--port", "0", "--dir"],
        ["demo", "--dir"],
        ["torture", "--rounds", "1", "--dir"],
        ["bench", "--only", "yardsticks", "--dir"],
    ],
    ids=" ".join,
)
def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path, command: list[str], where: str) -> None:
    (tmp_path / "file").touch()
    assert_told(run(*command, where, cwd=tmp_path), Exit.CONFIG, where, command[-1])


@pytest.mark.parametrize(
    "command",
    [
        [*SERVE, "none", "--data-dir", "shut"],
        [*SERVE, "none", "--data-dir", "shut/inside"],
        [*SERVE, "http://127.0.0.1:1/", "--data-dir", "shut"],
        ["receive", "--port", "0", "--dir", "shut"],
        ["demo", "--dir", "shut/inside"],
        ["torture", "--rounds", "1", "--dir", "shut/inside"],
        ["bench", "--only", "yardsticks", "--dir", "shut"],
    ],
    ids=" ".join,
)
def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path, command: list[str], as_others: list[str]) -> None:
    (tmp_path / "shut").mkdir(mode=0o555)
    assert_told(run(*command, cwd=tmp_path, prefix=as_others), Exit.CONFIG, command[-1], "Permission denied")


def test_a_database_that_cannot_be_written_is_told(tmp_path: Path, as_others: list[str]) -> None:
    (tmp_path / "data").mkdir()
    for name in ("lock", "collator.db"):
        (tmp_path / "data" / name).touch(mode=0o644)
    (tmp_path / "data").chmod(0o555)
    told = run(*SERVE, "none", "--data-dir", "data", cwd=tmp_path, prefix=as_others)
    assert_told(told, Exit.CONFIG, "data cannot be written", "--data-dir")
