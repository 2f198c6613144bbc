"""A connection that looks at a database which nobody serves, and leaves no trace beside it.

A database in WAL mode wants an index of its log, which SQLite makes beside it, or refuses in a directory that cannot be
written. Where there is no log, none is wanted, and the file can be read as one that does not change (``immutable``).
Where a killed process has left its log, that belongs to the database, and its index is read as it was left, or made
and taken away again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from collator.directory import unusable
from collator.errors import CollatorError, ConfigError
from collator.ledgers.sqlite.store import prepare

_LOGS = ("-wal", "-journal")


@contextmanager
def open_immutable(database: Path) -> Iterator[apsw.Connection]:
    """Read *database*, log and all, while the context is open. `ConfigError` where this user may not; `apsw.Error`."""
    _check_readable(database)
    index = _beside(database, "-shm")
    left = index.exists()
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"{database.absolute().as_uri()}?{_how(database, index_left=left)}", flags=flags)
    try:
        _look(connection, database)
        yield connection
    finally:
        connection.close()
        if not left and index.exists():
            index.unlink()


def cannot_be_read(error: OSError) -> CollatorError:
    """Put *error* into words for the person who wants a data directory read."""
    if not isinstance(error, PermissionError):
        return unusable(Path(error.filename), error, option="--data-dir")
    return ConfigError(
        f"{error.filename} cannot be read: {str(error.strerror).lower()}; run this as another user, or choose another "
        "directory with --data-dir"
    )


def _how(database: Path, *, index_left: bool) -> str:
    logs = [_beside(database, ending) for ending in _LOGS]
    if not any(log.exists() and log.stat().st_size for log in logs):
        return "immutable=1"
    return "readonly_shm=1" if index_left else "mode=ro"


def _check_readable(database: Path) -> None:
    try:
        for path in (database, *(_beside(database, ending) for ending in (*_LOGS, "-shm"))):
            if path.exists() or path is database:
                os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        raise cannot_be_read(error) from None


def _look(connection: apsw.Connection, database: Path) -> None:
    """The first look, which is the one that needs the index of the log."""
    try:
        prepare(connection)
        connection.pragma("user_version")
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        raise ConfigError(
            f"{database} has a write-ahead log, left by a process that was killed; to read it, the directory "
            "must be writable for this user: make it writable, or check a copy"
        ) from None


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)
