"""The pages on running it name commands, flags, settings, metrics, exit codes and files that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from collator.cli.exits import Exit
from collator.cli.main import cli
from collator.pipeline import open_pipeline
from collator.settings import OPTIONS, Settings, default, flag, load

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text("utf-8") for name in ("running", "upgrading", "tuning", "platforms")}
EVERY = "\n".join(PAGES.values())
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINES = [
    line
    for page in PAGES.values()
    for language, block in BLOCK.findall(page)
    if not language  # that of a shell
    for line in block.splitlines()
    if "collator " in line
]
LINES += [
    line
    for _, block in BLOCK.findall((DOCS / "production.md").read_text("utf-8"))
    for line in re.findall(r"^(?:\(umask 077; )?(collator .*?)(?: [>&]\S*)?\)?$", block, re.MULTILINE)
]


@pytest.mark.parametrize("line", LINES)
def test_each_command_line_parses(line: str) -> None:
    program, name, *arguments = shlex.split(line, comments=True)
    assert program == "collator"
    cli.commands[name].make_context(name, arguments)


def test_there_are_command_lines() -> None:
    assert len(LINES) > 6


def test_every_flag_and_setting_is_one() -> None:
    known = {flag(name) for name in OPTIONS} | {
        option for command in cli.commands.values() for option in names(command)
    }
    assert {*re.findall(r"(?<![\w-])--[a-z][a-z-]+", EVERY)} - known == set()
    named = {*re.findall(r"`((?:max|min|drain|idle|processor|delivery|dead)_[a-z_]+)`", EVERY)}
    assert named - {*OPTIONS} == set()


def names(command: object) -> set[str]:
    return {option for param in getattr(command, "params", ()) for option in param.opts} | {"--help"}


def test_the_table_of_settings_has_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", PAGES["tuning"], re.MULTILINE)
    assert len(rows) > 12
    wrong = {name: said for name, said in rows if re.sub(r"[ ,]", "", said) != str(default(name)).replace(",", "")}
    assert wrong == {}


async def test_every_metric_is_on_the_page_and_no_other(tmp_path: Path) -> None:
    async with open_pipeline(Settings(data_dir=tmp_path / "data", webhook="none")) as pipeline:
        found = [*pipeline.metrics.registry.collect()]
    endings = {"counter": "_total", "info": "_info"}
    declared = {metric.name + endings.get(metric.type, "") for metric in found}
    table = PAGES["running"].partition("## Metrics")[2].partition("## Logs")[0]
    assert {*re.findall(r"(?:collator|process)_[a-z_]+", table)} == declared


def test_every_event_of_the_log_is_one() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src" / "collator").rglob("*.py"))
    pages = EVERY + (DOCS / "endpoints.md").read_text("utf-8")
    named = {plain or quoted for plain, quoted in re.findall(r'event=(?:(\w+)|"([^"]+)")', pages)}
    assert len(named) > 6
    assert {event for event in named if f'"{event}"' not in source} == set()


def test_exit_codes_are_those_of_the_commands() -> None:
    assert (Exit.USAGE, Exit.CONFIG, Exit.OCCUPIED, Exit.STORE, Exit.OLDER) == (2, 3, 5, 7, 10)
    assert "Exit codes 2, 3 and 7" in PAGES["running"]
    assert "RestartPreventExitStatus=2 3 7\n" in (ROOT / "deploy" / "collator.service").read_text("utf-8")
    assert {*re.findall(r"exit code (\d+)", EVERY)} == {"3", "5", "7", "10"}


def test_the_settings_of_a_first_service_are_settings(tmp_path: Path) -> None:
    (text,) = re.findall(
        r"collator\.toml <<'END'\n(.*?)^END$", (DOCS / "production.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "collator.toml").write_text(text)
    assert load(environ={}, config=str(tmp_path / "collator.toml")).processor == "shout:shout"
