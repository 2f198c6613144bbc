"""`collator secret`: which file it reads and changes, and what it prints for a person and for a program (R21)."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import pytest

from collator.cli.exits import Exit
from collator.cli.main import run
from collator.signing import parse_secrets

MINE, THEIRS = (f"whsec_{base64.b64encode(bytes(range(n, n + 32))).decode()}" for n in (1, 2))


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "collator-data").mkdir()
    for name, text in (("collator-data/webhook.secret", MINE), ("crm.secret", f"{THEIRS}\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "collator.toml").write_text(
        '[endpoints.crm]\nurl = "http://127.0.0.1:1"\nsecret_file = "crm.secret"\n'
        '[endpoints.shares]\nurl = "http://127.0.0.1:2"\n'
    )
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    assert run(["secret", *words]) == Exit.OK
    return capsys.readouterr()


def test_off_a_terminal_there_is_the_secret_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "show") == (MINE, "")
    made = said(capsys, "new")
    assert made[1] == ""
    assert len(parse_secrets(made[0])) == 1
    assert made[0] == made[0].strip()


def test_on_a_terminal_there_is_a_warning(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    warning = said(capsys, "show")[1]
    assert screen.getvalue() == f"{MINE}\n"
    assert "can sign webhooks in the name of the service" in warning


@pytest.mark.parametrize(("endpoint", "expected"), [("default", MINE), ("crm", THEIRS), ("shares", MINE)])
def test_the_secret_of_an_endpoint_is_that_which_signs_its_webhooks(
    capsys: pytest.CaptureFixture[str], endpoint: str, expected: str
) -> None:
    assert said(capsys, "show", "--endpoint", endpoint)[0] == expected


def test_a_rotation_prints_the_new_secret_and_leaves_both(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    new, told = said(capsys, "rotate", "--endpoint", "crm")
    assert (home / "crm.secret").read_text() == f"{new}\n{THEIRS}"
    assert told == "collator: crm.secret: both sign now; when all receivers have the new one: --finish\n"
    assert said(capsys, "show", "--endpoint", "crm", "--all")[0] == f"{new}\n{THEIRS}"
    assert said(capsys, "show", "--endpoint", "crm")[0] == new
    assert run(["secret", "rotate", "--endpoint", "crm"]) == Exit.CONFIG
    assert said(capsys, "rotate", "--finish", "--endpoint", "crm")[0].startswith("one secret signs now")
    assert (home / "crm.secret").read_text() == new
    assert (home / "collator-data/webhook.secret").read_text() == MINE


def test_a_file_that_others_may_read_is_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, home: Path
) -> None:
    (home / "crm.secret").chmod(0o644)
    assert said(capsys, "show", "--endpoint", "crm")[0] == THEIRS
    assert "chmod go-rwx" in caplog.text
