"""The receiver as a process, beside senders and terminals that hold others up."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.programs import COMMAND, PATIENCE, environment, receiving
from tests.wait import until_sync

MIB = 1024 * 1024
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory and pipes are looked at as Linux has them")


def webhook(resource_id: str, output: object = 1) -> bytes:
    data = {"resource_id": resource_id, "outputs": [output]}
    return json.dumps({"type": "resource.collated", "timestamp": "2026-11-24T02:05:00Z", "data": data}).encode()


def post(url: str, body: bytes) -> int:
    fields = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=fields, method="POST")  # noqa: S310 - this test's receiver
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310 - same
        return int(response.status)


def head(length: int) -> bytes:
    return (
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % length
    )


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE) as sock:
        yield sock


def resident(pid: int) -> int:
    """The most memory that the process *pid* has had at a time, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_a_terminal_that_is_halted_holds_up_no_webhook(tmp_path: Path) -> None:
    import fcntl

    command = [*COMMAND, "receive", "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        capacity = fcntl.fcntl(process.stdout, 1031, 4096)  # F_SETPIPE_SZ
        url = process.stdout.readline().decode().split()[2]
        told = 0
        while told <= capacity + 4096:  # lines that nobody reads from here on, and one pipe more of them
            name = f"{told:0>140}"
            assert post(url, webhook(name)) == 204
            told += len(f"received/{name}.txt  2 bytes\n")
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()
        process.stderr.close()


def test_bodies_that_do_not_end_are_bounded_together(tmp_path: Path) -> None:
    with receiving(tmp_path, "--max-body", "8MiB") as (receiver, url), ExitStack() as opened:
        assert post(url, webhook("before")) == 204
        before = resident(receiver.process.pid)
        for _ in range(24):
            sock = opened.enter_context(connected(url))
            with suppress(OSError):  # refused, and closed
                sock.sendall(head(8 * MIB) + b" " * (8 * MIB - 1))
        assert post(url, webhook("after")) == 204
        assert resident(receiver.process.pid) - before <= 48 * MIB


def test_who_hangs_up_leaves_no_line(tmp_path: Path) -> None:
    with receiving(tmp_path) as (receiver, url):
        said = receiver.output()
        for data in (b"", head(9)[:30], head(9) + b"123"):
            with connected(url) as sock:
                sock.sendall(data)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert post(url, webhook("r")) == 204
        until_sync(lambda: "r.txt" in receiver.output())
        assert receiver.output().removeprefix(said) == "received/r.txt  2 bytes\n"
