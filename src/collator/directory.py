"""Directories that a person names: made and seen to be writable, or told in a line why not and what to do."""

from __future__ import annotations

import errno
from pathlib import Path
from tempfile import TemporaryFile

from collator.errors import CollatorError, ConfigError, StorageFull

_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


def make(directory: Path, *, option: str) -> Path:
    """*directory*, made unless it is there. `ConfigError`, which names *option*."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(directory, error, option=option) from None
    return directory


def make_new(directory: Path, *, option: str) -> Path:
    """*directory*, which was not there before. `ConfigError`, which names *option*."""
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise _refusal(f"{directory} cannot be made", error, f"name a new one with {option}") from None
    return directory


def writable(directory: Path, *, option: str) -> Path:
    """*directory*, in which a file was made, and is no more. `ConfigError`, which names *option*."""
    try:
        TemporaryFile(dir=directory).close()
    except OSError as error:
        raise unusable(directory, error, option=option) from None
    return directory


def unusable(directory: Path, error: OSError, *, option: str) -> CollatorError:
    """What *error*, met with *directory*, means to the person who named it with *option*."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return ConfigError(f"{directory} is not a directory, or lies in none; name another with {option}")
    words = "make it writable for this user, or name another with " + option
    return _refusal(f"the directory {directory} cannot be used", error, words)


def _refusal(what: str, error: OSError, do: str) -> CollatorError:
    if error.errno in _FULL:
        return StorageFull(f"{what}: the disk is full; free some space")
    return ConfigError(f"{what}: {error.strerror or error}; {do}")
