"""A file that is there to be deleted: the space with which a full disk lets work in flight finish.

When the disk is full, new packets are refused at once, but outcomes and settled deliveries still have to be written;
the reserve makes room for them. It is made again, and packets are taken again, once the disk has twice its size free.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from collator.files import new_file

SIZE = 8 * 1024 * 1024
"""Bytes; less on a small disk: one part in 64 of it."""


class Reserve:
    """The reserve of one data directory."""

    def __init__(self, path: Path) -> None:
        """Make the reserve at *path* unless it is there."""
        self._path = path
        self._size = min(SIZE, shutil.disk_usage(path.parent).total // 64)
        self._next_try = 0.0
        # An earlier process may have left it, whole: on a full disk it could not be made again.
        there = path.exists() and path.stat().st_size >= self._size
        self.spent = not (there or self._make())

    def spend(self) -> None:
        """Give the space away; safe to repeat."""
        self._path.unlink(missing_ok=True)
        self.spent = True

    def restore(self) -> bool:
        """Make the reserve again if the disk allows it; tried once a second at most."""
        now = time.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + 1.0
        self.spent = not (shutil.disk_usage(self._path.parent).free >= 2 * self._size and self._make())
        return not self.spent

    def _make(self) -> bool:
        try:
            self._path.unlink(missing_ok=True)
            with new_file(self._path) as file:
                file.write(bytes(self._size))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        return True
