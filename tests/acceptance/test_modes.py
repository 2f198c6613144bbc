"""Every file and directory that a command makes is its owner's alone, whatever the umask says."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from collator.cli.main import listed
from collator.cli.manual import verbs
from collator.signing import ensure_secret_file
from tests.acceptance.programs import receiving, run, serving
from tests.requirements import need
from tests.servers import postgresql
from tests.wait import until_sync

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")

OPEN = ("sh", "-c", 'umask 0; exec "$@"', "sh")
"""Runs a program under the umask that forbids nothing."""
PACKETS = b'{"resource_id":"call-17","index":0,"payload":"hello","last":true}\n'


def _serve(home: Path) -> None:
    with serving(home, "--data-dir", "deep/data") as (program, url):
        assert run("send", "--no-wait", "--url", url, "-", cwd=home, stdin=PACKETS).returncode == 0
        _check(home)  # the log beside the database is there only while it runs
        program.stop()


def _receive(home: Path) -> None:
    with receiving(home) as (_, hook), serving(home, webhook=hook) as (_, url):
        assert run("send", "--url", url, "-", cwd=home, stdin=PACKETS).returncode == 0
        until_sync((home / "received" / "call-17.txt").exists)


def _backup(home: Path) -> None:
    with serving(home, webhook="http://127.0.0.1:1/"):
        assert run("backup", "copy", cwd=home, prefix=OPEN).returncode == 0
    assert (home / "copy" / "webhook.secret").exists()


def _token(home: Path) -> None:
    assert run("token", "desk", "--add-to", "tokens", cwd=home, prefix=OPEN).returncode == 0


def _demo(home: Path) -> None:
    assert run("demo", "--resources", "2", "--packets", "1-3", "--dir", "demo", cwd=home, prefix=OPEN).returncode == 0


def _chaos(home: Path) -> None:
    done = run("chaos", "--rounds", "1", "--seed", "1", "--dir", "chaos", cwd=home, prefix=OPEN)
    assert done.returncode == 0, done.stderr


def _move(home: Path) -> None:
    missing = postgresql.missing()
    need(missing is None, str(missing))
    with serving(home, webhook="http://127.0.0.1:1/") as (_, url):
        assert run("send", "--no-wait", "--url", url, "-", cwd=home, stdin=PACKETS).returncode == 0
    database = asyncio.run(_make_database())
    flags = ("--ledger", database, "--ledger-durability", "relaxed")
    done = run("move", *flags, cwd=home, prefix=OPEN)
    assert done.returncode == 0, done.stderr
    assert (home / "collator-data" / "moved").exists()


def _rotation(home: Path) -> None:
    file = home / "webhook.secret"
    ensure_secret_file(file)
    done = run("secret", "rotate", "--webhook-secret-file", str(file), cwd=home, prefix=OPEN)
    assert done.returncode == 0, done.stderr


async def _make_database() -> str:
    """The address of a new database."""
    import asyncpg

    url = postgresql.server_url()
    connection = await asyncpg.connect(f"{url}/postgres")
    await connection.execute("create database modes")
    await connection.close()
    return f"{url}/modes"


MAKING: dict[str, Callable[[Path], None]] = {
    "serve": _serve,
    "receive": _receive,
    "backup": _backup,
    "token": _token,
    "secret rotate": _rotation,
    "demo": _demo,
    "chaos": _chaos,
    "move": _move,
}
NOTHING_LEFT = {"check", "config", "secret new", "secret show", "try", "worker"}
"""Commands that make nothing, or only within a directory of `tempfile`, which goes."""


def test_every_command_that_may_make_a_file_is_looked_at() -> None:
    typed = {path: command for path, command in verbs(listed()) if not isinstance(command, click.Group)}
    asking = {path for path, command in typed.items() if any("--url" in param.opts for param in command.params)}
    assert {*typed} == {*MAKING, *NOTHING_LEFT, *asking}


@pytest.mark.parametrize("name", MAKING)
def test_under_a_umask_of_nothing_all_that_is_made_is_private(tmp_path: Path, name: str) -> None:
    before = os.umask(0)
    try:
        MAKING[name](tmp_path)
    finally:
        os.umask(before)
    _check(tmp_path)
    assert sum(1 for _ in _made(tmp_path)) >= 1


def _made(home: Path) -> list[Path]:
    """What the command has made in *home*, which holds logs of the test too."""
    return [path for path in home.rglob("*") if path.parent != home or path.suffix != ".log"]


def _check(home: Path) -> None:
    modes = {path.relative_to(home): stat.S_IMODE(path.stat().st_mode) for path in _made(home) if path.exists()}
    parents = {Path("deep"): 0o755}
    wrong = {
        str(path): oct(mode)
        for path, mode in modes.items()
        if mode != parents.get(path, 0o700 if (home / path).is_dir() else 0o600)
    }
    assert not wrong
