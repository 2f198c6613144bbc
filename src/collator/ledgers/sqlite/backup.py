"""A copy of a store that may be in use: consistent, verified, and as after a clean stop.

A second connection reads one snapshot, page by page, while the service goes on; the write-ahead log grows by what is
written meanwhile, as nothing in it can be reused before the copy is done. SQLite's backup interface rather than
``VACUUM INTO``: it can be stopped between two slices of pages (docs/decisions/008-a-backup-is-a-second-reader.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import apsw
import msgspec

from collator.directory import make, unusable, writable
from collator.durability import sync_directory
from collator.errors import CollatorError, ConfigError, Damaged, StorageFull, Unavailable
from collator.file_watch import MAX_FILE
from collator.files import new_file, read_file
from collator.ledgers.sqlite.check import check, find, schema_of
from collator.ledgers.sqlite.immutable import cannot_be_read, open_immutable
from collator.ledgers.sqlite.lock import kept_out
from collator.ledgers.sqlite.move_mark import MARK
from collator.ledgers.sqlite.recovery import in_work
from collator.ledgers.sqlite.schema import BY_RUNS
from collator.ledgers.sqlite.statements import load_statements
from collator.ledgers.sqlite.store import DATABASE, as_json, connect, make_private
from collator.messages.checks import Report

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
    with _errors_in_words(data_dir, target):
        find(source)
        with _snapshot(source) as reading:
            schema_of(reading)  # nothing is made for what cannot be copied
            with _made(target):
                return _copied(reading, data_dir, target)


@contextmanager
def _snapshot(source: Path) -> Iterator[apsw.Connection]:
    """A connection that sees *source* as it is now, while the context is open.

    Where nothing can be written beside it, as on a medium that is read-only, nobody else may have it meanwhile.
    """
    with ExitStack() as stack:
        try:
            reading = stack.enter_context(closing(connect(source, readonly=True)))
            _begin(reading)
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            stack.enter_context(kept_out(source.parent))
            reading = stack.enter_context(open_immutable(source))
            _begin(reading)
        yield reading


def _begin(reading: apsw.Connection) -> None:
    reading.execute("begin")
    reading.pragma("user_version")  # the first look, from which on it is one snapshot


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
def _errors_in_words(data_dir: Path, target: Path) -> Iterator[None]:
    """Tell errors of the file system and of SQLite in words."""
    try:
        yield
    except OSError as error:
        path = Path(error.filename or target)
        if path.is_relative_to(data_dir):
            raise cannot_be_read(error) from error
        raise unusable(path, error, option="DIR") from error
    except apsw.FullError as error:
        raise StorageFull(f"the disk of {target} is full; free some space") from error
    except (apsw.Error, Damaged) as error:
        raise _gone(data_dir) or _in_words(data_dir, error) from error


@contextmanager
def _made(target: Path) -> Iterator[None]:
    """Make *target*; where no copy comes of it, leave it as it was, so that the next try can have it."""
    there = target.exists()
    if any(make(target, option="DIR").iterdir()):
        raise ConfigError(f"{target} is not empty; choose a new directory for the copy")
    try:
        writable(target, option="DIR")
        yield
    except BaseException as error:
        gone = _gone(target) if isinstance(error, Exception) else None
        with suppress(OSError):  # it is gone, or its disk is: the error that is raised says so
            for path in target.iterdir():
                path.unlink(missing_ok=True)
            if not there:
                target.rmdir()
        if gone:
            raise gone from error
        raise


def _in_words(data_dir: Path, error: Exception) -> CollatorError:
    if isinstance(error, apsw.IOError):
        return Unavailable(f"the database in {data_dir} cannot be copied because the disk fails: {error}")
    return Damaged(f"the database in {data_dir} cannot be copied: {error}")


def _gone(directory: Path) -> ConfigError | None:
    """The error where *directory* was moved or removed since it was found, or made."""
    if directory.exists():
        return None
    return ConfigError(f"the directory {directory} was moved or removed during the copy; start again")


def _copy(reading: apsw.Connection, partial: Path) -> None:
    with closing(apsw.Connection(str(partial))) as writing:
        with writing.backup("main", reading, "main") as pages:
            while not pages.done:
                pages.step(SLICE)
        _mark_stopped(writing)


def _mark_stopped(copy: apsw.Connection) -> None:
    """Make it the copy of a stopped store: what is in work there waits here, and nothing died."""
    statements = load_statements()
    copy.pragma("journal_mode", "delete")  # one file, without a log beside it
    copy.pragma("synchronous", "full")
    with copy:
        copy.execute("update attempt set alone = alone - 1 where alone > 0 and alone % 2 = 0")
        if copy.pragma("user_version") < BY_RUNS:  # outcomes are a table with a row for each
            copy.execute("create temp view outcome as select k, k >> 24 as rk from main.outcome")
        copy.execute(statements["add_ready"], (as_json(in_work(copy, statements)),))
        copy.execute(statements["set_clean"], (1,))


def _finish(data_dir: Path, target: Path) -> None:
    for name in (SECRET, MARK):
        if (data_dir / name).exists():
            _, content = read_file(data_dir / name, MAX_FILE)
            with new_file(target / name) as copy:
                copy.write(content)
    (target / PARTIAL).replace(target / DATABASE)
    sync_directory(target)
