"""Few open files, and receivers that hang: who sends packets, and who asks whether it is ready, is answered (P5)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from collator.cli.exits import Exit
from tests.acceptance.programs import COMMAND, PATIENCE, Program, environment, run
from tests.harness import processors
from tests.receiver import Receiver, Stall
from tests.wait import until

ENDPOINTS = 16
FILES = 256


def limited(files: str) -> tuple[str, ...]:
    """What runs a command that may have as many *files* open; ``SOFT:HARD``."""
    soft, _, hard = files.partition(":")
    return ("sh", "-c", f'ulimit -Sn {soft} && ulimit -Hn {hard or soft} && exec "$0" "$@"')


def serving(cwd: Path, files: str) -> Program:
    log = cwd / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*limited(files), *COMMAND, "serve", "--port", "0"],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Program(process, log)


def ask(url: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        return answer.status, json.load(answer)


def packet(resource_id: str) -> dict[str, object]:
    return {"resource_id": resource_id, "index": 0, "payload": "x", "last": True}


async def test_p5_hanging_endpoints_leave_the_listener_its_descriptors(tmp_path: Path) -> None:
    async with Receiver((Stall(),)) as receiver:
        tables = [f'[endpoints.e{number}]\nurl = "{receiver.url}/{number}"\n' for number in range(ENDPOINTS)]
        (tmp_path / "collator.toml").write_text('delivery_timeout = "1m"\n' + "".join(tables))
        program = serving(tmp_path, str(FILES))
        try:
            url = program.says(r"event=serving url=(\S+)")[1]
            assert re.search("the limit of open files is too low .*instead of 1024", program.output())
            for number in range(20):
                assert ask(f"{url}/v1/packets", [packet(f"r{number}-{one}") for one in range(5)])[0] == 202
            await until(lambda: receiver.open >= ENDPOINTS * 4, PATIENCE)  # all that may be under way is
            for number in range(20):
                assert ask(f"{url}/readyz")[0] == 200
                assert ask(f"{url}/v1/packets", packet(f"more-{number}"))[0] == 202
            assert receiver.open <= FILES // 2
        finally:
            program.process.kill()
            program.process.wait(PATIENCE)
    assert "too many open files" not in program.output().lower()


async def test_r23_descriptors_that_are_used_up_are_held_against_no_receiver(tmp_path: Path) -> None:
    hoarding = tmp_path / "hoarding"
    hoarding.touch()
    shutil.copy(processors.__file__, tmp_path / "processors.py")
    async with Receiver() as receiver:
        (tmp_path / "collator.toml").write_text(f'processor = "processors:hoard"\nwebhook = "{receiver.url}"\n')
        program = serving(tmp_path, "128")
        try:
            url = program.says(r"event=serving url=(\S+)")[1]
            packets = [packet(f"r{number}") for number in range(40)]
            assert ask(f"{url}/v1/packets", [{**packet("hoard"), "payload": str(hoarding)}, *packets])[0] == 202
            program.says("this service lacks resources: too many open files")
            hoarding.unlink()
            await until(lambda: len(receiver.requests) == 41, PATIENCE)
            await until(lambda: len(ask(f"{url}/v1/deliveries?state=delivered")[1]["deliveries"]) == 41, PATIENCE)
            deliveries = ask(f"{url}/v1/deliveries?state=delivered")[1]["deliveries"]
            assert {one["attempts"] for one in deliveries} == {1}
        finally:
            program.process.kill()
            program.process.wait(PATIENCE)
    assert "receiver fails" not in program.output()


@pytest.mark.parametrize(("files", "expected"), [("128:4096", 4096), ("300:300", 300)])
def test_the_soft_limit_is_raised_to_the_hard_one(tmp_path: Path, files: str, expected: int) -> None:
    (tmp_path / "collator.toml").write_text('webhook = "none"\n')
    program = serving(tmp_path, files)
    try:
        program.says(r"event=serving url=(\S+)")
        limits = Path(f"/proc/{program.process.pid}/limits")
        if not limits.exists():
            pytest.skip("the system does not show the limits of a process")
        (soft,) = re.findall(r"Max open files\s+(\d+)", limits.read_text())
        assert int(soft) == expected
        assert ("the limit of open files is too low" in program.output()) == (expected < 1000)
    finally:
        program.process.kill()
        program.process.wait(PATIENCE)


def test_too_few_files_to_serve_with_end_the_start_in_words(tmp_path: Path) -> None:
    done = run("serve", "--webhook", "none", "--port", "0", cwd=tmp_path, prefix=limited("64"))
    assert done.returncode == Exit.CONFIG, done.stderr
    assert "the limit of open files is 64, and the service needs at least 80" in done.stderr
