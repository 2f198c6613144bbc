"""The examples of README.md and docs/library.md, run as they stand; only the ports are others."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from collator.cli.children import free_port
from collator.cli.exits import Exit
from collator.cli.main import listed
from collator.cli.manual import verbs
from tests.acceptance.programs import PATIENCE, environment, run, running, serving
from tests.requirements import need
from tests.wait import until_sync

ROOT = Path(__file__).parents[2]
SERVICE, RECEIVER = "127.0.0.1:8000", "127.0.0.1:9000"
"""Where the documents say that they are."""


class Block(NamedTuple):
    """A fenced block of a document."""

    language: str
    text: str
    line: int


def blocks(path: Path) -> list[Block]:
    text = path.read_text("utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(one[1], one[2], text.count("\n", 0, one.start()) + 1) for one in found]


LIBRARY = blocks(ROOT / "docs" / "library.md")
PROGRAMS = [
    pytest.param(one.text, after.text, id=f"line {one.line}")
    for one, after in pairwise(LIBRARY)
    if (one.language, after.language) == ("python", "output")
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("service")) as (_, url):
        yield url


def test_every_program_of_the_library_page_says_what_it_prints() -> None:
    assert len(PROGRAMS) == sum(block.language == "python" for block in LIBRARY) > 0


@pytest.mark.parametrize(("program", "output"), PROGRAMS)
def test_a_program_of_the_library_page_does_what_it_says(
    tmp_path: Path, service: str, program: str, output: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program.replace(f"http://{SERVICE}", service)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stdout, done.returncode) == (output, 0), done.stderr


class Readme:
    """The real example of the README, with other ports."""

    def __init__(self) -> None:
        need((ROOT / "README.md").exists(), "README.md")
        need(shutil.which("curl"), "curl")
        self._blocks = blocks(ROOT / "README.md")
        self._ports = {SERVICE: f"127.0.0.1:{free_port()}", RECEIVER: f"127.0.0.1:{free_port()}"}

    def block(self, start: str) -> str:
        (text,) = [block.text for block in self._blocks if block.text.startswith(start)]
        for told, port in self._ports.items():
            text = text.replace(told, port)
        return text

    def told(self, text: str) -> str:
        """*text* with the ports that the README tells."""
        for told, port in self._ports.items():
            text = text.replace(port, told)
        return text

    def command(self, line: str) -> list[str]:
        """The arguments of a line ``collator …  # comment``, told where to listen or to ask."""
        _, name, *rest = shlex.split(line, comments=True)
        told = {"serve": ["--port", self._port(SERVICE)], "receive": ["--port", self._port(RECEIVER)]}
        return [name, *rest, *told.get(name, ["--url", f"http://{self._ports[SERVICE]}"])]

    def _port(self, place: str) -> str:
        return self._ports[place].rpartition(":")[2]


def test_the_real_example_of_the_readme_gives_what_the_readme_says(tmp_path: Path) -> None:
    readme = Readme()
    (tmp_path / "shout.py").write_text(readme.block("def shout"))
    tried = run(*shlex.split(readme.block("collator try"), comments=True)[1:], cwd=tmp_path)
    assert (tried.returncode, tried.stdout.splitlines()[-1]) == (Exit.OK, 'output: "HELLO"'), tried.stderr
    with ExitStack() as stack:
        for line, ready in zip(
            readme.block("collator serve").splitlines(), ("event=serving", "receiving at"), strict=True
        ):
            stack.enter_context(running(*readme.command(line), cwd=tmp_path)).says(ready)
        curl = ["bash", "-c", readme.block("curl ")]
        answer = json.loads(subprocess.run(curl, capture_output=True, timeout=PATIENCE, check=True).stdout)
        until_sync(lambda: any((tmp_path / "received").iterdir()), PATIENCE)
        shown = run(*readme.command("collator resources show call-17"), cwd=tmp_path)
    assert (answer["done"], answer["accepted"]) == (True, 3)
    body = json.loads(readme.block('{"type": "resource.collated"'))
    lines = (tmp_path / "received" / "call-17.txt").read_text().splitlines()
    assert lines == body["data"]["outputs"]
    assert (shown.returncode, shown.stdout.partition("\n")[0]) == (Exit.OK, "call-17  collated (last)"), shown.stderr


@pytest.mark.parametrize("page", [ROOT / "README.md", *(ROOT / "docs").glob("*.md")], ids=lambda page: page.name)
def test_a_page_names_no_command_that_is_not_there(page: Path) -> None:
    known = dict(verbs(listed()))
    typed = re.findall(r"(?:^|`|python -m )collator ([a-z-]+)(?: ([a-z-]+))?", page.read_text("utf-8"), re.MULTILINE)
    said = [f"{noun} {verb}" if isinstance(known.get(noun), click.Group) else noun for noun, verb in typed]
    assert [name for name in said if name.strip() not in known] == []


def test_the_recording_of_the_readme_is_what_its_commands_print() -> None:
    need(shutil.which("curl"), "curl")
    from docs import recording  # which needs what is above

    assert recording.FILE.read_text("utf-8") == recording.record(), "python -m docs.recording"
