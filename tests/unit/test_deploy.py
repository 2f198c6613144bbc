"""The image, the try-out and the unit fit the commands and settings that there are. No container is run."""

from __future__ import annotations

import errno
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from collator.cli.exits import Exit, exit_for
from collator.cli.main import cli
from collator.errors import cannot_listen
from collator.settings import OPTIONS, Settings, load, values, variable
from collator.web.routes import ROUTES
from tests.requirements import need

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text("utf-8")
UNITS = [*(ROOT / "deploy").glob("collator*.*"), *(ROOT / "examples" / "cluster" / "systemd").glob("*.service")]
UNIT, BACKUP = (
    (ROOT / "deploy" / name).read_text("utf-8").replace("\\\n", "")
    for name in ("collator.service", "collator-backup.service")
)


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every command line in them, behind ``collator``, and where it is."""
    yield "Dockerfile", json.loads(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])
    yield from (("compose.yaml", json.loads(line)) for line in re.findall(r"command: (\[.*\])", COMPOSE))
    yield from (("collator.service", line.split()) for line in lines_of(r"ExecStart=\S+/collator (.*)", UNIT))
    yield from (
        ("collator-backup.service", shlex.split(line)) for line in lines_of(r".*/collator (backup .*)'", BACKUP)
    )
    yield from (("Dockerfile", line.split()) for line in lines_of(r"#.* collator (serve .*)", DOCKERFILE))


def lines_of(pattern: str, text: str) -> list[str]:
    return re.findall(f"^{pattern}$", text, re.MULTILINE)


LINES = [*command_lines()]


def effective(line: list[str], **environ: str) -> Settings:
    """The settings of a command line, read by the command itself."""
    command = cli.commands[line[0]]
    params = command.make_context(line[0], line[1:], resilient_parsing=False).params
    given = {name: value for name, value in params.items() if name in OPTIONS}
    return load(given, environ=environ, config=None)


def in_seconds(pattern: str, text: str) -> float:
    (found,) = re.findall(pattern, text, re.MULTILINE)
    return values.duration(found)


def test_every_file_has_its_command_lines() -> None:
    assert [where for where, _ in LINES] == [
        "Dockerfile",
        "compose.yaml",
        "compose.yaml",
        "collator.service",
        "collator-backup.service",
        "Dockerfile",
    ]


@pytest.mark.parametrize(("where", "line"), LINES)
def test_each_command_line_is_one_of_the_commands(where: str, line: list[str]) -> None:
    effective(line)


def test_a_flag_that_there_is_not_would_be_found() -> None:
    with pytest.raises(click.UsageError):
        effective(["serve", "--drain-time", "30s"])


def test_the_environment_of_the_image_is_settings() -> None:
    given = dict(re.findall(r"(COLLATOR_\w+)=(\S+)", DOCKERFILE))
    assert {*given} <= {variable(name) for name in OPTIONS}
    settings = effective(["serve"], **given)
    assert (settings.host, settings.data_dir, settings.port) == ("0.0.0.0", Path("/data"), 8000)  # noqa: S104 - a container


def test_the_image_runs_as_nobody_and_gets_signals() -> None:
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["collator"\]$', DOCKERFILE, re.MULTILINE)
    assert re.search(r'^VOLUME \["/data"\]$', DOCKERFILE, re.MULTILINE)
    (asked,) = re.findall(r"'8000'\) \+ '(/\w+)'", DOCKERFILE)
    (route,) = [route for route in ROUTES if route.path == asked]
    assert route.role is None, "the health check has no token"


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    sources = " ".join(re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE)).split()
    assert {*sources} == kept
    assert [name for name in sources if not (ROOT / name).exists()] == []


def test_what_is_copied_into_the_image_is_enough_to_build_the_wheel(tmp_path: Path) -> None:
    (line,) = re.findall(r"^COPY (pyproject.toml .*) \./$", DOCKERFILE, re.MULTILINE)
    for name in line.split():
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "src", tmp_path / "src")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("pattern", "text", "where"),
    [
        (r"stop_grace_period: (\w+)", COMPOSE, "compose.yaml"),
        (r"^TimeoutStopSec=(\w+)$", UNIT, "collator.service"),
    ],
)
def test_who_supervises_waits_longer_than_the_drain(pattern: str, text: str, where: str) -> None:
    (line,) = [line for place, line in LINES if place == where and line[0] == "serve"]
    assert in_seconds(pattern, text) >= effective(line).drain_timeout + 10.0


def test_the_unit_tries_again_for_ever_where_no_person_is_wanted() -> None:
    (prevented,) = lines_of(r"RestartPreventExitStatus=(.*)", UNIT)
    assert prevented.split() == [str(code.value) for code in (Exit.USAGE, Exit.CONFIG, Exit.STORE)]
    assert exit_for(cannot_listen("127.0.0.1", 1, OSError(errno.EADDRINUSE, "in use"))) == Exit.OCCUPIED
    assert exit_for(cannot_listen("127.0.0.1", 1, OSError(errno.EACCES, "not allowed"))) == Exit.CONFIG
    assert lines_of(r"(StartLimitIntervalSec=0)", UNIT)


def test_the_unit_has_what_keeps_it_in_its_place() -> None:
    given = dict(line.split("=", 1) for line in UNIT.splitlines() if "=" in line and not line.startswith("#"))
    wanted = {
        "Type": "exec",
        "Restart": "always",
        "DynamicUser": "yes",
        "StateDirectory": "collator",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "KillMode": "mixed",
    }
    assert {name: given.get(name) for name in wanted} == wanted
    (line,) = [line for place, line in LINES if place == "collator.service"]
    assert effective([*line[:1], *line[3:]]).data_dir == Path("/var/lib") / given["StateDirectory"]
    assert int(given["LimitNOFILE"]) > 2 * Settings().max_connections


def test_a_backup_is_made_by_who_owns_the_data() -> None:
    service, backup = (dict(re.findall(r"^(\w+)=(.+)$", text, re.MULTILINE)) for text in (UNIT, BACKUP))
    shared = ("DynamicUser", "User", "StateDirectoryMode", "UMask")
    assert [backup[name] for name in shared] == [service[name] for name in shared]
    assert backup["StateDirectory"].split() == [service["StateDirectory"], "collator-backups"]


def test_what_only_root_can_read_is_handed_over_by_systemd() -> None:
    """A user that exists only while the service runs owns no file of mode 0600 in /etc."""
    given = {*lines_of(r"LoadCredential=(\S+):/etc/collator/\1", UNIT)}
    assert given == {"collator.toml", "tokens"}
    assert {*re.findall(r"%d/(\S+)", UNIT.partition("ExecStart=")[2])} == given
    assert "/etc/" not in UNIT.partition("ExecStart=")[2]


def verified(unit: Path, folder: Path) -> str:
    """What systemd has to say of *unit*, whose program is there for it."""
    program = shutil.which("systemd-analyze")
    need(program, "systemd-analyze (apt-get install systemd)")
    text = unit.read_text("utf-8").replace("/opt/collator/bin/collator", "/bin/true")
    for other in (ROOT / "deploy").glob("*.*"):
        shutil.copy(other, folder)
    (folder / unit.name).write_text(text, "utf-8")
    done = subprocess.run(
        [str(program), "verify", "--man=no", "--recursive-errors=no", str(folder / unit.name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    assert verified(unit, tmp_path) == ""


def test_systemd_would_find_a_key_that_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    wrong = tmp_path / "given" / "wrong.service"
    wrong.write_text(UNIT.replace("DynamicUser=", "DynamicUsr="))
    assert "DynamicUsr" in verified(wrong, tmp_path)
