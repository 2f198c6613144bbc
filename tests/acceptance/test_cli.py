"""The command line, as real processes: what a person does first, and every mistake that is told in a line or two.

Help is the same in the process of the tests, which has loaded already what takes most of the time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from collator.cli.exits import Exit
from collator.cli.main import cli, listed
from collator.cli.main import run as run_here
from collator.cli.manual import verbs
from tests.acceptance.programs import COMMAND, PATIENCE, assert_told, environment, receiving, run, running, serving

NOUNS = [command for command in listed() if isinstance(command, click.Group)]

# Help.


@pytest.mark.parametrize("name", [path for path, _ in verbs(listed())])
def test_every_command_has_a_help_with_examples(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run_here([*name.split(), "--help"]) == Exit.OK
    told, wrong = capsys.readouterr()
    assert wrong == ""
    assert f"Usage: collator {name}" in told
    assert f"\n    collator {name}" in told.partition("Examples:")[2]


def test_without_a_command_the_commands_are_listed(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert done.returncode == 0
    assert [
        name for name in ("demo", "serve", "send", "receive", "resources") if f"\n  {name} " not in done.stdout
    ] == []


@pytest.mark.parametrize("group", [cli, *NOUNS], ids=lambda group: group.name)
def test_every_command_has_a_line_of_its_own_in_the_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], group: click.Group
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run_here([] if group is cli else [str(group.name), "--help"]) == Exit.OK
    told = capsys.readouterr().out
    listed = told.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    shown = [name for name, command in group.commands.items() if not command.hidden]
    assert [line.split()[0] for line in listed] == sorted(shown)
    assert [line for line in listed if line.endswith(("...", "…"))] == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("collator re", ["receive", "resources"]),
        ("collator deliveries ", ["give-up", "list", "replay", "show"]),
        ("collator deliveries list --st", ["--state"]),
        ("collator sh", []),
    ],
)
def test_a_shell_is_told_what_may_come_next(tmp_path: Path, typed: str, offered: list[str]) -> None:
    asked = {"_COLLATOR_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = run(cwd=tmp_path, env=asked)
    assert done.stdout.split() == [f"plain,{name}" for name in offered]


# Mistakes.


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["srve"], Exit.USAGE, ["'srve'", "Did you mean 'serve'?", "Try: collator --help"]),
        (["resources", "shwo", "r"], Exit.USAGE, ["'shwo'", "Did you mean 'show'?", "Try: collator resources --help"]),
        (["serve", "--prot", "1"], Exit.USAGE, ["'--prot'", "'--port'", "Try: collator serve --help"]),
        (["send"], Exit.USAGE, ["give a FILE", "--resources N", "Try: collator send --help"]),
        (["send", "gone.ndjson"], Exit.USAGE, ["gone.ndjson", "No such file"]),
        (["send", "--resources", "1", "--packets", "5-1"], Exit.USAGE, ["--packets", "the smaller number comes first"]),
        (["send", "-", "--seed", "1"], Exit.USAGE, ["they exclude a FILE"]),
        (["serve"], Exit.CONFIG, ["no webhook", "--webhook URL", "--webhook none"]),
        (["serve", "--port", "http"], Exit.CONFIG, ["--port: 'http' is not a whole number"]),
        (["serve", "--config", "gone.toml"], Exit.CONFIG, ["--config gone.toml: cannot be read"]),
        (["serve", "--webhook", "none", "--host", "10.0.0.1"], Exit.CONFIG, ["--host 10.0.0.1", "--insecure"]),
        (["serve", "--webhook", "none", "--processor", "gone:f"], Exit.CONFIG, ["processor", "gone"]),
        (["serve", "--webhook", "none", "--processor", "json:gone"], Exit.CONFIG, ["processor", "json", "gone"]),
        (["receive", "--secret-file", "gone"], Exit.CONFIG, ["secret file /", "/gone: No such file"]),
        (
            ["resources", "show", "r", "--url", "http://127.0.0.1:1"],
            Exit.UNREACHABLE,
            ["http://127.0.0.1:1: connection refused"],
        ),
    ],
)
def test_a_mistake_is_told_in_a_line_or_two(tmp_path: Path, arguments: list[str], code: Exit, parts: list[str]) -> None:
    assert_told(run(*arguments, cwd=tmp_path), code, *parts)


@pytest.mark.skipif(sys.platform == "win32", reason="arguments are text there")
@pytest.mark.parametrize("arguments", [["show"], ["resources", "--prefix"], ["receive", "--dir"], ["serve"]])
def test_an_argument_that_is_no_text_is_told(tmp_path: Path, arguments: list[str]) -> None:
    done = run(*arguments, os.fsdecode(b"caf\xe9"), cwd=tmp_path, env={"PYTHONUTF8": "1"})
    assert_told(done, Exit.USAGE, r"the argument b'caf\xe9' is not text in UTF-8")


def test_a_misspelt_setting_stops_every_command(tmp_path: Path) -> None:
    told = ["COLLATOR_PROT is not a setting; did you mean COLLATOR_PORT?"]
    assert_told(run("serve", cwd=tmp_path, env={"COLLATOR_PROT": "1"}), Exit.CONFIG, *told)
    (tmp_path / "collator.toml").write_text("data-dir = 'd'")
    assert_told(run("serve", cwd=tmp_path), Exit.CONFIG, "collator.toml: 'data-dir'", "did you mean data_dir?")


def test_a_directory_that_another_service_holds_is_told(tmp_path: Path) -> None:
    with serving(tmp_path):
        done = run("serve", "--webhook", "none", "--port", "0", cwd=tmp_path)
    assert_told(done, Exit.OCCUPIED, "collator-data")


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, url), receiving(tmp_path) as (_, inbox):
        port, other = url.rpartition(":")[2], inbox.strip("/").rpartition(":")[2]
        served = run("serve", "--webhook", "none", "--port", port, "--data-dir", "other", cwd=tmp_path)
        received = run("receive", "--port", other, cwd=tmp_path)
    assert_told(served, Exit.OCCUPIED, f"port {port}", "--port")
    assert_told(received, Exit.OCCUPIED, f"port {other}", "--port")


def test_a_reader_that_goes_away_is_no_defect(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "serve", "--help"], env=environment(), cwd=tmp_path, stdout=-1, stderr=-1
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("line", ["", "--version", "serve --help", "config", "config --json", "receive --port 0"])
def test_output_that_cannot_be_written_is_told(tmp_path: Path, line: str, unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, *line.split()],
            env=environment(PYTHONUNBUFFERED=unbuffered),
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert done.stderr.decode() == "collator: the output cannot be written: No space left on device\n"
    assert done.returncode == Exit.FAILED


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is full")
def test_the_code_is_the_same_where_nobody_hears_why(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, "serve"], env=environment(), cwd=tmp_path, stderr=full, check=False)
    assert done.returncode == Exit.CONFIG


# Serving.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_service_that_is_told_to_stop_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as (service, _):
        assert service.stop(number) == Exit.OK
        assert "event=stopped" in service.output()


@pytest.mark.parametrize(
    ("processor", "shown"),
    [
        ("json:dumps", "json:dumps"),
        ("http://me:hunter2@127.0.0.1:1/p?key=hunter2", "http://***@127.0.0.1:1/p?***"),
    ],
)
def test_a_service_says_what_processes_but_no_secret(tmp_path: Path, processor: str, shown: str) -> None:
    with serving(tmp_path, "--processor", processor) as (service, _):
        assert f" processor={shown} " in service.output()
        assert "hunter2" not in service.output()


def test_settings_of_serve_come_from_the_file_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "collator.toml").write_text('webhook = "none"\nport = 0\ndata_dir = "from-file"\n')
    with running("serve", cwd=tmp_path, env={"COLLATOR_DATA_DIR": "from-environment"}) as service:
        service.says("event=serving")
    assert (tmp_path / "from-environment").is_dir()
    assert not (tmp_path / "from-file").exists()
