"""A file that a person may change while the service runs: read again when it does, so that nothing is restarted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from collator.errors import ConfigError

T = TypeVar("T")

_MAX_FILE = 64 * 1024

_log = structlog.get_logger("collator.watched")


class WatchedFile(Generic[T]):
    """What one file says. A file that has become unusable leaves what it said before, with a line in the log."""

    def __init__(self, path: Path, parse: Callable[[str], T], *, what: str) -> None:
        """Read *path*, whose text *parse* understands or refuses with `ConfigError`. *what* names it in messages.

        Raises `ConfigError` where it cannot be used.
        """
        self._path, self._parse, self._what = path, parse, what
        try:
            self._stamp, self._said = self._read()
        except ConfigError as error:
            raise ConfigError(f"{what} {path}: {error.detail}") from None

    def current(self) -> T:
        """What it says now."""
        try:
            stamp = _stamp_of(os.stat(self._path))  # noqa: PTH116 - often called: a third of the time of Path.stat
        except OSError as error:
            self._keep(None, error.strerror or type(error).__name__)
            return self._said
        if stamp != self._stamp:
            self._reload(stamp)
        return self._said

    def _reload(self, stamp: _Stamp) -> None:
        try:
            self._stamp, self._said = self._read()
        except ConfigError as error:
            self._keep(stamp, error.detail)
        else:
            _log.info("file read again", what=self._what, file=str(self._path))

    def _keep(self, stamp: _Stamp | None, problem: str) -> None:
        if stamp != self._stamp:  # one line for each change of the file, not one for each look
            _log.error(
                "file unusable, what it said before holds", what=self._what, file=str(self._path), problem=problem
            )
        self._stamp = stamp

    def _read(self) -> tuple[_Stamp | None, T]:
        try:
            with self._path.open("rb") as file:
                # Before the content: a change in between is then seen by the next look.
                stamp = _stamp_of(os.fstat(file.fileno()))
                content = file.read(_MAX_FILE + 1)
            if len(content) > _MAX_FILE:  # what it says behind would be passed over in silence
                raise ConfigError(f"larger than {_MAX_FILE // 1024} KiB")
            return stamp, self._parse(content.decode())
        except OSError as error:
            raise ConfigError(error.strerror or type(error).__name__) from None
        except UnicodeDecodeError:
            raise ConfigError("not text in UTF-8") from None


_Stamp = tuple[int, int, int]


def _stamp_of(stat: os.stat_result) -> _Stamp:
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
