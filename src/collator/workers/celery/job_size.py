"""How many packets a job has, and how many may be out. Pure.

Theory. A message costs milliseconds on its way, whatever is in it, so a job is `WORK` for a process that calls the
processor: one packet of a slow call, hundreds of a quick one. Out are as many packets as there are calls, and what is
called while a message travels. Where nobody knows of a worker nothing goes out: it would lie in a queue.

A job that is not full goes too, so that no packet waits for company for long. While little comes it goes at once, if a
process has nothing to do; else there is one in `HOLD`, as a message costs milliseconds of several processors, and a
service that receives single packets would spend more on messages than on all else.
"""

from __future__ import annotations

from math import ceil

import msgspec

WORK = 0.025
"""Seconds of work in a job."""
TRAVEL = 0.05
"""Seconds from an answer to the begin of the next call."""
HOLD = 0.02
"""Seconds between two jobs that are not full, where they may not go at once."""
FEW = 16
"""Packets in two jobs: fewer are little to come."""
MOST_PACKETS = 500
"""Packets of a job."""
MOST_BYTES = 256 * 1024
"""Bytes of the payloads of a job, or a single one."""
MOST_OUT = 4096
"""Packets that are out, at most."""
BYTES_OUT = 32 * 1024 * 1024
"""Bytes of the payloads that are out beyond which nothing more is sent."""
_QUICKEST = 1e-6
_STEP = 4.0


class JobSize(msgspec.Struct, frozen=True):
    """What may be sent at this moment."""

    full: int
    """Packets of a full job."""
    out: int
    """Packets that may be out."""


class JobPace:
    """When a job goes that is not full."""

    def __init__(self) -> None:
        self._sent, self._packets = -HOLD, 0

    def send(self, packets: int, now: float) -> None:
        """A job of *packets* goes *now*."""
        self._sent, self._packets = now, packets

    def wait(self, packets: int, now: float, *, idle: bool) -> float:
        """The seconds until one of *packets* goes; *idle*: a process has nothing to do."""
        if idle and self._packets + packets < FEW:
            return 0.0
        return max(0.0, self._sent + HOLD - now)


class CallTime:
    """The time of a call of late."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        """Not known before the first."""

    def measure(self, seconds: float) -> None:
        """A call took *seconds*. One measurement moves the time by a factor of 4 at most."""
        seconds = max(seconds, _QUICKEST)
        known = self.seconds
        self.seconds = (
            seconds if known is None else max(known / _STEP, min(known + (seconds - known) / 4, known * _STEP))
        )


def job_size(seconds: float | None, *, processes: int, tasks: int, calls: int) -> JobSize:
    """The sizes where a call takes *seconds*, and *processes* have *tasks* in hand and make *calls* at a time."""
    if processes == 0:
        return JobSize(1, 0)
    least = ceil(calls / tasks)
    if seconds is None:
        return JobSize(least, calls + processes)
    full = max(least, min(MOST_PACKETS, int(calls / processes * WORK / seconds)))
    ahead = int(max(processes * full, calls * TRAVEL / seconds))
    return JobSize(full, calls + ahead)
