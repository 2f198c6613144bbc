"""The service's ends of the pipes to a process: they end when the process does, even if a fork holds the other ends."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress

from collator.forks import Kept

LOOK = 0.05
"""Seconds between two looks whether the process is still there, while nothing can be read or written."""
_PIECE = 256 * 1024


class Pipes:
    """Its output is read from *source*, what it is told is written to *sink*. All belongs to one thread."""

    def __init__(self, source: int, sink: int, *, ended: Callable[[], bool]) -> None:
        """*ended* tells whether the process has."""
        self._source, self._sink = source, sink
        self._ended = ended
        self._kept = Kept(self._open)
        self._data = bytearray()
        if sys.platform != "win32":
            os.set_blocking(sink, False)  # a fork that holds the other end need not read

    def read(self, size: int, /) -> bytes:
        """*size* bytes, less only at the end."""
        while (
            len(self._data) < size
            and self._ready(self._source, reading=True)
            and (more := os.read(self._source, _PIECE))
        ):
            self._data += more
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken

    def write(self, data: bytes) -> None:
        """Write *data*; what cannot be written any more is lost, and the end shows at `read`."""
        rest = memoryview(data)
        with suppress(BrokenPipeError):
            while rest and self._ready(self._sink, reading=False):
                rest = rest[os.write(self._sink, rest[:_PIECE]) :]

    def close_sink(self) -> None:
        """Say that nothing more comes."""
        if self._sink >= 0:
            os.close(self._sink)
            self._sink = -1

    def close(self) -> None:
        """Close both."""
        self._kept.release()
        self.close_sink()
        if self._source >= 0:
            os.close(self._source)
            self._source = -1

    def _open(self) -> list[int]:
        return [descriptor for descriptor in (self._source, self._sink) if descriptor >= 0]

    def _ready(self, descriptor: int, *, reading: bool) -> bool:
        """Wait until something can be read or written; False where the process has ended."""
        if sys.platform == "win32":
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN if reading else select.POLLOUT)
        ended = False
        while not poll.poll(0 if ended else LOOK * 1000):
            if ended:
                return False
            ended = self._ended()
        return True
