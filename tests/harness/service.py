"""A real service in a process of its own, started, killed and stopped by the test as a supervisor would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.harness.note import note
from tests.wait import until

ROOT = Path(__file__).parents[2]
START = 60.0
"""Seconds within which a service is ready, on a machine that is busy."""
_URL = re.compile(r"""\bevent(?:=|": ")serving\b.*?\burl(?:=|": ")([^\s"]+)["\s]""")


class ServiceProcess:
    """One data directory and the processes that serve it, one after the other; none outlives the context."""

    def __init__(self, home: Path, *, webhook: str = "none", data_dir: Path | None = None, **settings: object) -> None:
        """Keep logs and, unless *data_dir* is elsewhere, the data in *home*. *settings* by their names."""
        self.home = home
        self.home.mkdir(exist_ok=True)
        self.data_dir = data_dir or home / "data"
        self.url = ""
        # Nothing is kept free: a test that fills the disk means to fill it.
        own = {"port": 0, "data_dir": self.data_dir, "webhook": webhook, "min_free_disk": 1}
        self.settings: dict[str, object] = {**own, **settings}
        self.starts = 0
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        if error is not None and self.starts:
            note(self.log()[-4000:])

    @property
    def secret(self) -> Path:
        """Where the secret is that signs its webhooks."""
        return self.data_dir / "webhook.secret"

    async def start(self, *, under: Sequence[str] = (), **settings: object) -> float:
        """Start a process, *under* another program where one is given, and wait until it is ready. The seconds."""
        began = time.monotonic()
        self.spawn(under=under, **settings)
        await until(lambda: self.find_url() or not self.running(), START)
        assert self.running(), f"the service ended with {self.code()}:\n{self.log()[-2000:]}"
        assert (await self.get("/readyz"))[0] == 200
        return time.monotonic() - began

    def spawn(self, *, under: Sequence[str] = (), **settings: object) -> None:
        """Start a process, and do not wait for it."""
        assert not self.running()
        self.url = ""
        self.starts += 1
        options = [
            part
            for name, value in {**self.settings, **settings}.items()
            for part in (f"--{name.replace('_', '-')}", str(value))
        ]
        with self._log_path().open("wb") as log:
            self._process = subprocess.Popen(
                [*under, sys.executable, "-m", "collator", "serve", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self._environment(),
            )

    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def code(self) -> int:
        """The exit code of the process that ended; minus the signal where one ended it."""
        assert self._process is not None
        code = self._process.poll()
        assert code is not None, "it still runs"
        return code

    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End the process as it stands, if it still does, and wait until the kernel is done with it."""
        assert self._process is not None
        self.signal(signal.SIGKILL)
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it is still there."""
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, timeout: float = START) -> int:
        """Wait until the process has ended by itself; its exit code."""
        await until(lambda: not self.running(), timeout)
        return self.code()

    async def stop(self) -> None:
        """Ask the process to stop, and see that it does so in good order."""
        self.signal(signal.SIGTERM)
        assert await self.ended() == 0, self.log()[-2000:]

    async def get(self, path: str) -> tuple[int, Mapping[str, str], Any]:
        """The status, the fields and the JSON that the service answers with."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            body = await answer.text()
            return answer.status, answer.headers, await answer.json(content_type=None) if body[:1] == "{" else body

    def find_url(self) -> str:
        """Where it listens, as soon as it says so."""
        found = _URL.search(self.log())
        self.url = found[1] if found else ""
        return self.url

    def log(self) -> str:
        """What the latest process has written."""
        return self._log_path().read_text(errors="replace")

    def _environment(self) -> dict[str, str]:
        """Nothing of Collator's own from outside: the settings are those of the test."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("COLLATOR_")}
        return {**outside, "PYTHONPATH": str(ROOT / "src"), **self.environment}

    def _log_path(self) -> Path:
        return self.home / f"service-{self.starts}.log"
