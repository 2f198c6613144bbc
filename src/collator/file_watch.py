"""A file that a person may change while the service runs: read again when it does, so that nothing is restarted."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from collator.errors import ConfigError
from collator.files import exposure, read_file

T = TypeVar("T")

MAX_FILE = 64 * 1024
"""Bytes that such a file may have."""
LOOK = 0.1
"""Seconds between two looks for `WatchedFile.recent`."""
_SAME_MOMENT = 100_000_000
"""Nanoseconds after a change in which another may have the same time: file systems count in ticks of up to 10 ms."""

_log = structlog.get_logger("collator.file_watch")


class WatchedFile(Generic[T]):
    """The content of one file. A file that has become unusable leaves what it said before, with a line in the log."""

    def __init__(
        self, path: Path, parse: Callable[[str], T], *, what: str, secret: bool = False, missing: str = ""
    ) -> None:
        """Read *path*, whose text *parse* understands or refuses with `ConfigError`. *what* names it in messages.

        Others may read it unless it is *secret*, and not write it: a line in the log says so where they can.
        *missing* says what to do where there is no such file.
        Raises `ConfigError` where it cannot be used.
        """
        self._path, self._parse, self._what, self._secret, self._missing = path, parse, what, secret, missing
        self._exposure: str | None = None  # as it was told
        self._look_at = 0.0  # when `recent` looks again
        self._settled = True  # whether the stamp would tell a change that came after the reading
        try:
            stamp, content = self._read()
            self._stamp: _Stamp | None = stamp
            self._digest, self._said = hashlib.sha256(content).digest(), self._understood(content)
        except ConfigError as error:
            raise ConfigError(f"{what} {path}: {error.detail}") from None

    def current(self) -> T:
        """The content, parsed, as it is now."""
        try:
            stamp = _stamp_of(os.stat(self._path))  # noqa: PTH116 - often called: a third of the time of Path.stat
        except OSError as error:
            self._keep(None, error.strerror or type(error).__name__)
            return self._said
        if stamp != self._stamp or not self._settled:
            self._reload(stamp)
        return self._said

    def recent(self) -> T:
        """The content, parsed, as it was at most `LOOK` seconds ago: for who asks at every request."""
        now = time.monotonic()
        if now < self._look_at:
            return self._said
        self._look_at = now + LOOK
        return self.current()

    def _reload(self, stamp: _Stamp) -> None:
        try:
            read, content = self._read()
            digest = hashlib.sha256(content).digest()
            if digest != self._digest:
                self._said, self._digest = self._understood(content), digest
                _log.info("file reloaded", what=self._what, file=str(self._path))
            self._stamp = read
        except ConfigError as error:
            self._keep(stamp, error.detail)

    def _keep(self, stamp: _Stamp | None, problem: str) -> None:
        if stamp != self._stamp:  # one line for each change of the file, not one for each look
            _log.error(
                "file invalid; its previous content stays in use",
                what=self._what,
                file=str(self._path),
                reason=problem,
            )
        self._stamp, self._digest = stamp, b""

    def _read(self) -> tuple[_Stamp, bytes]:
        try:
            # The state before the content: a change in between is then seen by the next look.
            found, content = read_file(self._path, MAX_FILE + 1)
        except OSError as error:
            advice = f"; {self._missing}" if self._missing and isinstance(error, FileNotFoundError) else ""
            raise ConfigError(f"{error.strerror or type(error).__name__}{advice}") from None
        self._settled = not 0 <= time.time_ns() - found.st_ctime_ns < _SAME_MOMENT
        problem = exposure(self._path, found, secret=self._secret)
        if problem and problem != self._exposure:
            _log.warning("file accessible to other users", what=self._what, file=str(self._path), reason=problem)
        self._exposure = problem
        return _stamp_of(found), content

    def _understood(self, content: bytes) -> T:
        if len(content) > MAX_FILE:  # what it says behind would be passed over in silence
            raise ConfigError(f"larger than {MAX_FILE // 1024} KiB")
        try:
            return self._parse(content.decode())
        except UnicodeDecodeError:
            raise ConfigError("not text in UTF-8") from None


_Stamp = tuple[int, int, int, int]


def _stamp_of(stat: os.stat_result) -> _Stamp:
    """The attributes that change with a file; of its times, the change time cannot be set by a program."""
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
