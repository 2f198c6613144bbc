"""Commands of Collator as real processes, for tests: run to their end, or started, watched and stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import collator
from collator.cli.exits import Exit
from tests.wait import until_sync

COMMAND = (sys.executable, "-m", "collator")
PATIENCE = 120.0
"""Seconds; generous, as machines that test are busy. Nothing waits for it to pass."""


def environment(**extra: str) -> dict[str, str]:
    """The environment without settings of Collator, with the Collator under test, and with *extra*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COLLATOR_")}
    return kept | {"PYTHONPATH": str(Path(collator.__file__).parents[1]), "COLUMNS": "100"} | extra


def run(
    *arguments: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    stdin: bytes = b"",
    prefix: Sequence[str] = (),
    command: Sequence[str] = COMMAND,
    timeout: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run ``collator ARGUMENTS``, or another *command*, in *cwd* to its end; *prefix* is a program that runs it."""
    done = subprocess.run(
        [*prefix, *command, *arguments],
        cwd=cwd,
        env=environment(**(env or {})),
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Program:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def output(self) -> str:
        """What it has said so far, on both channels."""
        return self.log.read_text("utf-8", "replace")

    def says(self, pattern: str, timeout: float = PATIENCE) -> re.Match[str]:
        """What matches *pattern* in its output, once it is there."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(re.finditer(pattern, self.output()))
            assert found or self.process.poll() is None, f"ended with {self.process.poll()}:\n{self.output()}"
            return bool(found)

        until_sync(look, timeout)
        return found[0]

    def write(self, data: bytes, *, end: bool = False) -> None:
        """Give it *data* on its standard input, which was made a pipe; *end* closes it."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()
        if end:
            self.process.stdin.close()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def running(
    *arguments: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    command: Sequence[str] = COMMAND,
) -> Iterator[Program]:
    """``collator ARGUMENTS``, or another *command*, in *cwd*, as long as the context is open."""
    log = cwd / f"{arguments[0]}-{len(list(cwd.glob('*.log')))}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=cwd,
            env=environment(**(env or {})),
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Program(process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        if process.stdin:
            process.stdin.close()


@contextmanager
def serving(cwd: Path, *options: str, webhook: str = "none") -> Iterator[tuple[Program, str]]:
    """A service in *cwd* and its URL."""
    with running("serve", "--port", "0", "--webhook", webhook, *options, cwd=cwd) as program:
        yield program, program.says(r"event=serving url=(\S+)")[1]


@contextmanager
def receiving(cwd: Path, *options: str) -> Iterator[tuple[Program, str]]:
    """A receiver in *cwd* and its URL."""
    with running("receive", "--port", "0", *options, cwd=cwd) as program:
        yield program, program.says(r"receiving at (\S+)")[1]


def files(directory: Path) -> Sequence[str]:
    """The names in *directory*, in order."""
    return sorted(path.name for path in directory.iterdir())


def children(pid: int) -> Sequence[int]:
    """The ids of the processes that the process *pid* has started, where the system tells."""
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listing.read_text().split()] if listing.exists() else []


def assert_told(done: subprocess.CompletedProcess[str], code: Exit, *parts: str) -> None:
    """Nothing but one or two lines on stderr, with *parts* in them, and the exit *code*."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert 1 <= done.stderr.count("\n") <= 2, done.stderr
    assert done.stderr.startswith("collator: ")
    assert [part for part in parts if part not in done.stderr] == [], done.stderr
