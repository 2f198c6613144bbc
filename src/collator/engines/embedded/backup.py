"""A copy of a store that may be in use: consistent, verified, and as after a clean stop.

A second connection reads one snapshot, page by page, while the service goes on; the write-ahead log grows by what is
written meanwhile, as nothing in it can be reused before the copy is done. SQLite's backup interface rather than
``VACUUM INTO``: it can be stopped between two slices of pages (docs/decisions/008-a-backup-is-a-second-reader.md).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import msgspec

from collator.directory import make, unusable, writable
from collator.durable import sync_directory
from collator.engines.embedded.checking import Report, check, schema_of
from collator.engines.embedded.store import DATABASE, connect, load_statements, make_private
from collator.errors import ConfigError, Damaged, StorageFull

SECRET = "webhook.secret"  # noqa: S105 - the name of a file
PARTIAL = DATABASE + ".partial"
"""What the copy is called until it is whole."""
SLICE = 1024
"""Pages that are copied between two looks at whether a person wants to stop."""


def back_up(data_dir: Path, target: Path) -> Report:
    """Copy the store in *data_dir* to *target*, a new directory, and check the copy.

    It holds all that was acknowledged when this was called, and the secret that signs webhooks goes with it. Where
    the report is not sound, the copy stays under another name; after an error nothing does. Raises `ConfigError`,
    `StorageFull`, `Damaged`, `SchemaTooNew`.
    """
    source = data_dir / DATABASE
    with _told(data_dir, target):
        if not source.is_file():
            raise ConfigError(f"there is no database in {data_dir}; name a data directory with --data-dir")
        with closing(_snapshot(source)) as reading:
            schema_of(reading)  # nothing is made for what cannot be copied
            with _made(target):
                return _copied(reading, data_dir, target)


def _snapshot(source: Path) -> apsw.Connection:
    """A connection that sees *source* as it is now, until it is closed."""
    try:
        reading = connect(source, readonly=True)
        reading.execute("begin")
        reading.pragma("user_version")  # the first look, from which on it is one snapshot
    except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise ConfigError(f"{source} cannot be read: {error}; run this as the user of the service") from error
    return reading


def _copied(reading: apsw.Connection, data_dir: Path, target: Path) -> Report:
    partial = target / PARTIAL
    make_private(partial)
    _copy(reading, partial)
    report = check(partial)
    if not report.sound:
        return report
    _finish(data_dir, target)
    return msgspec.structs.replace(report, database=str(target / DATABASE))


@contextmanager
def _told(data_dir: Path, target: Path) -> Iterator[None]:
    """Tell errors of the file system and of SQLite in words."""
    try:
        yield
    except PermissionError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}; run this as a user who may") from error
    except OSError as error:
        raise unusable(target, error, option="DIR") from error
    except apsw.FullError as error:
        raise StorageFull(f"the disk that holds {target} is full") from error
    except (apsw.Error, Damaged) as error:
        raise Damaged(f"the database in {data_dir} cannot be copied: {error}") from error


@contextmanager
def _made(target: Path) -> Iterator[None]:
    """Make *target*; where no copy comes of it, leave it as it was, so that the next try can have it."""
    there = target.exists()
    if any(make(target, option="DIR").iterdir()):
        raise ConfigError(f"{target} is not empty; name a new directory for the copy")
    try:
        writable(target, option="DIR")
        yield
    except BaseException:
        for path in target.iterdir():
            path.unlink(missing_ok=True)
        if not there:
            target.rmdir()
        raise


def _copy(reading: apsw.Connection, partial: Path) -> None:
    with closing(apsw.Connection(str(partial))) as writing:
        with writing.backup("main", reading, "main") as pages:
            while not pages.done:
                pages.step(SLICE)
        _settle(writing)


def _settle(copy: apsw.Connection) -> None:
    """Make it the copy of a stopped store: what is in work there waits here, and nothing died."""
    statements = load_statements()
    copy.pragma("journal_mode", "delete")  # one file, without a log beside it
    copy.pragma("synchronous", "full")
    with copy:
        copy.execute("update attempt set alone = 1 where alone = 2")
        in_work = copy.execute(statements["in_work"]).get
        copy.execute(statements["add_ready"], (in_work,))
        copy.execute(statements["set_clean"], (1,))


def _finish(data_dir: Path, target: Path) -> None:
    if (data_dir / SECRET).exists():
        shutil.copy2(data_dir / SECRET, target / SECRET)  # with its mode: nobody else may read it
    (target / PARTIAL).replace(target / DATABASE)
    sync_directory(target)
