"""Free space of the disk: packets are refused before there is none (P5), and taken again once there is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from collator.errors import StorageLow, Unavailable

LOOK = 1.0
"""Seconds for which one look holds."""
_MIB = 1024 * 1024


class Disk:
    """The disk that holds one directory."""

    def __init__(self, directory: Path, *, keep: int, now: Callable[[], float] = time.monotonic) -> None:
        """*keep* so many bytes free."""
        self._directory, self._keep, self._now = directory, keep, now
        self._free, self._look_at = keep, 0.0
        self._trouble = ""

    def free(self) -> int:
        """Bytes free, at most `LOOK` seconds ago; none where the disk does not say."""
        now = self._now()
        if now >= self._look_at:
            self._look_at = now + LOOK
            try:
                self._free, self._trouble = shutil.disk_usage(self._directory).free, ""
            except OSError as error:  # moved away, unmounted, a network that is down: it may come back
                self._free, self._trouble = 0, error.strerror or type(error).__name__
        return self._free

    def low(self) -> Unavailable | None:
        """The error for all packets while the disk is low; `None` while there is enough free space."""
        free = self.free()
        if self._trouble:
            return Unavailable(f"the disk of the data directory cannot be read: {self._trouble}", retry_after=2.0)
        if free >= self._keep:
            return None
        return StorageLow(
            f"only {free // _MIB} MiB of the disk are free, less than {self._keep // _MIB} MiB (min_free_disk); "
            "free some space, and the service continues",
            retry_after=2.0,
        )
