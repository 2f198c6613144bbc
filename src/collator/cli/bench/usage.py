"""What processes have used, as Linux tells it (proc(5)); elsewhere nothing is said."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

_PROC = Path("/proc")
_KIB_IN_MIB = 1024


class Meter:
    """Counts the processor time of some processes, and of all others together, from when it is made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Watch *pids*, by name; all of them have to live until `cores` is called."""
        self.seconds = 0.0
        """How long it counted, once `cores` was called."""
        self._pids = pids
        self._before = self._seconds()
        self._began = time.monotonic()

    def cores(self) -> dict[str, float]:
        """How many cores each has used on average: by the names given, and ``others``. Empty where nobody can tell."""
        self.seconds = time.monotonic() - self._began
        after = self._seconds()
        used = {name: (after[name] - self._before[name]) / self.seconds for name in after}
        if used:
            used["others"] = max(0.0, used.pop("all") - sum(used[name] for name in self._pids))
        return used

    def _seconds(self) -> dict[str, float]:
        if not _tells():
            return {}
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()} | {"all": _busy_seconds()}


def cpu_seconds(pid: int) -> float:
    """Processor time of the process *pid* until now, all its threads together."""
    fields = _stat(pid).rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
