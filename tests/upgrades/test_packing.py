"""Outputs of before schema 7 become runs, and are what they were: their bytes, numbers, attempts, and damage."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path
from random import Random
from types import SimpleNamespace

import apsw
import pytest
from structlog.testing import capture_logs

from collator.errors import StorageFull
from collator.ledgers.sqlite import packer
from collator.ledgers.sqlite.check import check_directory
from collator.ledgers.sqlite.outruns import outputs_of
from collator.ledgers.sqlite.schema import migrate, newest
from collator.ledgers.sqlite.store import DATABASE, connect

HERE = Path(__file__).parent
RK = 7_000
COUNT = 3_000
OLD = "insert into outcome (k, output, crc, reason, attempts, seq) values (?, ?, ?, ?, ?, ?)"


@pytest.fixture
def database(tmp_path: Path) -> apsw.Connection:
    shutil.copy(HERE / "schema-6.db", tmp_path / DATABASE)
    return connect(tmp_path / DATABASE)


def fill(connection: apsw.Connection) -> dict[int, tuple[int, int, bytes | None]]:
    """A resource whose outcomes were recorded in another order than that of their indexes; number, attempts, output."""
    random = Random(5)
    indexes = random.sample(range(2 * COUNT), COUNT)
    stored: dict[int, tuple[int, int, bytes | None]] = {}
    for place, index in enumerate(indexes):
        seq = place + 1 + place // 1_000  # some numbers were withdrawn
        attempts = 2 if place % 400 == 7 else 1
        output = None if place % 300 == 11 else b' {"i": %d}\n' % index
        crc, reason = (0, "no") if output is None else (zlib.crc32(output), None)
        text = None if output is None else output.decode()
        connection.execute(OLD, (RK << 24 | index, text, crc, reason, attempts, seq))
        stored[index] = seq, attempts, output
    return stored


def packed(connection: apsw.Connection) -> dict[int, tuple[int, int, bytes | None]]:
    found: dict[int, tuple[int, int, bytes | None]] = {}
    rows = connection.execute(
        "select seq, attempts, cast(indexes as blob), crc, cast(outputs as blob), reason from outrun where rk = ?",
        (RK,),
    )
    for seq, attempts, indexes, crc, outputs, reason in rows:
        if outputs is None:
            assert reason == "no"
            found[int(indexes[1:-1])] = seq, attempts, None
        else:
            for number, (index, output) in enumerate(outputs_of(indexes, outputs, crc), seq):
                found[index] = number, attempts, output
    return found


def test_each_outcome_is_what_it_was(database: apsw.Connection) -> None:
    stored = fill(database)
    with capture_logs() as logs:
        migrate(database)
    assert packed(database) == stored
    longest, runs = database.execute(
        "select max(json_array_length(indexes)), count(*) from outrun where rk = ?", (RK,)
    ).get
    assert (longest <= packer.TOGETHER, runs < COUNT / 40) == (True, True)
    assert [line["event"] for line in logs if "pack" in line["event"]] == [
        "packing outputs, which may take minutes",
        "packed outputs",
    ]
    assert database.execute("select count(*) from sqlite_schema where name like '%old%'").get == 0


def test_a_damaged_row_takes_none_before_it_with_it(database: apsw.Connection) -> None:
    stored = fill(database)
    numbers = {seq: index for index, (seq, _, output) in stored.items() if output is not None}
    index = numbers[max(numbers)]  # all others come before it
    database.execute("update outcome set crc = crc + 1 where k = ?", (RK << 24 | index,))
    migrate(database)
    database.execute("delete from outrun where rk = ? and indexes = ?", (RK, f"[{index}]"))
    del stored[index]
    assert packed(database) == stored


@pytest.mark.parametrize(
    "changed",
    ["output = '7'", "output = cast(x'ff' as text)", "output = x'31'", "output = ''", "crc = crc + 1", "crc = 'x'"],
)
def test_a_damaged_row_is_a_run_of_its_own_and_as_damaged_as_before(
    database: apsw.Connection, tmp_path: Path, changed: str
) -> None:
    """Nothing else of its resource is harmed, and what stands there stays for a person to look at."""
    (key,) = (
        database.execute("select k from outcome join resource r on r.rk = k >> 24 where r.id = 'due' and k & 1").get,
    )
    database.execute(f"update outcome set {changed} where k = ?", (key,))  # noqa: S608 - ours
    text = database.execute("select cast(output as blob) from outcome where k = ?", (key,)).get
    migrate(database)
    indexes, outputs = database.execute(
        "select indexes, cast(outputs as blob) from outrun where n = (select n from outcome where k = ?)", (key,)
    ).get
    assert (indexes, outputs) == ("[1]", b"[%b]" % text)
    database.close()
    complaints = check_directory(tmp_path).complaints
    (words,) = [one.where for one in complaints if one.what == "an output does not match its checksum"]
    assert words == ["resource 'due', index 1"]


@pytest.mark.parametrize("changed", ["reason = x'31'", "reason = cast(x'6eff' as text)", "attempts = 'x'", "seq = 'x'"])
def test_a_row_that_was_never_written_so_keeps_nothing_from_the_upgrade(
    database: apsw.Connection, changed: str
) -> None:
    database.execute(f"update outcome set {changed}")  # noqa: S608 - ours
    number = database.execute("select count(*) from outcome").get
    migrate(database)
    assert database.execute("select count(*) from outcome").get == number


def test_an_upgrade_that_has_no_space_says_how_much_it_needs_and_changes_nothing(
    database: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    size = database.execute("select sum(octet_length(output)) from outcome").get
    number = database.execute("select count(*) from outcome").get
    needed = 2 * (size + packer.ROW * number)
    free = [needed - 1]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    with pytest.raises(
        StorageFull, match=f"needs {needed:,} bytes on the disk of .*, of which {needed - 1:,} are free"
    ):
        migrate(database)
    assert database.pragma("user_version") == 6
    assert database.execute("select count(*) from outcome where output is not null").get > COUNT / 2
    free[0] = needed
    migrate(database)
    assert database.pragma("user_version") == newest()
