"""A watch on the files of the data directory: whether its path still names those that are open.

A file that was removed or replaced stays open, and whatever is written into it goes with the process. So before and
after a group of calls is committed, at most `LOOK` seconds after the last look, device and inode are compared: who was
not answered yet hears that nothing is stored. What comes back in time (a directory that was moved away and back) is
used as if nothing had been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from collator.errors import Vanished
from collator.ledgers.sqlite.lock import LOCK
from collator.ledgers.sqlite.store import DATABASE

log = structlog.get_logger("collator.ledger")

LOOK = 0.25
"""Seconds for which one look holds: so much of what was acknowledged may go with files that somebody removes."""
GRACE = 15.0
"""Seconds after which a service whose files are gone ends."""

Identity = tuple[int, int]
"""Device and inode."""


class Presence:
    """The files of a data directory as they were when they were opened."""

    def __init__(self, data_dir: Path, *, now: Callable[[], float] = time.monotonic) -> None:
        """Remember the files in *data_dir*, all of which are there."""
        self._data_dir, self._now = data_dir, now
        names = (LOCK, DATABASE, f"{DATABASE}-wal")
        self._known = [(path, found) for name in names if isinstance(found := _look(path := data_dir / name), tuple)]
        self._look_at = 0.0
        self._missing_since: float | None = None
        self._ended = ""
        self.words: str | None = None
        """What was not there at the last look."""

    def look(self) -> str | None:
        """The missing files, in words; `None` while all are there. Looks again at most every `LOOK` seconds.

        For the thread that commits: a look at a disk that hangs takes as long as that does.
        """
        now = self._now()
        if now >= self._look_at:
            self._look_at = now + LOOK
            self._compare(now)
        return self.words

    def gone(self) -> bool:
        """Return whether something is not there at this moment."""
        return bool(_difference(self._known))

    def lost(self) -> Vanished | None:
        """The error to end with, once something has been missing for `GRACE` seconds."""
        since = self._missing_since
        return Vanished(self._ended) if since is not None and self._now() - since >= GRACE else None

    def _compare(self, now: float) -> None:
        words = _difference(self._known)
        if words and not self.words:
            log.error("the data directory was moved, removed or replaced", reason=words, stops_in=GRACE)
            self._missing_since, self._ended = now, f"{words}; the service stopped after {GRACE:g} s"
            self.words = f"{words}; nothing is stored until it is back, and the service stops in {GRACE:g} s"
        elif not words and self.words:
            log.warning("the data directory is back", data_dir=str(self._data_dir))
            self._missing_since, self.words = None, None


def _difference(known: Sequence[tuple[Path, Identity]]) -> str:
    for path, identity in known:
        found = _look(path)
        if found != identity:
            return f"{path} {'was replaced by another file' if isinstance(found, tuple) else found}"
    return ""


def _look(path: Path) -> Identity | str:
    """The identity of the file at *path*, or the reason why it has none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "does not exist any more"
    except OSError as error:
        return f"cannot be accessed any more ({error.strerror})"
    return found.st_dev, found.st_ino
