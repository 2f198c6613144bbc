"""Standard output of functions in processes of the pool: printing never fails, and waits for no reader twice.

Where nothing can be written (a closed descriptor, a pipe whose reader has gone, a full disk) what is printed is lost. A
reader that stands still is waited for once, for `PATIENCE`; what is printed from then on is lost until it reads on. The
service has a queue for the same (`collator.queued_output`), which here would lose the last words before a crash.
"""

from __future__ import annotations

import io
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PATIENCE = 1.0
"""Seconds."""
_PIECE: Final = 4096
"""Bytes that a pipe takes at once where it takes any."""


def forgive() -> None:
    """Let what is printed to `sys.stdout` and `sys.stderr` be lost where it cannot be written."""
    sys.stdout, sys.stderr = _forgiving(1, sys.stdout), _forgiving(2, sys.stderr)


def _forgiving(descriptor: int, stream: TextIO | None) -> TextIO:
    if stream is not None:
        with suppress(OSError, ValueError):  # the latter: it is closed
            stream.flush()
    encoding = getattr(stream, "encoding", None) or "utf-8"
    raw = Forgiving(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True)


class Forgiving(io.FileIO):
    """A file to which writing never fails, and for whose reader it waits once."""

    _patience = PATIENCE

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of *data*, or lose the rest."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            if not (self._takes() and self._write(view[start : start + _PIECE])):
                break
        return len(view)

    def _takes(self) -> bool:
        """Wait until something can be written; False where that takes too long."""
        if sys.platform == "win32":
            return True
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        ready = bool(poll.poll(self._patience * 1000))
        self._patience = PATIENCE if ready else 0.0
        return ready

    def _write(self, piece: memoryview) -> bool:
        with suppress(OSError):
            return super().write(piece) == len(piece)
        return False
