"""What schema 7 makes of outcomes: runs, resource by resource, each row verified against its checksum.

A row that is damaged becomes a run of its own with a checksum that is wrong: it is told as before. Nothing else of its
resource is harmed.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import structlog

from collator.errors import StorageFull
from collator.ledgers.sqlite.outruns import RunRow, rows_of
from collator.rules.outcomes import Outcomes
from collator.rules.resource import INDEX_BITS, INDEX_MASK

log = structlog.get_logger("collator.ledger")

TOGETHER = 512
"""Outcomes that are packed at a time; no run has more."""
WRONG = -1
"""A checksum that nothing has."""
ROW = 24
"""Bytes of an outcome, beside its output, that are reckoned with."""

_INSERT = """insert into outrun (rk, seq, attempts, indexes, crc, reason, outputs)
             values (?, ?, ?, ?, ?, cast(? as text), cast(? as text))"""
_ROWS = """select k, cast(output as blob), crc, iif(typeof(reason) = 'text', cast(reason as blob), null),
                  cast(ifnull(attempts, 0) as integer), cast(seq as integer)
           from old_outcome where k between ? and ? order by seq"""


def pack(connection: apsw.Connection) -> None:
    """Pack all outcomes into runs, in the transaction that *connection* has begun. `StorageFull`."""
    number, size = connection.execute("select count(*), coalesce(sum(octet_length(output)), 0) from old_outcome").get
    if number:
        _check_space(Path(connection.filename).parent, 2 * (size + ROW * number))
        log.info("packing outputs, which may take minutes", outcomes=number, bytes=size)
    resource_row = -1
    while (
        resource_row := connection.execute(
            "select min(k) >> 24 from old_outcome where k >= ? << 24", (resource_row + 1,)
        ).get
    ) is not None:
        _pack_resource(connection, resource_row)
    connection.execute("drop table old_outcome")
    if number:
        log.info("packed outputs", outcomes=number)


def _check_space(directory: Path, needed: int) -> None:
    """Refuse to begin what the disk has no space for: a copy, and its write-ahead log."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise StorageFull(
            f"the upgrade of the database needs {needed:,} bytes on the disk of {directory}, of which {free:,} are "
            "free; free some space and start again"
        )


def _pack_resource(connection: apsw.Connection, resource_row: int) -> None:
    first = resource_row << INDEX_BITS
    rows: Iterator[Any] = connection.execute(_ROWS, (first, first | INDEX_MASK))
    sound: list[Outcomes] = []
    for key, output, crc, reason, attempts, seq in rows:
        if output is not None and zlib.crc32(output) != crc:
            _insert(connection, rows_of(sound))
            sound = []
            index = f"[{key & INDEX_MASK}]"
            connection.execute(_INSERT, (resource_row, seq, attempts, index, WRONG, reason, b"[%b]" % output))
            continue
        outputs = [] if output is None else [output]
        sound.append(Outcomes(resource_row, seq, attempts, [key & INDEX_MASK], outputs, reason))
        if len(sound) == TOGETHER:
            _insert(connection, rows_of(sound))
            sound = []
    _insert(connection, rows_of(sound))


def _insert(connection: apsw.Connection, runs: Sequence[RunRow]) -> None:
    connection.executemany(_INSERT, runs)
