"""A real server of the field, in a process of its own and from an environment of its own (`make servers`)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.requirements import need
from tests.wait import until, until_sync

PROGRAMS = Path(__file__).parents[2] / ".servers-venv" / "bin"
START = 30.0
"""Seconds within which a server listens, on a machine that is busy."""


class Server:
    """The server that *command* starts in *home*, once and again."""

    def __init__(self, home: Path, command: str, port: int) -> None:
        """The first word of *command* that names no variable is a program of the environment."""
        need(PROGRAMS.exists(), "the servers of requirements-servers.txt (make servers)")
        self.url = f"http://127.0.0.1:{port}"
        words = command.split()
        self._variables = dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("-"))
        program, *self._arguments = [
            word for word in words if word not in {f"{k}={v}" for k, v in self._variables.items()}
        ]
        self._program = PROGRAMS / program
        self._home, self._port = home, port
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self.spawn()
        await until(self.listens, START)

    def spawn(self) -> None:
        """Start it."""
        with (self._home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, *self._arguments],
                cwd=self._home,
                env={**os.environ, "HOME": str(self._home), "PATH": f"{PROGRAMS}:{os.defpath}", **self._variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def listens(self) -> bool:
        """Return whether it accepts connections."""
        assert self._process is not None
        assert self._process.poll() is None, (self._home / "server.log").read_text()[-2000:]
        with socket.socket() as trying:
            return trying.connect_ex(("127.0.0.1", self._port)) == 0

    def kill(self) -> None:
        """End it as it stands, with the processes that it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        until_sync(self._silent, START)

    def _silent(self) -> bool:
        with socket.socket() as trying:
            return trying.connect_ex(("127.0.0.1", self._port)) != 0


@asynccontextmanager
async def serving(home: Path, command: str, port: int) -> AsyncIterator[Server]:
    """A server that listens on *port*."""
    server = Server(home, command, port)
    try:
        await server.start()
        yield server
    finally:
        server.kill()
