"""The origin of the write-ahead log beside a database: SQLite takes any log whose sums are right.

Theory. Every commit changes the one row of `ledger`, so the row tells states of a store apart. A log begins on the
state that the file has at a start, which is noted beside it. What the file alone holds when a process was killed is
that state still, or one of a store in use that was copied out of the log. A copy that somebody put over the file, of a
stopped store or by `collator backup`, is neither: it says that it was stopped cleanly, and is not the state that was
noted; or it is that state, though the log was begun anew since, which it is once all of it was copied into the file.
Nor can a log be older than its file, as the ledger's time never goes back.
"""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from collator.durability import PARTIAL, replace_file
from collator.errors import Damaged
from collator.files import read_file
from collator.ledgers.sqlite.immutable import open_immutable


class OriginState(NamedTuple):
    """The row that every commit changes."""

    clock: float
    uptime: float
    clean: int
    counts: str


class Note(NamedTuple):
    """The state on which a log was begun."""

    state: OriginState | None
    """That of the file; `None` where it had none yet."""
    restarts: int
    """How often the log had been begun anew."""


_MOST_NOTED = 64 * 1024  # bytes
_QUERY = "select clock, uptime, clean, counts from ledger"
_decode = msgspec.json.Decoder(Note).decode


def begin(database: Path) -> None:
    """See that the log beside *database*, if one is there, is its own, and note what it begins on. `Damaged`."""
    if words := foreign_log(database):
        raise Damaged(words)
    _write(_noted_at(database), Note(_alone(database), _restarts(_log_of(database))))


def end(database: Path) -> None:
    """Note nothing any more, where the log of *database* has gone with the last connection."""
    if not _log_of(database).exists():
        with suppress(OSError):
            _noted_at(database).unlink(missing_ok=True)


def foreign_log(database: Path) -> str | None:
    """The reason why the log beside *database* cannot be its own, and what to do, in words; `None` where it can."""
    log = _log_of(database)
    alone = _alone(database) if log.exists() and log.stat().st_size else None
    if alone is None:
        return None
    try:
        with open_immutable(database) as connection:
            together = _state(connection)
    except apsw.Error:
        return None  # whoever opens it next says so
    if together == alone:
        return None
    noted = _noted(_noted_at(database))
    # Whether the state in the file has not come from the log that was noted, which was begun anew since.
    copied = noted and (_restarts(log) > noted.restarts if alone == noted.state else bool(alone.clean))
    if not (copied or (together and together.clock < alone.clock)):
        return None
    return (
        f"{log} does not belong to {database.name}, as if the database was replaced by a copy: "
        f"remove {log.name} and {database.name}-shm to continue with the copy, or restore the database that the log "
        "belongs to"
    )


def _alone(database: Path) -> OriginState | None:
    """The state in the file, without its log; `None` where there is none that can be read."""
    uri = f"{database.absolute().as_uri()}?immutable=1"
    try:
        with closing(apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)) as connection:
            return _state(connection)
    except apsw.Error:  # there is nothing yet, or a checkpoint was cut off, which the log makes good
        return None


def _state(connection: apsw.Connection) -> OriginState | None:
    row = connection.execute(_QUERY).fetchone()
    return None if row is None else OriginState(*row)


def _restarts(log: Path) -> int:
    """The restarts of *log*: its checkpoint sequence number (https://sqlite.org/fileformat2.html, 4.1)."""
    try:
        with log.open("rb") as file:
            return int.from_bytes(file.read(16)[12:])
    except FileNotFoundError:
        return 0


def _log_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def _noted_at(database: Path) -> Path:
    return database.with_name(database.name + "-origin")


def _noted(path: Path) -> Note | None:
    """Read the note at *path*; `None` where there is none, as from an earlier version."""
    try:
        return _decode(read_file(path, _MOST_NOTED)[1])
    except (OSError, msgspec.MsgspecError):
        return None


def _write(path: Path, note: Note) -> None:
    """Durable before the log has anything. Where that cannot be, nothing is noted rather than something wrong."""
    try:
        if _noted(path) != note:
            replace_file(path, msgspec.json.encode(note))
    except OSError:  # the disk is full, as may be at a start
        for one in (path.with_name(path.name + PARTIAL), path):
            with suppress(OSError):
                one.unlink(missing_ok=True)
