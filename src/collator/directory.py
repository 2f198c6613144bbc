"""Directories and files of the settings: made and seen to be writable, or an error that says why not and what to do.

The one place where an error of the file system becomes a sentence: `unusable`. What SQLite refuses comes without the
reason of the operating system; that is asked for by making a file beside (`writable`).
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from collator.errors import CollatorError, ConfigError, StorageFull, Unavailable
from collator.files import make_directory

LITTLE = 1024 * 1024
"""Bytes free, below which that is taken for the reason of an error that does not say so."""
_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_TO_DO = {
    errno.EROFS: "mount its disk writable",
    errno.ELOOP: "repair its symbolic links, which form a loop",
    errno.ENAMETOOLONG: "use a shorter path",
    errno.ENOENT: "check whether it was moved or removed",
}
"""What a person can do about an error; what is not here is a matter of permissions, or of the machine."""
_OF_THE_MACHINE = {
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files of the machine (fs.file-max)",
    errno.ENOMEM: "free some memory",
    errno.EIO: "check the disk",
    getattr(errno, "ESTALE", errno.EIO): "check the network file system",
    errno.ENODEV: "check the disk",
    errno.ENXIO: "check the disk",
}


def make(directory: Path, *, option: str) -> Path:
    """*directory*, made for its owner alone unless it is there. `ConfigError`, which names *option*."""
    try:
        make_directory(directory)
    except OSError as error:
        raise unusable(directory, error, option=option) from None
    return directory


def make_new(directory: Path, *, option: str) -> Path:
    """*directory*, which was not there before. `ConfigError`, which names *option*."""
    try:
        make_directory(directory, new=True)
    except FileExistsError as error:
        raise ConfigError(
            f"cannot create {directory}: {error.strerror}; choose a new directory with {option}"
        ) from None
    except OSError as error:
        raise unusable(directory, error, option=option) from None
    return directory


def writable(directory: Path, *, option: str) -> Path:
    """*directory*, in which a file was made, and is no more. `ConfigError`, which names *option*."""
    try:
        TemporaryFile(dir=directory).close()
    except OSError as error:
        raise unusable(directory, error, option=option) from None
    return directory


def is_full(directory: Path) -> bool:
    """Return whether the disk of *directory* has nearly no space, or no room for another file."""
    if os.name != "posix":
        return shutil.disk_usage(directory).free < LITTLE
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize < LITTLE or _lacks_files(found)


def unusable(path: Path, error: OSError, *, option: str) -> CollatorError:
    """Put *error*, met at *path*, into words for the person who chose it, or its directory, with *option*."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return ConfigError(f"{path} is not a directory, or its parent is not; choose another with {option}")
    what, code = f"{path} cannot be used", error.errno or 0
    if code in _FULL:
        return StorageFull(f"{what}: {_full_words(path)}")
    words = error.strerror or str(error)
    if code in _OF_THE_MACHINE:
        return Unavailable(f"{what}: {words}; {_OF_THE_MACHINE[code]}, and try again")
    do = _TO_DO.get(code, "make it writable for this user")
    return ConfigError(f"{what}: {words}; {do}, or choose another with {option}")


def _full_words(path: Path) -> str:
    """The disk has space for no more data, or has no room for another file however small."""
    full = "the disk is full; free some space"
    if os.name != "posix":
        return full
    for place in (path, *path.parents):
        with suppress(OSError):  # it was to be made
            if _lacks_files(os.statvfs(place)):
                return "the disk has no free inodes; remove some files"
            break
    return full


def _lacks_files(found: os.statvfs_result) -> bool:
    return found.f_files > 0 and found.f_favail == 0  # 0 of 0 where a file system does not count them
