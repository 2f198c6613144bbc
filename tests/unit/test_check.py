"""A whole look at a store: it finds every kind of damage, names its place, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from collator.cli.check import describe
from collator.clock import SystemClock
from collator.errors import ConfigError, Occupied, SchemaTooNew
from collator.ledgers.sqlite import check, open_ledger
from collator.ledgers.sqlite.check import check_directory
from collator.ledgers.sqlite.ledger import SqliteLedger
from collator.messages import Counts, Failure, Output, Retry
from collator.messages.checks import SHOWN, Report
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock
from tests.conformance.steps import again, claim, due_one, finish, offer, packet, packets, process

pytestmark = pytest.mark.anyio
DATABASE = "collator.db"


def route(_resource_id: str) -> list[str]:
    return ["default"]


async def opened(data_dir: Path) -> SqliteLedger:
    return await open_ledger(data_dir, ledger_limits=LedgerLimits(), clock=SystemClock(), route=route)


async def fill(ledger: SqliteLedger) -> None:
    """A resource of each kind: collated (tried once), incomplete, cancelled, open with each sort of packet, retried."""
    await finish(ledger, "whole", [b"0", b'"one"', b"[2]"])
    await ledger.record_attempts([again(await due_one(ledger))])
    await offer(ledger, *packets(2, "part"))
    (first, second) = await claim(ledger)
    await ledger.record([Failure(first.lease, "no"), *[Retry(second.lease, "busy", 0.0)]], capacity={})
    await ledger.complete("part", force=True)
    await offer(ledger, *packets(2, "gone"))
    await ledger.cancel("gone")
    await offer(ledger, packet("open", 0))
    await process(ledger)
    await offer(ledger, packet("open", 1))
    await ledger.record([Retry(task.lease, "busy", 3600.0) for task in await claim(ledger)], capacity={})
    await offer(ledger, packet("open", 2), packet("open", 5))
    await offer(ledger, *packets(2, "again"))
    tasks = {(task.key.resource_id, task.key.index): task for task in await claim(ledger)}
    done, failed = tasks.pop(("again", 0)), tasks.pop(("again", 1))
    await ledger.record([Output(done.lease, b"0"), Failure(failed.lease, "no")], capacity={})
    await ledger.release([task.lease for task in tasks.values()])
    await ledger.retry("again")


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    ledger = await opened(tmp_path)
    await fill(ledger)
    await ledger.aclose()
    return tmp_path


def damage(data_dir: Path, statement: str) -> None:
    """Execute *statement*, in which ``{open}`` is the key of the first packet of that resource."""
    connection = apsw.Connection(str(data_dir / DATABASE))
    keys = {
        str(name): int(resource_row) << 24 for name, resource_row in connection.execute("select id, rk from resource")
    }
    connection.execute(statement.format(**keys))
    connection.close()


def contents(data_dir: Path) -> dict[str, bytes]:
    """What the files in *data_dir* hold."""
    return {path.name: path.read_bytes() for path in sorted(data_dir.iterdir())}


def told(report: Report) -> list[str]:
    return [f"{complaint.what}: {place}" for complaint in report.complaints for place in complaint.where]


async def test_a_sound_store_is_sound(data_dir: Path) -> None:
    report = check_directory(data_dir)
    assert (report.sound, told(report)) == (True, [])
    assert report.rows == {"resources": 5, "packets": 13, "outcomes": 6, "deliveries": 3}
    assert (report.counts.open, report.counts.waiting, report.counts.due) == (2, 4, 3)


def test_one_row_is_told_as_one() -> None:
    rows = {"resources": 1, "packets": 2, "outcomes": 1, "deliveries": 1}
    report = Report(database="d", schema=2, newest=2, counts=Counts(), rows=rows, complaints=[])
    assert [*describe(report)] == ["d  schema 2: 1 resource, 2 packets, 1 outcome, 1 delivery", "sound"]


async def test_what_is_remembered_of_those_that_are_gone_is_counted(tmp_path: Path) -> None:
    clock = ManualClock()
    ledger = await open_ledger(tmp_path, ledger_limits=LedgerLimits(retention=60.0), clock=clock, route=lambda _: [])
    await finish(ledger, "whole", [b"0", b"1"])
    await ledger.complete("empty", total=0)
    await offer(ledger, packet("part", 3))
    await ledger.complete("part", force=True)
    clock.advance(61)
    while await ledger.purge(limit=100):
        pass
    await ledger.aclose()
    report = check_directory(tmp_path)
    assert (told(report), report.counts) == ([], Counts(remembered=3))
    assert next(iter(describe(report))).endswith(
        ": 0 resources, 0 packets, 0 outcomes, 0 deliveries; 3 deleted, ids remembered"
    )


DAMAGE = {
    "packet_alone": ("insert into packet values (99 << 24, '1', 0)", "handle 99, index 0"),
    "outcome_alone": ("delete from packet where k = {whole} | 1", "resource 'whole', index 1"),
    "ready_alone": ("insert into ready values ({open} | 9)", "resource 'open', index 9"),
    "ready_again": ("insert into ready values ({open})", "resource 'open', index 0"),
    "ready_late": ("insert into ready values ({part} | 1)", "resource 'part', index 1: incomplete"),
    "attempt_alone": ("insert into attempt (k) values (99 << 24)", "handle 99, index 0"),
    "attempt_again": ("insert into attempt (k) values ({whole})", "resource 'whole', index 0"),
    "twice": (
        "insert into outrun values (99, {whole} >> 24, 4, 1, '[1]', 0, null, '[0]')",
        "resource 'whole', index 1",
    ),
    "delivery_alone": ("update delivery set rk = 99 where did = 1", "handle 99: default"),
    "superseded_alone": ("update superseded set rk = 99", "handle 99"),
    "superseded_outputs": (
        "update superseded set done = 2",
        "resource 'again': 2 of 2 bytes counted, 1 of 2 there",
    ),
    "superseded_numbers": ("update superseded set last_seq = 9", "resource 'again': 9 of 3"),
    "delivery_early": ("update resource set state = 'cancelled' where id = 'whole'", "resource 'whole': default"),
    "delivery_forgotten": ("update resource set purge_at = 0 where id = 'whole'", "resource 'whole': default"),
    "log_alone": ("insert into delivery_log values (9, 1, 0, 0, 'failed', 'x')", "delivery 9, attempt 1"),
    "webhook_id": ("update resource set wid = wid + 1 where id = 'part'", "resource 'part'"),
    "remembered": (
        "insert into tombstone (id, state, seen, closed_at, removed_at) values ('gone', 'cancelled', '[]', 0, 0)",
        "resource 'gone'",
    ),
    "tombstones": (
        "insert into tombstone (id, state, ended_by, closed_at, removed_at) values ('old', 'collated', 'last', 0, 0)",
        "old: total",
    ),
    "states": ("update delivery set state = 'lost' where did = 1", "resource 'whole': default: lost"),
    "endings": ("update resource set ended_by = 'idle' where id = 'part'", "resource 'part': idle"),
    "generation": ("update resource set generation = 'g' where id = 'open'", "resource 'open': g"),
    "json": ("update resource set seen = '[[0.1]]' where id = 'part'", "resource 'part': seen"),
    "answers": ("update delivery set answer = 'no' where did = 1", "resource 'whole': default"),
    "times": ("update resource set opened_at = 1e18 where id = 'open'", "resource 'open': opened_at"),
    "received": ("delete from packet where k = {open} | 5", "resource 'open': 4 counted, 3 there"),
    "outcomes": (
        "insert into outrun values (99, {whole} >> 24, 4, 1, '[7]', 0, 'x', null)",
        "resource 'whole': 3 done and 0 failed counted, 3 and 1 there",
    ),
    "numbers": (
        "update outrun set seq = seq + 1 where rk = {whole} >> 24",
        "resource 'whole': 3 numbers up to 4 for 3 outcomes, 3 were given",
    ),
    "body_size": (
        "update outrun set outputs = replace(outputs, '[', '[ ') where rk = {whole} >> 24",
        "resource 'whole': 12 bytes counted, 14 there",
    ),
    "highest": ("update resource set highest = 7 where id = 'open'", "resource 'open', index 5: 7 is said"),
    "beyond": ("update resource set total = 5 where id = 'open'", "resource 'open', index 5: total 5"),
    "whole": ("update resource set total = 4 where id = 'whole'", "resource 'whole': 3 outputs, total 4"),
    "ending": ("update resource set closed_at = null where id = 'gone'", "resource 'gone': cancelled"),
    "failures": (
        "update outrun set reason = '' where rk = {part} >> 24 and outputs is null",
        "resource 'part', index 0",
    ),
    "payload_sum": ("update packet set payload = '1' where k = {open} | 2", "resource 'open', index 2"),
    "output_sum": (
        "update outrun set outputs = '[9]' where rk = {whole} >> 24",
        "resource 'whole', index 0: 3 together",
    ),
    "run": (
        "update outrun set outputs = '[9]', crc = 3319633042 where rk = {whole} >> 24",
        "resource 'whole', index 0",
    ),
    "frame_sum": ("update resource set tail = tail || ' ' where id = 'part'", "resource 'part'"),
}


def complaint(name: str) -> str:
    """What the check *name* complains of."""
    text = (Path(check.__file__).parent / "checks.sql").read_text()
    return text.partition(f"-- name: {name} (")[2].partition(")\n")[0]


@pytest.mark.parametrize("name", DAMAGE)
async def test_damage_is_told_with_its_place(data_dir: Path, name: str) -> None:
    statement, place = DAMAGE[name]
    damage(data_dir, statement)
    report = check_directory(data_dir)
    assert not report.sound
    assert f"{complaint(name)}: {place}" in told(report)


async def test_a_failure_has_a_checksum_too(data_dir: Path) -> None:
    damage(data_dir, "update outrun set crc = crc + 1 where rk = {part} >> 24 and outputs is null")
    assert told(check_directory(data_dir)) == [f"{complaint('output_sum')}: resource 'part', index 0"]


@pytest.mark.parametrize(
    ("name", "statement", "place"),
    [
        ("delivery_alone", "delete from superseded", "handle -1: default"),
        ("delivery_forgotten", "update resource set purge_at = 0 where id = 'again'", "resource 'again': default"),
        ("webhook_id", "update superseded set wid = wid + 1", "resource 'again'"),
        ("generation", "update superseded set generation = 'g'", "resource 'again': g"),
        ("frame_sum", "update superseded set head = head || ' '", "resource 'again'"),
        ("superseded_outputs", "delete from outrun where rk = {again} >> 24", "1 of 2 bytes counted, 0 of 0 there"),
        ("superseded_numbers", "update resource set withdrawn = 0 where id = 'again'", "resource 'again': 2 of 1"),
    ],
)
async def test_damage_to_what_a_retry_has_superseded_is_told(
    data_dir: Path, name: str, statement: str, place: str
) -> None:
    damage(data_dir, statement)
    assert any(line.startswith(complaint(name)) and line.endswith(place) for line in told(check_directory(data_dir)))


def test_every_check_has_its_damage() -> None:
    text = (Path(check.__file__).parent / "checks.sql").read_text()
    assert [line.split()[2] for line in text.splitlines() if line.startswith("-- name: ")] == [*DAMAGE]


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        (
            "update outrun set reason = cast(x'6eff' as text) where rk = {part} >> 24 and outputs is null",
            "resource 'part': outrun.reason",
        ),
        ("update packet set payload = x'31' where k = {open} | 2", "resource 'open', index 2: packet.payload"),
        ("update attempt set due_at = 9e999", "resource 'open', index 1: attempt.due_at"),
        ("update delivery set reason = cast(x'ff' as text) where did = 1", "resource 'whole': delivery.reason"),
        ("update delivery set note = x'31' where did = 1", "resource 'whole': delivery.note"),
        ("insert into delivery_log values (1, 1, 0, 0, 'failed', x'31')", "resource 'whole': delivery_log.reason"),
        ("update resource set id = cast(x'77ff' as text) where id = 'whole'", "resource 'w\ufffd': resource.id"),
        ("update ledger set clean = 'x'", "ledger.clean"),
    ],
)
async def test_a_value_that_cannot_be_read_back_is_told(data_dir: Path, statement: str, place: str) -> None:
    damage(data_dir, statement)
    assert f"a value does not match the type of its column: {place}" in told(check_directory(data_dir))


async def test_a_wrong_counter_is_told(data_dir: Path) -> None:
    damage(data_dir, "update ledger set counts = json_set(counts, '$.backlog', 7)")
    assert told(check_directory(data_dir)) == [
        "the stored counters do not match the rows: backlog: 7 stored, 520 counted"
    ]


async def test_many_cases_are_counted_and_some_are_named(data_dir: Path) -> None:
    damage(data_dir, "update packet set crc = crc + 1")
    (found,) = check_directory(data_dir).complaints
    assert (found.cases, len(found.where)) == (13, SHOWN)


@pytest.mark.parametrize("wreck", [lambda data: data[:8192] + b"\x55" * (len(data) - 8192), lambda _: b"no database"])
async def test_a_file_that_is_no_database_any_more_is_told(data_dir: Path, wreck: Callable[[bytes], bytes]) -> None:
    file = data_dir / DATABASE
    file.write_bytes(wreck(file.read_bytes()))
    report = check_directory(data_dir)
    assert [one.what for one in report.complaints if "damaged" in one.what or "cannot be read" in one.what]


async def test_a_store_that_a_process_has_open_is_left_alone(tmp_path: Path) -> None:
    ledger = await opened(tmp_path)
    with pytest.raises(Occupied, match="another process"):
        check_directory(tmp_path)
    await ledger.aclose()


async def test_a_check_leaves_no_trace(data_dir: Path) -> None:
    left = contents(data_dir)
    assert [*left] == ["collator.db", "lock", "reserve"]
    assert check_directory(data_dir).sound
    assert contents(data_dir) == left


@pytest.mark.parametrize("index", [True, False])
async def test_what_a_killed_process_left_is_checked_and_not_changed(tmp_path: Path, *, index: bool) -> None:
    ledger = await opened(tmp_path)
    await fill(ledger)
    left = contents(tmp_path)
    ledger.abandon()
    assert [*left] == ["collator.db", "collator.db-origin", "collator.db-shm", "collator.db-wal", "lock", "reserve"]
    if not index:
        del left["collator.db-shm"]
    for name, content in left.items():  # as it was before the connection was closed
        (tmp_path / name).write_bytes(content)
    assert check_directory(tmp_path).rows["packets"] == 13
    assert contents(tmp_path) == left


async def test_a_lease_that_outlives_its_resource_leaves_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    ledger = await open_ledger(tmp_path, ledger_limits=LedgerLimits(), clock=clock, route=route)
    await offer(ledger, *packets(3))
    assert len(await claim(ledger)) == 3
    await ledger.cancel("r")
    await ledger.purge(limit=100, resource_id="r")
    clock.advance(LedgerLimits().task_lease + 1)
    assert await claim(ledger) == []
    await ledger.aclose()
    assert told(check_directory(tmp_path)) == []


async def test_another_schema_is_told(data_dir: Path) -> None:
    damage(data_dir, "pragma user_version = 99")
    with pytest.raises(SchemaTooNew, match="schema 99"):
        check_directory(data_dir)
    damage(data_dir, "pragma user_version = -1")
    assert told(check_directory(data_dir)) == ["the database cannot be read: it has schema -1, which never existed"]


def test_an_empty_database_is_damage(tmp_path: Path) -> None:
    (tmp_path / DATABASE).touch()
    assert told(check_directory(tmp_path)) == ["the database cannot be read: it is empty"]


def test_a_directory_without_a_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no database in .*--data-dir"):
        check_directory(tmp_path)
    assert list(tmp_path.iterdir()) == []
