"""A medium that is read-only, and a disk without inodes: each command says so in a line, or does without writing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collator.cli.exits import Exit
from tests.acceptance.programs import assert_told, run
from tests.harness.disk import remounted, tmpfs
from tests.unit.test_check import fill, opened

pytestmark = pytest.mark.faults

SERVE = ("serve", "--port", "0", "--webhook", "none", "--data-dir")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A disk with a store that was stopped, and a copy of what a killed one leaves."""
    with tmpfs(tmp_path / "disk", inodes=64) as disk:
        asyncio.run(_fill(disk))
        yield disk


async def _fill(disk: Path) -> None:
    ledger = await opened(disk / "stopped")
    await fill(ledger)
    shutil.copytree(disk / "stopped", disk / "killed")
    await ledger.aclose()


@pytest.mark.parametrize("name", ["stopped", "killed"])
def test_a_store_on_a_read_only_medium_is_checked_and_copied(store: Path, tmp_path: Path, name: str) -> None:
    with remounted(store, "ro"):
        checked = run("check", "--data-dir", str(store / name), cwd=tmp_path)
        copied = run("backup", "copy", "--data-dir", str(store / name), cwd=tmp_path)
        served = run(*SERVE, str(store / name), cwd=tmp_path)
        into = run("backup", str(store / "copy"), "--data-dir", str(store / name), cwd=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert (copied.returncode, copied.stderr) == (0, "")
    for told in (served, into):
        assert_told(told, Exit.CONFIG, "Read-only file system; mount its disk writable")


def test_a_disk_without_inodes_is_told(store: Path, tmp_path: Path) -> None:
    with _no_inodes(store):
        assert run("check", "--data-dir", str(store / "stopped"), cwd=tmp_path).returncode == 0
        assert run("backup", "copy", "--data-dir", str(store / "stopped"), cwd=tmp_path).returncode == 0
        for command in (
            [*SERVE, str(store / "stopped")],
            [*SERVE, str(store / "new")],
            ["receive", "--dir", str(store)],
        ):
            assert_told(run(*command, cwd=tmp_path), Exit.UNREACHABLE, "no free inodes")


@contextmanager
def _no_inodes(disk: Path) -> Iterator[None]:
    made: list[Path] = []
    try:
        while True:
            path = disk / f"file{len(made)}"
            path.touch()
            made.append(path)
    except OSError:
        yield
    for path in made:
        path.unlink()
