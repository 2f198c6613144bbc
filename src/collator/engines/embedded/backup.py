"""A copy of a store that may be in use: consistent, verified, and as after a clean stop.

A second connection reads one snapshot, page by page, while the service goes on; the write-ahead log grows by what is
written meanwhile, as nothing in it can be reused before the copy is done. SQLite's backup interface rather than
``VACUUM INTO``: it can be stopped between two slices of pages (docs/decisions/008-a-backup-is-a-second-reader.md).
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import apsw
import msgspec

from collator.durable import sync_directory
from collator.engines.embedded.checking import Report, check
from collator.engines.embedded.store import DATABASE, connect, load_statements
from collator.errors import ConfigError, Damaged, StorageFull

SECRET = "webhook.secret"  # noqa: S105 - the name of a file
PARTIAL = DATABASE + ".partial"
"""What the copy is called until it is whole."""
SLICE = 1024
"""Pages that are copied between two looks at whether a person wants to stop."""


def back_up(data_dir: Path, target: Path) -> Report:
    """Copy the store in *data_dir* to *target*, a new directory, and check the copy.

    It holds all that was acknowledged when this was called, and the secret that signs webhooks goes with it. Where
    the report is not sound, the copy stays under another name. Raises `ConfigError`, `StorageFull`, `Damaged`.
    """
    source = data_dir / DATABASE
    if not source.is_file():
        raise ConfigError(f"there is no database in {data_dir}; name a data directory with --data-dir")
    _make(target)
    partial = target / PARTIAL
    try:
        _copy(source, partial)
    except apsw.FullError as error:
        raise StorageFull(f"the disk that holds {target} is full") from error
    except apsw.Error as error:
        raise Damaged(f"the database in {data_dir} cannot be copied: {error}") from error
    report = check(partial)
    if not report.sound:
        return report
    _finish(data_dir, target)
    return msgspec.structs.replace(report, database=str(target / DATABASE))


def _make(target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        taken = any(target.iterdir())
    except OSError as error:
        raise ConfigError(f"{target} cannot be made: {error.strerror}") from None
    if taken:
        raise ConfigError(f"{target} is not empty; name a new directory for the copy")


def _copy(source: Path, partial: Path) -> None:
    with closing(connect(source, readonly=True)) as reading, closing(apsw.Connection(str(partial))) as writing:
        reading.execute("begin")
        reading.execute("select clock from ledger").get  # noqa: B018 - from here on it sees one snapshot
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
