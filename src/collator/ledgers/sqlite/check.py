"""A whole look at a store that nobody writes to: is everything there, and is it what was written?

Read-only. First SQLite's own look at each page and index; then what `checks.sql` asks: every payload, output and frame
has its checksum, no row is without its owner, the numbers of each resource are those of its rows; then whether each
value is of the kind that its column says (`values`); then the counters.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.resources import files
from itertools import chain, islice
from pathlib import Path
from stat import S_ISREG
from typing import Any

import apsw
import msgspec

from collator.errors import ConfigError, Damaged, SchemaTooNew
from collator.ledgers.sqlite.immutable import cannot_be_read, open_immutable
from collator.ledgers.sqlite.lock import kept_out
from collator.ledgers.sqlite.origin import foreign_log
from collator.ledgers.sqlite.outruns import indexes_of
from collator.ledgers.sqlite.schema import migrate, newest
from collator.ledgers.sqlite.store import DATABASE
from collator.ledgers.sqlite.values import strays
from collator.messages import Counts, webhook_number
from collator.messages.checks import SHOWN, Complaint, Report, compare_counts

_STRAY = "a value does not match the type of its column"

Case = tuple[int | None, int | None, bytes | None]
"""Where: the handle of a resource, an index, and more words."""
_AS_READ = """with found (rk, place, words) as ({})
              select cast(rk as integer), cast(place as integer), cast(words as blob) from found"""
"""A statement as it can be read whatever it finds: text of a damaged row need not be text any more."""

_package = files("collator.ledgers.sqlite")
_decode_counts = msgspec.json.Decoder(Counts).decode


def check_directory(data_dir: Path) -> Report:
    """Check the store in *data_dir*, which no service may have open. `Occupied`, `ConfigError`, `SchemaTooNew`."""
    database = data_dir / DATABASE
    try:
        find(database)
        with kept_out(data_dir):
            return check(database)
    except OSError as error:
        raise cannot_be_read(error) from None


def find(database: Path) -> None:
    """See that *database* is there. `ConfigError`, and `OSError` where that cannot be seen."""
    with suppress(FileNotFoundError, NotADirectoryError):
        if S_ISREG(database.stat().st_mode):
            return
    raise ConfigError(f"no database in {database.parent}; choose a data directory with --data-dir")


def check(database: Path) -> Report:
    """Check the store in the file *database*. `ConfigError` where this user may not read it."""
    found: list[Complaint] = []
    report = Report(database=str(database), schema=0, newest=newest(), counts=Counts(), rows={}, complaints=found)
    if words := foreign_log(database):
        found.append(Complaint("the write-ahead log and the database do not belong together", 1, [words]))
        return report
    try:
        with open_immutable(database) as connection:
            connection.execute("begin")
            report = msgspec.structs.replace(report, schema=schema_of(connection))
            found += _pages(connection)
            found += () if report.older else chain(_tables(connection), _contents(connection))
            since_3 = connection.execute("select count(*) from sqlite_schema where name = 'tombstone'").get
            tombstones = connection.execute("select count(*) from tombstone").get if since_3 else 0
            counts = _counted(connection, tombstones=int(tombstones))
            report = msgspec.structs.replace(report, counts=counts, rows=_rows(connection))
            found += () if report.older else _counters(connection, report.counts)
    except (apsw.Error, Damaged, UnicodeDecodeError) as error:
        found.append(Complaint("the database cannot be read", 1, [str(error)]))
    return report


def schema_of(connection: apsw.Connection) -> int:
    """The version of the schema. `SchemaTooNew`, and `Damaged` where there is none."""
    version = connection.pragma("user_version")
    if version < 1:  # which no commit of any version has left
        empty = connection.execute("select count(*) from sqlite_schema").get == 0
        raise Damaged("it is empty" if empty else f"it has schema {version}, which never existed")
    if version > newest():
        raise SchemaTooNew(
            f"the database has schema {version}; this version of Collator supports up to {newest()}; "
            "use the newer version that wrote it"
        )
    return int(version)


def _pages(connection: apsw.Connection) -> Iterator[Complaint]:
    words = [str(row[0]) for row in connection.execute("pragma integrity_check")]
    if words != ["ok"]:
        yield Complaint("the file is damaged", len(words), words[:SHOWN])


def _tables(connection: apsw.Connection) -> Iterator[Complaint]:
    with closing(apsw.Connection(":memory:")) as fresh:
        migrate(fresh)
        there = _made(connection)
        changed = [name for name, made in _made(fresh).items() if there.get(name) != made]
    if changed:
        yield Complaint("a table or an index was changed", len(changed), changed[:SHOWN])


def _made(connection: apsw.Connection) -> dict[str, bytes]:
    """The statement that made each table and each index."""
    rows = connection.execute("select cast(name as blob), cast(sql as blob) from sqlite_schema where sql is not null")
    return {_text(name): sql for name, sql in rows}


def _contents(connection: apsw.Connection) -> Iterator[Complaint]:
    connection.create_scalar_function("crc32", _crc32, 1, deterministic=True)
    connection.create_scalar_function("number_of", _number_of, 1, deterministic=True)
    connection.create_scalar_function("webhook_number", _webhook_number, 2, deterministic=True)
    checks = (_package / "checks.sql").read_text("utf-8")
    statements = re.findall(r"^-- name: \w+ \((.+)\)\n([^;]+);", checks, flags=re.MULTILINE)
    values = ((_STRAY, statement) for statement in strays(connection))
    for words, statement in chain(statements, values):
        rows: Iterator[Case] = iter(connection.execute(_AS_READ.format(statement)))
        shown = [_place(connection, *case) for case in islice(rows, SHOWN)]
        if shown:
            yield Complaint(words, len(shown) + sum(1 for _ in rows), shown)


def _crc32(*columns: Any) -> int | None:  # noqa: ANN401 - what they hold
    (data,) = columns
    return None if data is None else zlib.crc32(data)


def _number_of(*columns: Any) -> int:  # noqa: ANN401 - what they hold
    """The number of outcomes of a run."""
    (indexes,) = columns
    return len(indexes_of(indexes.encode() if isinstance(indexes, str) else b""))


def _webhook_number(*columns: Any) -> int | None:  # noqa: ANN401 - what they hold
    try:
        resource_id, generation = (str(data, "utf-8") for data in columns)
        return webhook_number(resource_id, bytes.fromhex(generation))
    except (TypeError, ValueError):  # null, or no text any more
        return None


def _counters(connection: apsw.Connection, counted: Counts) -> Iterator[Complaint]:
    try:
        kept = _decode_counts(connection.execute("select cast(counts as blob) from ledger").get or b"")
    except msgspec.MsgspecError as error:
        yield Complaint("the stored counters cannot be read", 1, [str(error)])
        return
    yield from compare_counts(kept, counted)


def _counted(connection: apsw.Connection, *, tombstones: int) -> Counts:
    states = _by_state(connection, "resource")
    ends = _by_state(connection, "delivery")
    waiting, backlog = connection.execute(
        """select count(*), coalesce(sum(56 + iif(octet_length(p.payload) <= 1024, octet_length(p.payload),
                                                  (octet_length(p.payload) + 2047) / 2048 * 2048)), 0)
           from resource r join packet p on p.k between r.rk << 24 and r.rk << 24 | 16777215
           where r.state = 'open' and p.k not in (
             select o.k from outcome o join resource r on r.rk = o.k >> 24 where r.state = 'open')"""
    ).get
    open_bytes = connection.execute(
        """select coalesce(sum(3 * name + iif(row <= 1024, row, (row + 2047) / 2048 * 2048)), 0) from (
             select octet_length(id) as name, 128 + octet_length(id) + ifnull(octet_length(metadata), 0) as row
             from resource where state = 'open')"""
    ).get
    named = {name: states.get(name, 0) for name in ("open", "collated", "incomplete", "cancelled")}
    posts = {"due": ends.get("due", 0), "dead": ends.get("dead", 0)}
    stored = {"backlog": backlog + open_bytes, "open_bytes": open_bytes}
    return Counts(waiting=waiting, remembered=tombstones, **stored, **posts, **named)


def _by_state(connection: apsw.Connection, table: str) -> dict[str, int]:
    rows = connection.execute(f"select cast(state as blob), count(*) from {table} group by state")  # noqa: S608 - ours
    return {_text(state): number for state, number in rows}


def _rows(connection: apsw.Connection) -> dict[str, int]:
    counted = connection.execute(
        "select (select count(*) from resource), (select count(*) from packet), (select count(*) from outcome), "
        "(select count(*) from delivery)"
    ).get
    return dict(zip(("resources", "packets", "outcomes", "deliveries"), counted, strict=True))


def _place(connection: apsw.Connection, resource_row: int | None, index: int | None, words: bytes | None) -> str:
    """The place of a complaint, in words."""
    said = _text(words)
    if resource_row is None:
        return said
    resource_id = connection.execute("select cast(id as blob) from resource where rk = ?", (resource_row,)).get
    name = f"handle {resource_row}" if resource_id is None else f"resource {_text(resource_id)!r}"
    return name + (f", index {index}" if index is not None else "") + (f": {said}" if said else "")


def _text(data: bytes | None) -> str:
    """The text in *data*, with replacements where it is none."""
    return (data or b"").decode(errors="replace")
