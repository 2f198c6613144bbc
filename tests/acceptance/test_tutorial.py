"""docs/tutorial.md, from its first line to its last; only the ports are others."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

from collator.cli.children import free_port
from tests.acceptance.programs import Program, environment, running
from tests.acceptance.test_documents import RECEIVER, ROOT, SERVICE, Block, blocks
from tests.requirements import need

KEYS = {"Ctrl-\\": ("serve", signal.SIGKILL), "Ctrl-C": ("receive", signal.SIGTERM)}
"""What a key ends, and how: by signals that are never ignored, as those of the keys are in what a script starts."""
PATIENCE = 100.0
"""Seconds; generous, as a webhook may wait for its fourth attempt. The whole group of a command ends after it."""
READY = {"serve": "event=serving", "receive": "receiving at"}


class Terminals:
    """Three terminals in one directory: one with a service, one with a receiver, one for the rest."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self._home, self._stack = home, stack
        self._ports = {place: str(free_port()) for place in (SERVICE, RECEIVER)}
        self._programs: dict[str, Program] = {}
        path = home / "bin"
        path.mkdir()
        for name in ("python3", "collator"):  # those under test
            (path / name).write_text(
                f'#!/bin/sh\nexec {sys.executable} {"-m collator" if name == "collator" else ""} "$@"\n'
            )
            (path / name).chmod(0o755)
        self._environment = environment(PATH=f"{path}:{os.environ['PATH']}", COLLATOR_PORT=self._ports[SERVICE])

    def type(self, block: Block) -> str:
        """What is printed once *block* has been typed, and has ended or is ready."""
        text = block.text
        for place, port in self._ports.items():
            text = text.replace(place, f"127.0.0.1:{port}")
        if block.language == "python":
            (self._home / text.splitlines()[0].removeprefix("# ")).write_text(text)
            return ""
        if block.language == "keys":
            name, number = KEYS[text.strip()]
            self._programs[name].stop(number)
            return ""
        _, name, *rest = shlex.split(text) if "\n" not in text.strip() else ["", ""]
        return self._start(name, rest) if name in READY else self._run(text)

    def _start(self, name: str, arguments: list[str]) -> str:
        port = ["--port", self._ports[SERVICE if name == "serve" else RECEIVER]]
        self._programs[name] = self._stack.enter_context(running(name, *arguments, *port, cwd=self._home))
        self._programs[name].says(READY[name])
        return ""

    def _run(self, text: str) -> str:
        done = subprocess.run(
            ["timeout", f"{PATIENCE:g}", "bash", "-ec", text],
            cwd=self._home,
            env=self._environment,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().removesuffix("\n") + "\n" if done.stdout else ""


def test_the_tutorial_gives_what_it_says(tmp_path: Path) -> None:
    need(shutil.which("curl"), "curl")
    found = blocks(ROOT / "docs" / "tutorial.md")
    with ExitStack() as stack:
        terminals = Terminals(tmp_path, stack)
        for block, after in zip_longest(found, found[1:]):
            if block.language != "output":
                expected = after.text if after is not None and after.language == "output" else ""
                assert terminals.type(block) == expected, f"line {block.line}"
