"""The write-ahead log of the store, kept short also while somebody reads all the time.

Theory. SQLite copies the log into the database every so many pages, and begins it anew once all of it is copied and
nobody looks at it. Where one view follows the other, there is always one that looks at an older state than the last,
so that the end is never copied, and the log grows for as long as that goes on. So where it is long, the views are
held for the moment that the copy takes: who looks then needs the log no longer, and the next commit begins it anew.
A backup looks at one state for as long as it takes; meanwhile the log grows, which cannot be helped.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import apsw

LONG = 40 * 1024 * 1024
"""Bytes from which the log is long: it is begun anew at 16 MiB where nobody looks, and a commit has up to 16."""
FURTHER = 8 * 1024 * 1024
"""Bytes by which it grows between two tries."""
UNSEEN = 2 * 1024 * 1024
"""Bytes that may be committed between two looks at its size: a look a commit made others wait for the interpreter."""
A_COMMIT = 32 * 1024
"""Bytes that a commit of next to nothing writes: a page of each table and index."""


class Log:
    """The log of *database*, whose writing *connection* this is."""

    def __init__(self, database: Path, connection: apsw.Connection, looking: threading.Lock) -> None:
        """*looking* is held by who looks at the store."""
        self._path = database.with_name(database.name + "-wal")
        self._connection = connection
        self._looking = looking
        self._long = LONG
        self._unseen = 0  # bytes committed since the last look

    def shorten(self, committed: int) -> None:
        """Have it begun anew at the next commit, where it is long; *committed* bytes of data have just come into it.

        In the thread that commits, between two commits.
        """
        self._unseen += committed + A_COMMIT
        if self._unseen < UNSEEN:
            return
        self._unseen = 0
        try:
            size = self._path.stat().st_size
        except OSError:  # it is gone: who looks after the files says so
            return
        if size <= self._long:
            self._long = LONG if size <= LONG else self._long
            return
        self._long = size + FURTHER
        with self._looking, suppress(apsw.Error):  # what the disk refuses, the next commit is told
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
