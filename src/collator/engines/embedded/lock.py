"""One `serve` per data directory: a lock file that the operating system lets go of when its holder dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collator.directory import unusable
from collator.errors import Occupied

if sys.platform == "win32":
    import msvcrt

    def _acquire(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK = "lock"
_LOOK = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY


class DirectoryLock:
    """Held from its making to `release`, or to the death of the process."""

    def __init__(self, directory: Path) -> None:
        """Take the lock on *directory*, which is made. `Occupied` where another process has it; `ConfigError`."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = _locked(directory, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise unusable(directory, error, option="--data-dir") from error

    def release(self) -> None:
        """Let go."""
        os.close(self._descriptor)


@contextmanager
def kept_out(directory: Path) -> Iterator[None]:
    """Nobody serves *directory* while the context is open. Leaves nothing there. `Occupied`, `OSError`."""
    try:
        descriptor = _locked(directory, _LOOK)
    except FileNotFoundError:  # nobody has ever served it, as a copy
        yield
        return
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(directory: Path, flags: int) -> int:
    """A descriptor that holds the lock of *directory*. `Occupied`, `OSError`."""
    descriptor = os.open(directory / LOCK, flags, 0o644)
    try:
        _acquire(descriptor)
    except OSError:
        os.close(descriptor)
        raise Occupied(
            f"another process holds the data directory {directory}; stop it, or choose another with --data-dir"
        ) from None
    return descriptor
