"""Directories that cannot be made, read or written: told in a line that says what to do, by every command."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import apsw
import pytest

from collator.cli.exits import Exit
from tests.acceptance.programs import assert_told, run
from tests.requirements import need
from tests.unit.test_check import fill, opened

SERVE = ("serve", "--port", "0", "--webhook")
BARE = ("--bounding-set=-dac_override,-dac_read_search",)


@pytest.fixture
def as_others() -> list[str]:
    """What makes a command mind permissions, where root runs the tests, which minds none."""
    if os.geteuid() != 0:
        return []
    need(sys.platform == "linux" and shutil.which("setpriv"), "setpriv, to be root without its privileges")
    return ["setpriv", *BARE]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A database that was left by a clean stop."""

    async def make() -> None:
        ledger = await opened(tmp_path / "data")
        await fill(ledger)
        await ledger.aclose()

    asyncio.run(make())
    return tmp_path / "data"


@pytest.mark.parametrize("where", ["file", "file/inside", "/dev/null/inside"])
@pytest.mark.parametrize(
    "command",
    [
        [*SERVE, "none", "--data-dir"],
        [*SERVE, "http://127.0.0.1:1/", "--data-dir"],
        ["receive", "--port", "0", "--dir"],
        ["demo", "--dir"],
        ["chaos", "--rounds", "1", "--dir"],
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
        ["chaos", "--rounds", "1", "--dir", "shut/inside"],
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


@pytest.mark.parametrize("command", ["demo --dir full", "chaos --dir full", "backup full --data-dir data"])
def test_a_directory_that_is_there_already_is_told_alike(store: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "full" / "inside").mkdir(parents=True)
    assert_told(run(*command.split(), cwd=tmp_path), Exit.CONFIG, "full", "a new")


# Checking what may be read, and no more.


def left_by_a_killed_process(store: Path, *outcomes: str) -> None:
    """Put a log of one more change beside the database in *store*, or what of it *outcomes* name."""
    connection = apsw.Connection(str(store / "collator.db"))
    connection.execute("update packet set crc = crc + 1 where k = (select min(k) from packet)")
    kept = {ending: (store / f"collator.db{ending}").read_bytes() for ending in ("", *outcomes)}
    connection.close()
    for ending, content in kept.items():
        (store / f"collator.db{ending}").write_bytes(content)


def test_a_sound_database_in_a_directory_that_cannot_be_written_is_sound(
    store: Path, tmp_path: Path, as_others: list[str]
) -> None:
    store.chmod(0o555)
    done = run("check", "--data-dir", "data", cwd=tmp_path, prefix=as_others)
    assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (Exit.OK, "", "sound")
    (store / "collator.db").write_bytes(b"no database")
    assert run("check", "--data-dir", "data", cwd=tmp_path, prefix=as_others).returncode == Exit.STORE


def test_a_log_in_a_directory_that_cannot_be_written_is_read_where_its_index_was_left(
    store: Path, tmp_path: Path, as_others: list[str]
) -> None:
    left_by_a_killed_process(store, "-wal", "-shm")
    store.chmod(0o555)
    done = run("check", "--data-dir", "data", cwd=tmp_path, prefix=as_others)
    assert (done.returncode, "a payload does not match its checksum" in done.stdout) == (Exit.STORE, True)


def test_what_is_wanted_for_a_log_is_told(store: Path, tmp_path: Path, as_others: list[str]) -> None:
    left_by_a_killed_process(store, "-wal")
    store.chmod(0o555)
    done = run("check", "--data-dir", "data", cwd=tmp_path, prefix=as_others)
    assert_told(done, Exit.CONFIG, "collator.db has a write-ahead log", "must be writable")


@pytest.mark.parametrize("name", ["collator.db", "collator.db-wal", "lock", "."])
def test_what_may_not_be_read_is_told(store: Path, tmp_path: Path, as_others: list[str], name: str) -> None:
    left_by_a_killed_process(store, "-wal", "-shm")
    (store / name).chmod(0o000)
    done = run("check", "--data-dir", "data", cwd=tmp_path, prefix=as_others)
    (store / name).chmod(0o755)
    assert_told(done, Exit.CONFIG, name.rstrip("."), "cannot be read: permission denied")


# Copies.


@pytest.mark.parametrize("where", ["file", "file/inside", "/dev/null/inside"])
def test_a_copy_that_has_no_place_is_told(store: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    assert_told(run("backup", where, "--data-dir", "data", cwd=tmp_path), Exit.CONFIG, where)


@pytest.mark.parametrize("where", ["shut", "shut/inside"])
def test_a_copy_to_where_nothing_can_be_written_is_told(
    store: Path, tmp_path: Path, as_others: list[str], where: str
) -> None:
    (tmp_path / "shut").mkdir(mode=0o555)
    done = run("backup", where, "--data-dir", "data", cwd=tmp_path, prefix=as_others)
    assert_told(done, Exit.CONFIG, where, "Permission denied")


@pytest.mark.parametrize("name", ["collator.db", "webhook.secret", "."])
def test_a_copy_of_what_may_not_be_read_is_told(store: Path, tmp_path: Path, as_others: list[str], name: str) -> None:
    (store / "webhook.secret").touch()
    (store / name).chmod(0o000)
    done = run("backup", "copy", "--data-dir", "data", cwd=tmp_path, prefix=as_others)
    (store / name).chmod(0o755)
    assert_told(done, Exit.CONFIG, "data", "run this as")
    assert not (tmp_path / "copy").exists() or list((tmp_path / "copy").iterdir()) == []
