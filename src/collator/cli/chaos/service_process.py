"""The service that is killed: one data directory, one port, and one process after the other."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from collator.cli.children import STOP, command_line, free_port, listens, spawn

if TYPE_CHECKING:
    from types import TracebackType

DATA = "data"
_WORDS = 3


class ServiceProcess:
    """Runs in *home* and delivers to *webhook*; a context that leaves nothing running."""

    def __init__(self, home: Path, webhook: str, *options: str) -> None:
        """Start nothing yet."""
        self.data_dir = home / DATA
        self._home = home
        self._port = free_port()
        self._options = ("--port", str(self._port), "--data-dir", DATA, "--webhook", webhook, *options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL at which it listens, while it runs."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start a process, and do not wait for it."""
        self._process = spawn("serve", command_line("serve", *self._options), directory=self._home)

    def ended(self) -> int | None:
        """The exit code of a process that has ended by itself."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """End the process as it stands."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """Tell the process to stop; its exit code. It is killed where it takes longer than `STOP` seconds."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1

    def listens(self) -> bool:
        """Return whether it takes connections."""
        return listens(self._port)

    def log_end(self) -> Sequence[str]:
        """The end of its log."""
        return (self._home / "serve.log").read_text("utf-8", "replace").splitlines()[-_WORDS:]
