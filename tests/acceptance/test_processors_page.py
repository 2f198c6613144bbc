"""The examples of docs/processors.md, run as they stand; only ports are others."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collator.cli.exits import Exit
from collator.cli.main import run
from collator.client import Client
from collator.client.replies import ResultReply
from collator.service import open_service
from collator.settings import load
from tests.acceptance.programs import environment
from tests.receiver import Receiver, reply
from tests.requirements import need
from tests.wait import until_sync

PAGE = (Path(__file__).parents[2] / "docs" / "processors.md").read_text("utf-8")
PORT = 8080
"""Where the page has its HTTP service."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


MODULES = {block.splitlines()[0].removeprefix("# "): block for block in blocks("python")}
TRIES = blocks("try")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with every module of the page."""
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.fixture
def service(here: Path, free_tcp_port: int) -> Iterator[int]:
    """The HTTP service of the page, as a program; its port."""
    text = MODULES["service.py"].replace(str(PORT), str(free_tcp_port))
    with subprocess.Popen([sys.executable, "-c", text], cwd=here, env=environment(), stderr=subprocess.DEVNULL) as it:
        until_sync(lambda: listens(free_tcp_port), 20.0)
        yield free_tcp_port
        it.kill()


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_every_module_of_the_page_is_tried() -> None:
    tried = {re.search(r"--processor (\w+):", block) for block in TRIES}
    assert {f"{found[1]}.py" for found in tried if found and found[1] != "http"} == {*MODULES} - {"service.py"}
    assert len(TRIES) == len(MODULES)


@pytest.mark.parametrize("example", TRIES, ids=[block.splitlines()[0].split()[3] for block in TRIES])
async def test_an_example_of_the_page_gives_what_the_page_says(
    here: Path, example: str, request: pytest.FixtureRequest
) -> None:
    command, *lines = example.splitlines()
    need(sys.platform == "linux" or "--pool-memory" not in command, "Linux, which limits the memory of a process")
    if f":{PORT}" in command:
        command = command.replace(str(PORT), str(request.getfixturevalue("service")))
    flags = shlex.split(command)[2:]
    given = {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(flags[::2], flags[1::2], strict=True)
    }
    settings = replace(load(given, environ={}), port=0, webhook="none", data_dir=here / "data")
    async with open_service(settings) as opened, Client(opened.url) as client:
        for number, line in enumerate(lines):
            payload, expected = line.split("  →  ")
            packet = {"resource_id": str(number), "index": 0, "payload": json.loads(payload), "last": True}
            await client.send([packet])
            result = await client.result(str(number), timeout=20.0)
            assert outcome(result) == outcome_of(expected)


async def test_the_shape_of_requests_is_shown_as_the_page_says(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (settings,) = blocks("toml")
    line, *expected = PAGE.partition("\n```\n$ collator ")[2].partition("\n```")[0].splitlines()
    answer = expected[-2].strip().encode()
    async with Receiver(reply(200, "content-type: application/json", body=answer)) as receiver:
        (here / "collator.toml").write_text(settings.replace(str(PORT), str(receiver.port)), "utf-8")
        (here / "service.headers").write_text("X-API-Key: NEVERSHOWN\n")
        (here / "service.headers").chmod(0o600)
        assert await asyncio.to_thread(run, shlex.split(line)) == Exit.OK
    shown = capsys.readouterr().out.replace(str(receiver.port), str(PORT)).splitlines()
    assert [said.partition("…")[0] for said in expected] == [
        said[: len(told.partition("…")[0])] if "…" in told else said for said, told in zip(shown, expected, strict=True)
    ]
    (request,) = receiver.requests
    assert request.headers["x-api-key"] == "NEVERSHOWN"


def outcome(result: ResultReply) -> object:
    return result["outputs"][0] if "outputs" in result else (result["failed"][0]["reason"],)


def outcome_of(told: str) -> object:
    failed = told.removeprefix("failed: ")
    return (failed,) if failed != told else json.loads(told)
