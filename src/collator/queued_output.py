"""Output that never blocks: what is written waits in a bounded queue for a thread that writes it out.

A pipe without a reader, a terminal that is halted, a disk that hangs: code that prints would wait for them, and a
service with it (P5). Here only that thread waits. What the queue has no place for is lost and counted, line by line; so
is what the system refuses, as a full disk does. The first line that gets through again says how much was lost.
"""

from __future__ import annotations

import io
import os
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from collator.forks import Kept

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LIMIT = 1024 * 1024
"""Bytes that wait, at most; as many again may be on their way."""


class QueuedOutput(io.RawIOBase):
    """A file *descriptor* that is written to without waiting; *notice* puts into words how many lines were lost."""

    def __init__(self, descriptor: int, notice: Callable[[int], str], *, limit: int = LIMIT) -> None:
        """Start the thread that writes. *limit* in bytes."""
        super().__init__()
        self.lost = 0
        """Lines that were lost so far."""
        self._descriptor = descriptor
        self._notice = notice
        self._limit = limit
        self._is_torn = False
        self._begin()
        self._is_copy = False
        self._kept = Kept(first=self._become_copy)
        threading.Thread(target=self._run, name=f"collator-output-{descriptor}", daemon=True).start()

    def write(self, data: ReadableBuffer, /) -> int:
        """Take *data*, all of it, and return at once."""
        piece = bytes(data)
        if self._is_copy:
            self._put(piece)
            return len(piece)
        with self._changed:
            # Once something is lost, so is what follows, until the queue is empty: one gap, told where it is.
            if self._dropped or (self._pieces and self._held + len(piece) > self._limit):
                lines = piece.count(b"\n") or 1
                self._dropped += lines
                self.lost += lines
            else:
                self._pieces.append(piece)
                self._held += len(piece)
                self._changed.notify_all()
        return len(piece)

    def drain(self, timeout: float) -> bool:
        """Wait until everything is written out, *timeout* seconds at most; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._pieces or self._dropped or self._is_writing), timeout)

    def writable(self) -> bool:
        """Say yes."""
        return True

    def fileno(self) -> int:
        """The descriptor; what is written to it by itself may come before what waits here."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def _begin(self) -> None:
        # Its lock may be taken again by the thread that holds it: a signal handler or a finalizer may print too.
        self._changed = threading.Condition(threading.RLock())
        self._pieces: list[bytes] = []
        self._held = 0
        self._dropped = 0
        self._is_writing = False

    def _become_copy(self) -> None:
        """Write without a queue in a process that was forked from this one: the thread is not in it."""
        self._begin()
        self._is_copy = True

    def _run(self) -> None:
        untold = 0
        while True:
            data, dropped = self._take()
            if untold and self._write_notice(untold):
                untold = 0
            refused = self._put(data).count(b"\n")
            with self._changed:  # others count too
                self.lost += refused
            untold += refused + dropped
            if dropped and self._write_notice(untold):
                untold = 0

    def _take(self) -> tuple[bytes, int]:
        """Take the text that waits, and the number of lines that were lost behind it."""
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._pieces or self._dropped)
            data, dropped = b"".join(self._pieces), self._dropped
            self._pieces.clear()
            self._held = self._dropped = 0
            self._is_writing = True
            return data, dropped

    def _write_notice(self, lines: int) -> bool:
        """Return whether it could be said that *lines* were lost."""
        return not self._put(("\n" * self._is_torn + self._notice(lines)).encode("utf-8", "backslashreplace"))

    def _put(self, data: bytes) -> bytes:
        """Write *data* out, however long that takes; what the system refused of it."""
        rest = memoryview(data)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:  # another process that has it made it so
                select.select([], [self._descriptor], [])
            except OSError:
                break
            else:
                self._is_torn = bytes(rest[written - 1 : written]) != b"\n"
                rest = rest[written:]
        return bytes(rest)
