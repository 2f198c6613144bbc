"""What leaves a data directory when it is moved: read in slices, every checksum verified, nothing of it changed.

Moved whole is what somebody may still have to do with: resources that are open, that ended incomplete and so may be
retried, that have a delivery which was not delivered, or that have none, as their outputs are fetched. Of the others
what a tombstone says is moved, so that their packets are still duplicate or closed (R8).

Packets that were in work when the service was killed are leased to a node of the target that is dead: what they were in
is found as with any other that died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from collator.errors import ConfigError, Damaged, Unavailable
from collator.ledgers.move_slices import Extent, MoveStage, Origin, RowSlice, Shift
from collator.ledgers.sqlite.check import check, find
from collator.ledgers.sqlite.departing_rows import INDEXES, slice_of
from collator.ledgers.sqlite.immutable import cannot_be_read, open_immutable
from collator.ledgers.sqlite.lock import kept_out
from collator.ledgers.sqlite.statements import load_statements
from collator.ledgers.sqlite.store import DATABASE

ROWS, SIZE = 1000, 4 * 1024 * 1024
"""Rows of a slice, and bytes of what they hold, about."""
IDS = 1000
"""Ids that are given at a time."""


@contextmanager
def departing(data_dir: Path) -> Iterator[Departure]:
    """The contents of *data_dir*, all checked, which nobody serves while the context is open.

    Raises `ConfigError` where there is nothing, `Occupied`, `SchemaTooNew`, and `Damaged`.
    """
    database = data_dir / DATABASE
    with ExitStack() as stack:
        try:
            find(database)
            stack.enter_context(kept_out(data_dir))
            _check(data_dir)
            connection = stack.enter_context(open_immutable(database))
        except OSError as error:
            raise cannot_be_read(error) from None
        with errors_in_words(data_dir):
            yield Departure(data_dir, connection)


@contextmanager
def errors_in_words(data_dir: Path) -> Iterator[None]:
    """Tell errors of SQLite in words."""
    try:
        yield
    except apsw.IOError as error:
        raise Unavailable(f"the database in {data_dir} cannot be read because the disk fails: {error}") from error
    except (apsw.Error, UnicodeDecodeError) as error:
        raise Damaged(f"the database in {data_dir} cannot be read: {error}") from error


class Departure:
    """A data directory that is read to be moved."""

    def __init__(self, data_dir: Path, connection: apsw.Connection) -> None:
        """Find what is to be moved."""
        self.data_dir = data_dir
        self._statements = load_statements("departure.sql")
        self._connection = connection
        connection.pragma("temp_store", "file")  # there may be millions of resources
        connection.execute(self._statements["whole"])
        connection.execute("create unique index temp.whole_rk on whole (rk)")
        connection.execute(self._statements["finished"])
        connection.execute("create unique index temp.finished_k on finished (k)")
        self.origin = Origin(str(data_dir.resolve()), *self._row("origin"))
        self.extent = Extent(*self._row("extent"))

    def ids(self) -> Iterator[Sequence[str]]:
        """The ids of all resources that the target will know, some at a time."""
        cursor = self._connection.execute(self._statements["ids"])
        while some := [str(id_) for (id_,) in islice(cursor, IDS)]:
            yield some

    def slices(self, shift: Shift, *, stage: int = 0, position: int = 0) -> Iterator[RowSlice]:
        """The slices of all that is moved, from behind *position* in *stage*. `Damaged` where a checksum differs."""
        for one in MoveStage:
            if one >= stage:
                start = position if one == stage else 0
                cursor = self._connection.execute(self._statements[one.name], (start,))
                for found in _parts(cursor, _number_of_run if one is MoveStage.OUTCOMES else _one):
                    yield slice_of(one, found, shift, self._attempts(found) if one is MoveStage.DELIVERIES else ())

    def paused(self) -> Sequence[tuple[str, float, str]]:
        """The endpoints that are paused: name, since when, and why."""
        rows: Iterator[Any] = self._connection.execute(self._statements["paused"])
        return [*rows]

    def _attempts(self, deliveries: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        execute, statement = self._connection.execute, self._statements["attempts_of"]
        return [row for delivery in deliveries for row in execute(statement, delivery[:1])]

    def _row(self, name: str) -> Sequence[Any]:
        rows: Iterator[Sequence[Any]] = self._connection.execute(self._statements[name])
        return next(rows)


def _parts(cursor: Iterator[Sequence[Any]], weigh: Callable[[Sequence[Any]], int]) -> Iterator[list[Sequence[Any]]]:
    """The rows of *cursor*, in parts of about `ROWS`, each counted as *weigh* says, or of `SIZE`."""
    part: list[Sequence[Any]] = []
    number = size = 0
    for row in cursor:
        more = weigh(row)
        if part and (number + more > ROWS or size >= SIZE):
            yield part
            part, number, size = [], 0, 0
        part.append(row)
        number += more
        size += sum(len(value) for value in row if isinstance(value, (bytes, str)))
    if part:
        yield part


def _one(_row: Sequence[Any]) -> int:
    return 1


def _number_of_run(row: Sequence[Any]) -> int:
    return bytes(row[INDEXES]).count(b",") + 1


def _check(data_dir: Path) -> None:
    """See that everything is there, and is what was written."""
    report = check(data_dir / DATABASE)
    if report.older:
        raise ConfigError(
            f"the database in {data_dir} has schema {report.schema}; start collator serve on it once, which upgrades "
            f"it to {report.newest}, and stop it"
        )
    if report.complaints:
        raise Damaged(
            f"the database in {data_dir} is damaged ({report.complaints[0].what}), and nothing was moved: collator "
            "check says where. Restore a backup; or purge the resources that it names, at the service, which goes on "
            "beside damage"
        )
