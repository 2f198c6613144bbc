"""How much of the disk is free: packets are refused before there is none (P5), and taken again once there is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from collator.errors import StorageLow

LOOK = 1.0
"""Seconds for which one look holds."""
_MIB = 1024 * 1024


class Disk:
    """The disk that holds one directory."""

    def __init__(self, directory: Path, *, keep: int, now: Callable[[], float] = time.monotonic) -> None:
        """*keep* so many bytes free."""
        self._directory, self._keep, self._now = directory, keep, now
        self._free, self._look_at = keep, 0.0

    def free(self) -> int:
        """Bytes free, at most `LOOK` seconds ago."""
        now = self._now()
        if now >= self._look_at:
            self._free, self._look_at = shutil.disk_usage(self._directory).free, now + LOOK
        return self._free

    def low(self) -> StorageLow | None:
        """Why no packets are taken; `None` while there is enough free space."""
        free = self.free()
        if free >= self._keep:
            return None
        return StorageLow(
            f"{free // _MIB} MiB of the disk are free, and {self._keep // _MIB} MiB are kept free (min_free_disk); "
            "make room, and the service goes on by itself",
            retry_after=2.0,
        )
