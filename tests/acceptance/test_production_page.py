"""The commands of docs/production.md that change files, as they stand: in other directories, and without systemd."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from collator.ledgers.sqlite.backup import back_up
from collator.signing import generate_secret, read_secret_file
from collator.tokens import Role, parse_tokens
from tests.acceptance.programs import PATIENCE, environment, files
from tests.acceptance.test_documents import ROOT, blocks
from tests.conformance.steps import offer, packet
from tests.unit.test_check import damage, opened

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="the page is for systemd"),
]
BLOCKS = [block.text for block in blocks(ROOT / "docs" / "production.md")]
PLACES = ("/var/lib/private", "/var/lib/collator-backups", "/etc/collator", "/opt/collator")
STAND_INS = {
    "collator": f'exec {sys.executable} -m collator "$@"',
    "systemctl": 'echo "systemctl $*" >>called',
    "curl": 'echo "curl $*" >>called',
}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A directory for the places of the page, with programs in the place of those that would change this machine."""
    (tmp_path / "bin").mkdir()
    for name, text in STAND_INS.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    (tmp_path / "called").touch()
    return tmp_path


def give(machine: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run the one block of the page that has *command*."""
    (block,) = [text for text in BLOCKS if command in text]
    for place in PLACES:
        block = block.replace(place, f"{machine}{place}")
    env = environment(PATH=f"{machine / 'bin'}:{os.environ['PATH']}")
    return subprocess.run(
        ["sh", "-c", block],
        cwd=machine,
        env=env,
        umask=0o022,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


async def store(data: Path, *resources: str) -> None:
    ledger = await opened(data)
    for name in resources:
        await offer(ledger, packet(name))
    await ledger.aclose()


async def held(data: Path) -> set[str]:
    ledger = await opened(data)
    found = {one.resource_id for one in await ledger.resources()}
    await ledger.aclose()
    return found


@pytest.fixture
async def two_copies(machine: Path) -> Path:
    """Its ``/var/lib``: a directory, an old copy of it with less, and a newer one."""
    lib = machine / "var" / "lib"
    (lib / "private").mkdir(parents=True)
    (lib / "collator-backups").mkdir()
    data = lib / "private" / "collator"
    for night, name in enumerate(("monday", "tuesday"), 23):
        await store(data, name)
        secret = data / "webhook.secret"
        if not secret.exists():
            secret.write_text(generate_secret())
            secret.chmod(0o600)
        back_up(data, lib / "collator-backups" / f"2026-11-{night}T030000")
    await store(data, "later")
    return lib


async def test_the_restore_puts_the_newest_copy_in_place_and_keeps_the_directory(
    machine: Path, two_copies: Path
) -> None:
    done = give(machine, "collator.before-")
    assert done.returncode == 0, done.stderr
    aside, data = sorted((two_copies / "private").iterdir(), key=lambda path: len(path.name), reverse=True)
    assert (aside.name[:16], data.name) == ("collator.before-", "collator")
    assert await held(data) == {"monday", "tuesday"}
    assert await held(aside) == {"monday", "tuesday", "later"}
    assert (data / "webhook.secret").read_text() == (aside / "webhook.secret").read_text()
    assert (machine / "called").read_text().splitlines() == [
        "systemctl stop collator.service",
        "systemctl start collator.service",
        "curl -sSf --retry 30 --retry-delay 1 --retry-connrefused http://127.0.0.1:8000/readyz",
    ]
    assert len([*(two_copies / "collator-backups").iterdir()]) == 2


async def test_the_restore_of_a_damaged_copy_changes_nothing(machine: Path, two_copies: Path) -> None:
    damage(two_copies / "collator-backups" / "2026-11-24T030000", "update packet set crc = crc + 1")
    assert give(machine, "collator.before-").returncode != 0
    assert files(two_copies / "private") == ["collator"]
    assert (machine / "called").read_text() == ""
    assert await held(two_copies / "private" / "collator") == {"monday", "tuesday", "later"}


async def test_without_a_copy_the_restore_changes_nothing(machine: Path, two_copies: Path) -> None:
    shutil.rmtree(two_copies / "collator-backups")
    assert give(machine, "collator.before-").returncode != 0
    assert files(two_copies / "private") == ["collator"]
    assert (machine / "called").read_text() == ""


async def test_the_copies_are_looked_at_with_several_of_them(machine: Path, two_copies: Path) -> None:
    done = give(machine, "ls /var/lib/collator-backups\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2026-11-24T030000" in done.stdout


def test_the_tokens_are_made_for_their_owner_alone(machine: Path) -> None:
    done = give(machine, "collator.toml <<'END'")
    assert (done.returncode, done.stderr) == (0, "")
    made = [machine / "desk.token", machine / "operator.token", machine / "etc" / "collator" / "tokens"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o600] * 3
    known = parse_tokens(made[2].read_text())
    desk, operator = (known.find(path.read_bytes().strip()) for path in made[:2])
    assert desk is not None
    assert operator is not None
    assert (desk.may(Role.ADMIN), operator.may(Role.ADMIN)) == (False, True)
    assert stat.S_IMODE((machine / "opt" / "collator" / "processors").stat().st_mode) == 0o755


async def test_the_secret_is_changed_in_two_steps(machine: Path, two_copies: Path) -> None:
    secret = two_copies / "private" / "collator" / "webhook.secret"
    (before,) = read_secret_file(secret)
    assert give(machine, ">new.secret").returncode == 0
    new = (machine / "new.secret").read_text()
    assert [*read_secret_file(secret)] == [new, before]
    assert stat.S_IMODE((machine / "new.secret").stat().st_mode) == 0o600
    assert give(machine, "rotate --finish").returncode == 0
    assert [*read_secret_file(secret)] == [new]
