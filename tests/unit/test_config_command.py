"""`collator config`: the values that hold, where they come from, and no secret."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from collator.cli.main import run
from collator.settings import OPTIONS, EndpointSettings, Scope, Settings, hidden, load, options_of, variable


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in OPTIONS:
        monkeypatch.delenv(variable(name), raising=False)


def test_each_value_is_told_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "collator.toml").write_text(
        'retention = "2h"\nport = 1\n[endpoints.archive]\nurl = "http://a.example/"\n'
    )
    monkeypatch.setenv("COLLATOR_PORT", "2")
    monkeypatch.setenv("COLLATOR_MAX_OPEN", "5")
    assert run(["config", "--port", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["settings"]
    assert told["port"] == {"value": "3", "source": "--port"}
    assert told["max_open"] == {"value": "5", "source": "COLLATOR_MAX_OPEN"}
    assert told["retention"] == {"value": "2h", "source": "collator.toml: retention"}
    assert told["idle_timeout"] == {"value": "1h", "source": "default"}
    assert told["webhook"] == {"value": None, "source": "default"}
    assert told["endpoints.archive.timeout"] == {"value": "15s", "source": "delivery_timeout"}
    assert {name for name, option in OPTIONS.items() if option.scope is not Scope.TEST} <= {*told}


def test_a_switch_that_is_on_has_a_flag_that_turns_it_off(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--no-ui", "--ui-payloads", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["settings"]
    assert told["ui"] == {"value": "no", "source": "--no-ui"}
    assert told["ui_payloads"] == {"value": "yes", "source": "--ui-payloads"}


def test_a_person_sees_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--port", "3"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["port", "3", "--port"] in lines
    assert ["webhook", "-", "default"] in lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:secret@a.example:1/p?token=secret#secret", "http://***@a.example:1/p?***"),
        ("https://a.example/p", "https://a.example/p"),
        ("postgresql://me@one,[::1]:2/calls?sslkey=secret", "postgresql://***@one,[::1]:2/calls?***"),
        ("words:lengths", "words:lengths"),
        ('{"u": "http://a.example/?b=c#d"}', '{"u": "http://a.example/?b=c#d"}'),
    ],
)
def test_what_an_address_has_of_secrets_is_hidden(text: str, shown: str) -> None:
    assert hidden(text) == shown


def test_secrets_are_named_by_their_files_and_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret").write_text("whsec_NEVERSHOWN")
    line = [
        "config",
        "--webhook-secret-file",
        "secret",
        "--token-file",
        "secret",
        "--processor-headers-file",
        "secret",
        "--webhook",
        "http://x:hush@a.example/",
    ]
    assert run(line) == 0
    out = capsys.readouterr().out
    assert ("NEVERSHOWN" in out, "hush" in out, "secret" in out) == (False, False, True)


def test_a_wrong_value_is_told_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--port", "http"]) == 3
    assert "--port: 'http' is not a whole number" in capsys.readouterr().err


def test_a_sample_has_every_setting_and_changes_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--sample"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "as-it-is.toml").write_text(text)
    assert load(environ={}, config=str(tmp_path / "as-it-is.toml")) == Settings()
    plain, _, endpoint = text.partition("#[endpoints.NAME]\n")
    keys = {*re.findall(r"^#(\w+) = ", plain, re.MULTILINE)}
    assert keys == {name for name, option in OPTIONS.items() if option.scope is not Scope.TEST}
    assert {*re.findall(r"^#(\w+) = ", endpoint, re.MULTILINE)} == {*options_of(EndpointSettings)}


def test_each_default_of_a_sample_is_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--sample"]) == 0
    plain = capsys.readouterr().out.partition("#[endpoints.NAME]\n")[0]
    changed = re.sub(r"^#(\w+ = (?!\"\"  #).*)$", r"\1", plain, flags=re.MULTILINE)
    assert len(re.findall(r"^\w+ = ", changed, re.MULTILINE)) > 40
    (tmp_path / "all.toml").write_text(changed)
    assert load(environ={}, config=str(tmp_path / "all.toml")) == Settings()
