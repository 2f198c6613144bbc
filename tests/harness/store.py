"""Looks into a store: into the database of a stopped service, I5 and I6 of the checker; and at what one changes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from collator.ledgers.sqlite.store import Store

_ORPHANS = {
    "packets without a resource": "select count(*) from packet where k >> 24 not in (select rk from resource)",
    "outcomes without a packet": "select count(*) from outcome where k not in (select k from packet)",
    "ready packets that are not there": "select count(*) from ready where k not in (select k from packet)",
    "attempts on packets that are not there": "select count(*) from attempt where k not in (select k from packet)",
    "deliveries without a resource": "select count(*) from delivery "
    "where rk not in (select rk from resource union all select gk from superseded)",
    "ready packets with an outcome": "select count(*) from ready join outcome using (k)",
    "ended resources without a delivery": """select count(*) from resource r where state in ('collated', 'incomplete')
        and not exists (select 1 from delivery d where d.rk = r.rk)""",
    "resources whose counts are not those of their rows": """select count(*) from resource r where
        received != (select count(*) from packet p where p.k >> 24 = r.rk) or
        r.done != (select count(*) from outcome o where o.rk = r.rk and not o.failed) or
        r.failed != (select count(*) from outcome o where o.rk = r.rk and o.failed)""",
}
_COUNTS = """
with waiting as (select p.payload from packet p join resource r on r.rk = p.k >> 24 and r.state = 'open'
                 where p.k not in (select k from outcome)),
     sized as (select octet_length(id) as name, 128 + octet_length(id) + ifnull(octet_length(metadata), 0) as row
               from resource where state = 'open'),
     opened as (select coalesce(sum(3 * name + iif(row <= 1024, row, (row + 2047) / 2048 * 2048)), 0) as open_bytes
                from sized)
select json_object('open', (select count(*) from resource where state = 'open'),
                   'collated', (select count(*) from resource where state = 'collated'),
                   'incomplete', (select count(*) from resource where state = 'incomplete'),
                   'cancelled', (select count(*) from resource where state = 'cancelled'),
                   'waiting', (select count(*) from waiting),
                   'backlog', (select coalesce(sum(56 + iif(size <= 1024, size, (size + 2047) / 2048 * 2048)), 0)
                               from (select octet_length(payload) as size from waiting)) + open_bytes,
                   'open_bytes', open_bytes,
                   'due', (select count(*) from delivery where state = 'due'),
                   'dead', (select count(*) from delivery where state = 'dead'),
                   'remembered', (select count(*) from tombstone)) from opened"""
_CHECKED = {
    "payload": "select payload, crc from packet",
    "output": "select indexes || ifnull(outputs, ''), crc from outrun",
}


def sql(data_dir: Path, statement: str) -> None:
    """Execute *statement* in the database of *data_dir*, past whoever has it open."""
    connection = apsw.Connection(str(data_dir / "collator.db"))
    connection.execute(statement)
    connection.close()


def store_complaints(data_dir: Path) -> list[str]:
    """What is wrong in the database of *data_dir*, which no process may have open."""
    connection = apsw.Connection(str(data_dir / "collator.db"))
    try:
        return list(_complaints(connection))
    except apsw.Error as error:
        return [f"I6 the database cannot be read: {error}"]
    finally:
        connection.close()


def _complaints(connection: apsw.Connection) -> Iterator[str]:
    sound = [row[0] for row in connection.execute("pragma integrity_check")]
    if sound != ["ok"]:
        yield f"I6 integrity_check: {sound[:3]}"
    for what, question in _ORPHANS.items():
        count = connection.execute(question).get
        if count:
            yield f"I5, I6 {count} {what}"
    kept = json.loads(str(connection.execute("select counts from ledger").get))
    counted = json.loads(str(connection.execute(_COUNTS).get))
    if kept != counted:
        yield f"I6 the counters say {kept}, the rows {counted}"
    for what, question in _CHECKED.items():
        if any(zlib.crc32(str(text).encode()) != crc for text, crc in connection.execute(question)):
            yield f"I6 an {what} does not match its checksum"


def changes(monkeypatch: pytest.MonkeyPatch, store: Store, statement: str) -> list[int]:
    """How many rows each run of *statement* by *store* changes from now on."""
    seen: list[int] = []
    run = store.run

    def counted(name: str, *parameters: object) -> int:
        changed = run(name, *parameters)
        if name == statement:
            seen.append(changed)
        return changed

    monkeypatch.setattr(store, "run", counted)
    return seen
