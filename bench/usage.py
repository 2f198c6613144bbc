"""Resource usage of processes, as Linux reports it (proc(5)); elsewhere none.

And a profile of the service while a job runs, where py-spy is installed; the bench itself does not need it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from collator.errors import ConfigError

_PROC = Path("/proc")
_KIB_IN_MIB = 1024
_SAMPLES = "200"  # of a profile, each second
_STOP = 20.0  # seconds in which the profiler has to write its file


class Meter:
    """Counts the processor time of some processes, and of all others together, from when it is made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Watch *pids*, by name, and this process as the sender; all have to live until `cores` is called."""
        self.seconds = 0.0
        """How long it counted, once `cores` was called."""
        self._pids = pids
        self._before = self._seconds()
        self._began = time.monotonic()

    def cores(self) -> dict[str, float]:
        """Return how many cores each has used on average: by the names given, and ``others``.

        Empty where nobody can tell.
        """
        self.seconds = time.monotonic() - self._began
        after = self._seconds()
        used = {name: (after[name] - self._before[name]) / self.seconds for name in after}
        if used:
            used["others"] = max(0.0, 2 * used["all"] - sum(used.values()))
            del used["all"]
        return used

    def _seconds(self) -> dict[str, float]:
        if not _tells():
            return {}
        return {
            **{name: sum(map(cpu_seconds, _family(pid))) for name, pid in self._pids.items()},
            "sender": cpu_seconds(os.getpid()),
            "all": _busy_seconds(),
        }


def cpu_seconds(pid: int) -> float:
    """Processor time of the process *pid* until now, all its threads together."""
    fields = _stat(pid).rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> Iterator[int]:
    """Yield *pid*, and the processes that it has started."""
    yield pid
    for children in (_PROC / str(pid) / "task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))


def peak_memory(pid: int) -> float | None:
    """The most memory that the process *pid* had resident, in MiB; `None` where nobody can tell."""
    if not _tells():
        return None
    lines = (_PROC / str(pid) / "status").read_text().splitlines()
    return next(int(line.split()[1]) / _KIB_IN_MIB for line in lines if line.startswith("VmHWM:"))


def _stat(pid: int) -> str:
    return (_PROC / str(pid) / "stat").read_text()


def _busy_seconds() -> float:
    fields = (_PROC / "stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _tells() -> bool:
    return (_PROC / "self" / "stat").exists()


def profiler() -> str:
    """The program that profiles. `ConfigError` where it is not there."""
    found = shutil.which("py-spy") or shutil.which("py-spy", path=Path(sys.executable).parent)
    if found is None:
        raise ConfigError("--profile needs py-spy on the PATH or beside this Python: pip install py-spy")
    return found


@asynccontextmanager
async def profiled(directory: Path | None, name: str, pid: int) -> AsyncIterator[None]:
    """Profile the process *pid* while the context is open into *directory*, if there is one.

    The file has a line for each stack, the thread first, and how often it was seen: what flame graphs are drawn from.
    """
    if directory is None:
        yield
        return
    output = str(directory / f"{name}.stacks")
    options = ("--format", "raw", "--threads", "--rate", _SAMPLES, "--duration", "unlimited", "--output", output)
    process = await asyncio.create_subprocess_exec(
        profiler(), "record", *options, "--pid", str(pid), stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # it writes its file, and ends
        await asyncio.wait_for(process.wait(), _STOP)
