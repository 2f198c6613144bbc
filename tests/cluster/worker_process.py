"""A real Celery worker in a process of its own, which the test kills, freezes and stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.wait import until

ROOT = Path(__file__).parents[2]
START = 60.0
"""Seconds within which a worker is ready, or ends, on a machine that is busy."""
READY = "ready."


class WorkerProcess:
    """The processes of one worker, one after the other; none outlives the context."""

    def __init__(
        self, home: Path, broker: str, *options: str, processor: str, app: str = "", source: Path | None = None
    ) -> None:
        """Keep logs in *home*. *app*: a module that has another app; *source*: where another Collator is."""
        self.home = home
        self.home.mkdir(exist_ok=True)
        self.under: Sequence[str] = ()
        self.environment = {"COLLATOR_BROKER": broker, "COLLATOR_PROCESSOR": f"tests.harness.processors:{processor}"}
        words = ["celery", "-A", app, "worker", "-n", f"{home.name}@test"] if app else ["collator", "worker"]
        self._command = [sys.executable, "-m", *words, *options, "-l", "INFO"]
        self._source = source or ROOT / "src"
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running():
            self.kill()

    @property
    def pid(self) -> int:
        """The number of its main process."""
        assert self._process is not None
        return self._process.pid

    def running(self) -> bool:
        """Return whether its main process is there."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it, and wait until it takes jobs."""
        self.spawn()
        await until(lambda: READY in self.log() or not self.running(), START)
        assert self.running(), self.log()[-2000:]

    def spawn(self) -> None:
        """Start it, and do not wait."""
        assert not self.running()
        self.starts += 1
        outside = {name: value for name, value in os.environ.items() if not name.startswith("COLLATOR_")}
        with self._log_path().open("wb") as log:
            self._process = subprocess.Popen(
                [*self.under, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**outside, **self.environment, "PYTHONPATH": os.pathsep.join([str(self._source), str(ROOT)])},
                start_new_session=True,
            )

    def children(self) -> list[int]:
        """The processes of its pool."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()]

    def kill(self) -> None:
        """End it as it stands, with the processes of its pool: its machine is gone."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    async def stop(self) -> None:
        """Tell it to stop, and see that it does so in good order."""
        assert self._process is not None
        self._process.terminate()
        await until(lambda: not self.running(), START)
        assert self._process.returncode == 0, self.log()[-2000:]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        os.killpg(self.pid, number)

    def stands_still(self) -> bool:
        """Return whether each thread of its processes is stopped."""
        tasks = [one for pid in (self.pid, *self.children()) for one in Path(f"/proc/{pid}/task").iterdir()]
        return all((one / "stat").read_text("ascii").rpartition(")")[2].split()[0] == "T" for one in tasks)

    def log(self) -> str:
        """What the latest process has written."""
        return self._log_path().read_text(errors="replace")

    def _log_path(self) -> Path:
        return self.home / f"worker-{self.starts}.log"
