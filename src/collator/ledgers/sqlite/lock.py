"""One `serve` per data directory: a lock file that the operating system lets go of when its holder dies.

The lock belongs to the open file, so that it also holds within a process, and a fork would share it. So no fork keeps
the file, nor any other of the directory (`collator.forks`). The file holds the number of the process, for a person.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from collator.directory import unusable
from collator.errors import Occupied
from collator.files import make_directory, open_private, read_file
from collator.forks import Kept

if sys.platform == "win32":
    import msvcrt

    def _acquire(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK = "lock"
_MOST_NAME = 32  # bytes of the number of a process
_LOOK = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY


class DirectoryLock:
    """Held from its making to `release`, or to the death of the process, whatever forks there are of it."""

    def __init__(self, directory: Path) -> None:
        """Take the lock on *directory*, which is made. `Occupied` where another process has it; `ConfigError`."""
        try:
            make_directory(directory)
            self._descriptor = _locked(directory, os.O_RDWR | os.O_CREAT)
            if sys.platform != "win32":
                # Earlier versions let others read the lock, and a process that can read it can take it.
                with suppress(OSError):  # it is another user's, who lets this one write
                    os.fchmod(self._descriptor, 0o600)
        except OSError as error:
            raise unusable(directory, error, option="--data-dir") from error
        self._kept = Kept(partial(_descriptors, self._descriptor, f"{directory.resolve()}{os.sep}"))
        _name_holder(self._descriptor, str(os.getpid()))

    def release(self) -> None:
        """Let go. Nothing else of the directory is open any more."""
        self._kept.release()
        _name_holder(self._descriptor, "")
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
    descriptor = open_private(directory / LOCK, flags)
    try:
        _acquire(descriptor)
    except OSError:
        os.close(descriptor)
        raise Occupied(
            f"the data directory {directory} is in use by another process{_holder(directory)}; "
            "stop it, or choose another with --data-dir"
        ) from None
    return descriptor


def _name_holder(descriptor: int, name: str) -> None:
    with suppress(OSError):  # the disk is full, which says nothing against the lock
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, name.encode())


def _holder(directory: Path) -> str:
    """The number of the process that holds *directory*, in brackets, if it says so and is there."""
    try:
        pid = int(read_file(directory / LOCK, _MOST_NAME)[1])
        with suppress(PermissionError):  # it is there, and another user's
            os.kill(pid, 0)
    except (OSError, ValueError, OverflowError):
        return ""
    return f" ({pid})"


def _descriptors(lock: int, within: str) -> list[int]:
    """All descriptors of files *within* a directory; *lock* where the system does not list them."""
    if sys.platform != "linux":
        return [lock]
    listed = map(int, os.listdir("/proc/self/fd"))  # noqa: PTH208 - in a fork, as little as can be
    return [lock, *(descriptor for descriptor in listed if _file(descriptor).startswith(within))]


def _file(descriptor: int) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - as above
    return ""
