"""How many packets a job has, and how many may be out. Pure.

Theory. A message costs milliseconds on its way, whatever is in it, so a job is `WORK` for a process that calls the
processor: one packet of a slow call, hundreds of a quick one. Out are as many packets as there are calls, and what is
called while a message travels. A job that is not full goes too, so that no packet waits for company, but only while
few are out: how many, that follows from the messages that a process handles in the time of a call (Little's law). Where
nobody knows of a worker nothing goes out: it would lie in a queue.
"""

from __future__ import annotations

from math import ceil

import msgspec

WORK = 0.025
"""Seconds of work in a job."""
TRAVEL = 0.05
"""Seconds from an answer to the begin of the next call."""
RATE = 50.0
"""Messages a second that a process handles with ease."""
MOST_PACKETS = 500
"""Packets of a job."""
MOST_BYTES = 256 * 1024
"""Bytes of the payloads of a job, or a single one."""
_QUICKEST = 1e-6
_STEP = 4.0


class JobSize(msgspec.Struct, frozen=True):
    """What may be sent at this moment."""

    full: int
    """Packets of a full job."""
    out: int
    """Packets that may be out."""
    small: int
    """Jobs that may be out beside which one goes that is not full."""


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
        return JobSize(1, 0, 0)
    least = ceil(calls / tasks)
    if seconds is None:
        return JobSize(least, calls + processes, tasks + processes)
    full = max(least, min(MOST_PACKETS, int(calls / processes * WORK / seconds)))
    ahead = int(max(processes * full, calls * TRAVEL / seconds))
    return JobSize(full, calls + ahead, processes * int(max(2.0, RATE * seconds)))
