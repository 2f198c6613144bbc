"""A function that prints: whatever has become of standard output and error, that is not the packet's fault."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collator.client import Client
from tests.acceptance.test_standard_streams import serving

PATIENCE = 30.0
FUNCTION = """
import contextlib, os, sys

def shout(payload):
    print("hello " * 2000 + "\\ud800")
    print("h\\u00e9llo \\ud800", file=sys.stderr, flush=True)
    sys.stdout.write("hello")
    sys.stdout.flush()
    sys.stderr.buffer.write(b"hello\\n")
    return [payload, sys.stdout.fileno(), sys.stderr.isatty()]

async def coroutine(payload):
    return shout(payload)

def close(payload):
    with contextlib.suppress(OSError):  # it is closed
        os.close(2)
    return shout(payload)
"""
REDIRECTS = ["1>&-", "2>&-", "1>&- 2>&-", ">/dev/full 2>&1"]
"""Each for processes, which have streams of their own; the other kinds share those of the service."""
KINDS = {
    "thread": ("--processor", "loud:shout"),
    "process": ("--processor", "loud:shout", "--pool", "process"),
    "coroutine": ("--processor", "loud:coroutine"),
    "closing": ("--processor", "loud:close", "--pool", "process"),
}

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@contextmanager
def pipe(*, read: bool) -> Iterator[int]:
    """A pipe that nobody reads, or that can be read by nobody."""
    source, sink = os.pipe()
    if not read:
        os.close(source)
    try:
        yield sink
    finally:
        os.close(sink)
        if read:
            os.close(source)


@pytest.mark.parametrize(
    ("kind", "redirect"),
    [
        *(("process", redirect) for redirect in REDIRECTS),
        ("thread", "1>&- 2>&-"),
        ("thread", ">/dev/full 2>&1"),
        ("coroutine", ">/dev/full 2>&1"),
        ("closing", ""),
        ("closing", "1>&-"),
    ],
)
async def test_what_cannot_be_printed_fails_no_packet(tmp_path: Path, kind: str, redirect: str) -> None:
    await assert_processed(tmp_path, kind, redirect=redirect)


@pytest.mark.parametrize(
    ("kind", "read"), [("process", True), ("process", False), ("thread", True), ("closing", False)]
)
async def test_what_nobody_reads_fails_no_packet(tmp_path: Path, kind: str, *, read: bool) -> None:
    with pipe(read=read) as sink:
        await assert_processed(tmp_path, kind, output=sink)


async def assert_processed(folder: Path, kind: str, *, redirect: str = "", output: int | None = None) -> None:
    """See that every packet has its output, in a service with these streams."""
    (folder / "loud.py").write_text(FUNCTION)
    options = (*KINDS[kind], "--processor-timeout", "10", "--processor-retries", "0", "--concurrency", "2")
    with serving(folder, *options, redirect=redirect, output=output) as (_, url):
        async with Client(url) as client:
            await client.send(
                [{"resource_id": "a", "index": index, "payload": index, "last": index == 19} for index in range(20)]
            )
            ended = await client.result("a", timeout=PATIENCE)
    assert ended["outputs"] == [[index, 1, False] for index in range(20)]
