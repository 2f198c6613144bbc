"""Standard input, output and error as supervisors leave them: missing, or a pipe that nobody reads."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collator.cli.children import free_port
from collator.cli.exits import Exit
from tests.acceptance.programs import COMMAND, PATIENCE, environment
from tests.wait import until_sync

PROMPT = 2.0
"""Seconds that an answer may take; hung, it would take for ever."""
LOUD = """
import logging, os, sys, warnings

def shout(payload):
    print("x" * 3000)
    print("y" * 3000, file=sys.stderr)
    logging.getLogger("library").error("z" * 3000)
    warnings.warn(payload * 1000, stacklevel=2)
    return len(payload)
"""
CLOSED = ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell closes descriptors there in another way")


def ask(url: str, body: object = None) -> bytes:
    """The answer to a request, in good time."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310 - our own service
    with urllib.request.urlopen(request, timeout=PROMPT) as answer:  # noqa: S310 - as above
        return bytes(answer.read())


def answers(url: str) -> bool:
    try:
        return b"alive" in ask(f"{url}/healthz")
    except (urllib.error.URLError, ConnectionError):
        return False


@contextmanager
def serving(
    cwd: Path, *options: str, redirect: str = "", output: int | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A service whose standard streams are as *redirect* and *outputs* say, and its URL."""
    port = free_port()
    command = [*COMMAND, "serve", "--webhook", "none", "--port", str(port), *options]
    command = ["sh", "-c", f'exec "$@" {redirect}', "sh", *command]
    process = subprocess.Popen(command, cwd=cwd, env=environment(), stdout=output, stderr=output)
    try:
        until_sync(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}"), PATIENCE)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)


@pytest.mark.parametrize("redirect", CLOSED)
def test_a_service_without_a_standard_stream_runs_and_stops_cleanly(tmp_path: Path, redirect: str) -> None:
    with serving(tmp_path, redirect=redirect, output=subprocess.DEVNULL) as (process, url):
        assert process.poll() is None
        ask(f"{url}/v1/packets", {"resource_id": "r", "index": 0, "payload": "a", "last": True})
        until_sync(lambda: json.loads(ask(f"{url}/v1/resources/r"))["state"] == "collated", PATIENCE)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == Exit.OK


@pytest.mark.parametrize("redirect", CLOSED)
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("config", Exit.OK),
        ("serve --help", Exit.OK),
        ("check", Exit.CONFIG),
        ("send -", Exit.OK),
        ("status --url http://127.0.0.1:1", Exit.UNREACHABLE),
    ],
)
def test_a_command_without_a_standard_stream_ends_as_ever(tmp_path: Path, redirect: str, line: str, code: Exit) -> None:
    command = ["sh", "-c", f'exec "$@" {redirect}', "sh", *COMMAND, *line.split()]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert (b"collator: " in done.stderr) == (code is not Exit.OK and "2>&-" not in redirect)


def test_logs_and_prints_that_nobody_reads_hold_up_nothing(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD)
    source, sink = os.pipe()
    try:
        with serving(tmp_path, "--processor", "loud:shout", output=sink) as (process, url):
            for number in range(500):
                packet = {"resource_id": f"r{number}", "index": 0, "payload": str(number), "last": True}
                ask(f"{url}/v1/packets", packet)
            until_sync(lambda: json.loads(ask(f"{url}/v1/status"))["stored"]["collated"] == 500, PATIENCE)
            assert answers(url)
            lost = re.search(r"^collator_log_lines_lost_total (\S+)$", ask(f"{url}/metrics").decode(), re.MULTILINE)
            assert lost is not None
            assert float(lost[1]) > 100
            told = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == Exit.OK
            assert time.monotonic() - told < 5 * PROMPT
    finally:
        os.close(source)
        os.close(sink)


def test_a_log_that_flows_again_says_how_many_lines_it_lacks(tmp_path: Path) -> None:
    program = (
        "import sys; from collator import logs; logs.configure(); import structlog\n"
        "for number in range(30_000): structlog.get_logger().warning('line', number=number)\n"
        "sys.stdin.read(); logs.flush(20); structlog.get_logger().warning('behind')"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        log = process.communicate(b"", PATIENCE)[1].decode().splitlines()
    lines = [line for line in log if "event=line" in line]
    notices = [line for line in log if 'event="lines of the log were lost' in line]
    lost = sum(int(notice.rpartition("lines=")[2]) for notice in notices)
    assert len(lines) + lost == 30_000
    assert "event=behind" in log[-1]
