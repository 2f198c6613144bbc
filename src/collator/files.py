"""Files and their permissions: those that the settings name, and those that are made here.

A file of the settings is read without blocking: a pipe without a writer, which would block the event loop, is no file.
What is made here belongs to its owner alone from its first byte, whatever the umask says.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path
from typing import BinaryIO

_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_WRITE, _READ = stat.S_IWGRP | stat.S_IWOTH, stat.S_IROTH


def read_file(path: Path, most: int) -> tuple[os.stat_result, bytes]:
    """The state of the file *path* just before it was read, and its first *most* bytes. `OSError` for what is none."""
    descriptor = os.open(path, os.O_RDONLY | _AT_ONCE | _BINARY)
    try:
        found = os.fstat(descriptor)
        _require(found)
    except OSError:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        return found, file.read(most)


def require_file(path: Path) -> None:
    """Raise `OSError` unless *path* is a file: for libraries that open it themselves, and would wait for a pipe."""
    _require(path.stat())


def open_private(path: str | os.PathLike[str], flags: int) -> int:
    """As `os.open`; what it makes is its owner's alone, and a link that stands there is not followed."""
    return os.open(path, flags | _NO_LINK, stat.S_IRUSR | stat.S_IWUSR)


def new_file(path: Path) -> BinaryIO:
    """*path*, which must not be there, made for its owner alone and open to be written. Raises `OSError`."""
    return os.fdopen(open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY), "wb")


def make_directory(path: Path, *, new: bool = False) -> None:
    """Make the directory *path* for its owner alone, unless it is there and need not be *new*. Raises `OSError`.

    Those above it that are not there are made too; others may look into them, and not write.
    """
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH, exist_ok=True)
    path.mkdir(stat.S_IRWXU, exist_ok=not new)


def exposure(path: Path, found: os.stat_result, *, secret: bool) -> str | None:
    """Say what others may do with *path*, whose state is *found*, and how to change that; `None` where it is in order.

    Nobody else may write it, and where it is *secret*, nobody beside its group may read it.
    """
    if os.name != "posix":
        return None
    mode = found.st_mode
    may = " and ".join(["read"] * bool(secret and mode & _READ) + ["write"] * bool(mode & _WRITE))
    if not may:
        return None
    return f"other users of this machine can {may} it: chmod {'go-rwx' if secret else 'go-w'} {shlex.quote(str(path))}"


def _require(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe, a device or a socket, not a regular file")
