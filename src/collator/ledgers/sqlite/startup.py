"""Opening the store of a data directory, also on a full disk, saying in words why it cannot be, and closing it.

Even to open a database takes some space (the index of its log, the mark that it is in use), so on a full disk the
reserve of the last process is given away first. What is still in the way is told as an error of Collator's own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import apsw
import structlog

from collator.directory import is_full, unusable, writable
from collator.errors import CollatorError, ConfigError, Damaged, StorageFull, Unavailable
from collator.files import exposure
from collator.ledgers.sqlite import origin, recovery
from collator.ledgers.sqlite.store import DATABASE, Store

log = structlog.get_logger("collator.ledger")

RESERVE = "reserve"
_PASSING = (
    apsw.FullError,
    apsw.IOError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.InterruptError,
    apsw.ProtocolError,
)
"""What another start may not meet. Whatever else SQLite says of a database, it says again at each."""
_REFUSED = (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError)


def open_store(data_dir: Path, make: Callable[[], Store]) -> Store:
    """The store that *make* opens in *data_dir*, recovered.

    Raises `StorageFull`, `Unavailable`, `ConfigError`, `Damaged` or `SchemaTooNew` where it cannot be.
    """
    try:
        if problem := exposure(data_dir, data_dir.stat(), secret=False):
            log.warning("data directory accessible to other users", reason=problem)
        origin.begin(data_dir / DATABASE)
        return _recovered(make)
    except OSError as error:
        raise unusable(Path(error.filename or data_dir), error, option="--data-dir") from error
    except apsw.Error as error:
        if not _is_full(data_dir, error):
            raise _in_words(data_dir, error) from error
    (data_dir / RESERVE).unlink(missing_ok=True)
    try:
        return _recovered(make)
    except apsw.Error as error:
        raise _in_words(data_dir, error) from error


def close_store(store: Store, *, clean: bool, gone: bool = False) -> None:
    """Close *store*, whose last connection this is; marked as a *clean* stop where it is one.

    Where its files are *gone*, what stands in their place is left alone.
    """
    if clean:
        try:
            recovery.mark_clean_stop(store)
        except apsw.Error as error:  # the next start only looks more closely, and runs alone what was in work
            log.warning("cannot mark the stop as clean", error=repr(error))
    if gone:
        # SQLite removes the log by its name, and looks for the inode of its database only, which may be that of another
        # one on another disk. So the log of a service that was started on what was mounted there since would go, and
        # with it what that has acknowledged.
        yes = ctypes.c_int(1)
        store.connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(yes))
    store.connection.close()
    if clean:
        origin.end(store.path)


def _recovered(make: Callable[[], Store]) -> Store:
    try:
        store = make()
        try:
            recovery.find_suspects(store)
        except BaseException:
            store.connection.close()
            raise
    except (ValueError, TypeError) as error:  # what stands there is not what was written
        raise Damaged(f"the database cannot be read: {error}") from error
    return store


def _is_full(data_dir: Path, error: apsw.Error) -> bool:
    return isinstance(error, apsw.FullError) or is_full(data_dir)


def _in_words(data_dir: Path, error: apsw.Error) -> CollatorError:
    if not isinstance(error, (*_PASSING, *_REFUSED)):
        return Damaged(f"the database in {data_dir} is damaged: {error}")
    try:
        writable(data_dir, option="--data-dir")  # SQLite does not say why
    except CollatorError as reason:
        if not isinstance(reason.__context__, PermissionError):  # which may be about one of the files
            return reason
    if _is_full(data_dir, error):
        return StorageFull(f"the disk of {data_dir} is full; free some space and start again")
    if isinstance(error, _REFUSED):
        return ConfigError(
            f"the database in {data_dir} cannot be written: {error}; make the directory and the files of the database "
            "writable for this user, or choose another with --data-dir"
        )
    return Unavailable(f"the database in {data_dir} cannot be opened: {error}")
