"""A database of every earlier schema opens, holds what it held, and goes on; a migration that fails changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any

import apsw
import pytest

from collator.cli.check import as_answer, exit_of
from collator.cli.exits import Exit, exit_for
from collator.errors import Damaged, SchemaTooNew
from collator.ledgers.sqlite import open_ledger
from collator.ledgers.sqlite.backup import back_up
from collator.ledgers.sqlite.check import check_directory
from collator.ledgers.sqlite.ledger import SqliteLedger
from collator.ledgers.sqlite.schema import BY_RUNS, migrate
from collator.ledgers.sqlite.store import DATABASE, connect
from collator.messages import DeliveryFilter
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock
from tests.conformance.steps import (
    claim,
    content,
    drain,
    due,
    echo,
    finish,
    listed,
    offer,
    outputs,
    packet,
    packets,
    places,
    process,
)

HERE = Path(__file__).parent
SCHEMA = sum(path.name.endswith(".sql") for path in (files("collator.ledgers.sqlite") / "migrations").iterdir())
OLD = range(1, SCHEMA)
LATER = 3600.0
"""Seconds after which every attempt that the old databases hold is due again."""

each_schema = pytest.mark.parametrize("schema", OLD)
each_before_runs = pytest.mark.parametrize("schema", [schema for schema in OLD if schema < BY_RUNS])
"""Those whose outcomes are rows of their own, which are written anew."""


@pytest.fixture
def data_dir(tmp_path: Path, schema: int) -> Path:
    shutil.copy(HERE / f"schema-{schema}.db", tmp_path / DATABASE)
    return tmp_path


async def opened(data_dir: Path, *, later: float = 0.0) -> SqliteLedger:
    clock = ManualClock()
    clock.advance(10.0 + later)
    return await open_ledger(data_dir, ledger_limits=LedgerLimits(), clock=clock, route=lambda _: ["default"])


@contextmanager
def database(data_dir: Path) -> Iterator[apsw.Connection]:
    connection = connect(data_dir / DATABASE)
    yield connection
    connection.close()


def dump(connection: apsw.Connection) -> list[Any]:
    """All that is in a database: its schema, and the rows of every table."""
    tables = connection.execute("select name from sqlite_schema where type = 'table'").fetchall()
    assert connection.execute("pragma integrity_check").get == "ok"
    return [
        connection.pragma("user_version"),
        connection.execute("select * from sqlite_schema").fetchall(),
        *(connection.execute(f'select * from "{name}"').fetchall() for (name,) in tables),  # noqa: S608 - our tables
    ]


def break_off_everywhere(connection: apsw.Connection, *, every: int) -> int:
    """Migrate, broken off *every* so many instructions of SQLite further on each time, until it ends. How often."""
    for times in count():
        before = dump(connection)
        connection.set_progress_handler(partial(next, chain(repeat(0, times), (1,), repeat(0))), every)
        try:
            migrate(connection)
        except apsw.InterruptError:
            connection.set_progress_handler(None)
            after = dump(connection)
            assert after == before or after[0] > before[0]  # all of a step, or nothing
        else:
            connection.set_progress_handler(None)
            return times
    raise AssertionError


def test_there_is_a_database_of_every_earlier_schema() -> None:
    assert {path.name for path in HERE.glob("*.db")} == {f"schema-{schema}.db" for schema in OLD}


@each_schema
def test_each_is_what_its_name_says(data_dir: Path, schema: int) -> None:
    with database(data_dir) as connection:
        assert connection.pragma("user_version") == schema


@each_schema
async def test_it_is_sound_after_the_migration(data_dir: Path, schema: int) -> None:
    await (await opened(data_dir)).aclose()
    report = check_directory(data_dir)
    assert ([*report.complaints], report.schema) == ([], SCHEMA)
    assert report.rows == {"resources": 7, "packets": 16, "outcomes": 10, "deliveries": 4}


@each_schema
def test_it_is_looked_at_as_far_as_it_can_be(data_dir: Path, schema: int) -> None:
    report = check_directory(data_dir)
    assert (report.schema, report.newest, report.older, report.sound) == (schema, SCHEMA, True, True)
    assert report.rows == {"resources": 7, "packets": 16, "outcomes": 10, "deliveries": 4}
    assert (exit_of(report), as_answer(report)["sound"]) == (Exit.OLDER, None)
    with database(data_dir) as connection:
        connection.execute("pragma writable_schema = on")
        connection.execute("update sqlite_schema set rootpage = 3 where name = 'resource_idle'")
    assert exit_of(check_directory(data_dir)) is Exit.STORE


@each_schema
async def test_it_can_be_copied_and_served_from_the_copy(data_dir: Path, schema: int) -> None:
    assert exit_of(back_up(data_dir, data_dir / "copy")) is Exit.OLDER
    assert check_directory(data_dir / "copy").schema == schema
    await (await opened(data_dir / "copy")).aclose()
    assert check_directory(data_dir / "copy").sound


@each_schema
async def test_it_holds_what_it_held(data_dir: Path, schema: int) -> None:
    ledger = await opened(data_dir)
    states = {summary.resource_id: str(summary.state) for summary in await ledger.resources()}
    whole = {"delivered": "collated", "dead": "collated", "due": "collated"}
    assert states == {**whole, "incomplete": "incomplete", "cancelled": "cancelled", "open": "open", "new": "open"}
    report = await ledger.resource("open")
    assert (report.total, report.received, report.done, report.failed) == (6, 5, 1, 1)
    assert (bytes(report.metadata), report.missing, report.unfinished) == (
        b'{"caller":"x"}',
        [(4, 4)],
        [(2, 3), (5, 5)],
    )
    assert [(item.index, item.reason) for item in report.failures] == [(1, "no such word")]
    assert [*await outputs(ledger, "due")] == [(0, b'{"a": 1}'), (1, b"null"), (2, b"true")]
    ends = {item.resource_id: (str(item.state), item.attempts, item.reason) for item in await listed(ledger)}
    assert ends == {
        "delivered": ("delivered", 1, "HTTP 200"),
        "dead": ("dead", 2, "HTTP 410"),
        "due": ("due", 1, "HTTP 503"),
        "incomplete": ("due", 0, ""),
    }
    await ledger.aclose()


@each_schema
async def test_outcomes_are_numbered_in_the_order_of_their_indexes(data_dir: Path, schema: int) -> None:
    """The order in which they were recorded was not stored before schema 3. What comes later goes on from there."""
    ledger = await opened(data_dir)
    numbers = {
        name: [(one.seq, one.index) for one in (await ledger.outcomes(name)).outcomes] for name in ("due", "open")
    }
    assert numbers == {"due": [(1, 0), (2, 1), (3, 2)], "open": [(1, 0), (2, 1)]}
    late, early = sorted(await claim(ledger), key=lambda task: -task.key.index)[1:3]
    assert (late.key.index, early.key.index) == (5, 3)
    await ledger.record(echo([late, early]), capacity={})
    await ledger.retry("open")
    await process(ledger)
    found = [(one.seq, one.index) for one in (await ledger.outcomes("open", after_seq=2)).outcomes]
    assert found == [(3, 5), (4, 3), (5, 1)]
    await ledger.aclose()
    assert check_directory(data_dir).sound


@each_before_runs
def test_outcomes_with_gaps_between_them_are_numbered_one_by_one(data_dir: Path, schema: int) -> None:
    with database(data_dir) as connection:
        (first,) = connection.execute("select rk << 24 from resource where id = 'open'").fetchone() or (0,)
        connection.execute("update outcome set k = k + 2 where k = ?", (first + 1,))
        migrate(connection)
        rows = connection.execute("select k - ?1, seq from outcome where k between ?1 and ?1 + 9", (first,)).fetchall()
    assert rows == [(0, 1), (3, 2)]


@each_schema
async def test_packets_go_on_to_the_end(data_dir: Path, schema: int) -> None:
    ledger = await opened(data_dir)
    tasks = await claim(ledger)
    assert sorted(places(tasks)) == [("new", 7), ("open", 2), ("open", 3), ("open", 5)]
    assert {task.key.index: task.attempt for task in tasks} == {2: 2, 3: 1, 5: 1, 7: 1}
    await ledger.record(echo(tasks), capacity={})
    assert [str(receipt.status) for receipt in await offer(ledger, packet("open", 0, b'"done"'))] == ["duplicate"]
    await offer(ledger, packet("open", 4, b'"late"'), *packets(7, "new", last=False), packet("new", 7, b"1", last=True))
    await ledger.retry("open")
    await process(ledger)
    (found,) = [body for body in [await content(ledger, item) for item in await due(ledger)] if "open" in str(body)]
    assert found["type"] == "resource.collated"
    assert found["data"]["outputs"] == ["done", "failed", "retried", "ready", "late", "last"]
    assert (found["data"]["metadata"], found["data"]["completed_by"]) == ({"caller": "x"}, "last")
    await ledger.aclose()
    assert check_directory(data_dir).sound


@each_schema
async def test_deliveries_go_on_to_the_end_under_their_ids(data_dir: Path, schema: int) -> None:
    ledger = await opened(data_dir, later=LATER)
    ids = {name: (await ledger.resource(name)).webhook_id for name in ("due", "incomplete", "dead")}
    sent = {delivery.resource_id: delivery for delivery in await drain(ledger)}
    assert {name: (item.webhook_id, item.attempt) for name, item in sent.items()} == {
        "due": (ids["due"], 2),
        "incomplete": (ids["incomplete"], 1),
    }
    assert (await content(ledger, sent["due"]))["data"]["outputs"] == [{"a": 1}, None, True]
    # What is dead can be found by its id, which came with schema 2, and replayed.
    (dead,) = await listed(ledger, resource_id="dead")
    assert (await ledger.replay(DeliveryFilter(id=dead.id))).replayed == 1
    (again,) = await drain(ledger)
    assert (again.webhook_id, again.attempt) == (ids["dead"], 3)
    await finish(ledger, "young")
    assert len(await drain(ledger)) == 1
    await ledger.aclose()
    assert check_directory(data_dir).sound


@each_schema
async def test_what_ended_early_is_opened_again_beside_what_was_told_of_it(data_dir: Path, schema: int) -> None:
    """The order of outcomes before schema 3 is not known; the bodies of before have all of them."""
    ledger = await opened(data_dir, later=LATER)
    old = (await ledger.resource("incomplete")).webhook_id
    (delivery,) = [one for one in await due(ledger) if one.resource_id == "incomplete"]
    body = await ledger.body(delivery)
    assert await ledger.retry("incomplete") == 1
    await process(ledger)
    assert await ledger.body(delivery) == body
    (new,) = [one for one in await due(ledger) if one.resource_id == "incomplete"]
    said = (await content(ledger, new))["data"]
    assert (len(said["outputs"]), said["supersedes"]) == (2, old)
    await ledger.aclose()
    assert check_directory(data_dir).sound


@pytest.mark.parametrize("schema", [1, 2, 3])
async def test_large_bodies_are_found_and_claimed_apart(data_dir: Path, schema: int) -> None:
    """What was not known of a delivery before schema 4 follows from its resource."""
    with database(data_dir) as connection:
        connection.execute("update resource set body_size = 2000000 where id = 'due'")
    ledger = await opened(data_dir, later=LATER)
    assert [one.resource_id for one in await ledger.claim_deliveries("default", capacity=9)] == ["incomplete"]
    assert [one.resource_id for one in await ledger.claim_deliveries("default", capacity=9, large=True)] == ["due"]
    await ledger.aclose()


@each_schema
def test_a_migration_that_is_broken_off_anywhere_leaves_the_old_schema_whole(data_dir: Path, schema: int) -> None:
    with database(data_dir) as connection:
        assert break_off_everywhere(connection, every=20) > 5
        assert connection.pragma("user_version") == SCHEMA


@each_before_runs
async def test_a_migration_that_meets_a_full_disk_leaves_the_old_schema_whole(data_dir: Path, schema: int) -> None:
    with database(data_dir) as connection:
        before = dump(connection)
        connection.pragma("max_page_count", connection.pragma("page_count") + 1)
        with pytest.raises(apsw.FullError):
            migrate(connection)
        assert dump(connection) == before
    await (await opened(data_dir)).aclose()
    assert check_directory(data_dir).sound


@pytest.mark.parametrize(
    ("schema", "statement"),
    [
        (1, "create table delivery_log (did)"),
        (1, "update resource set generation = 'none' where id = 'due'"),
        (2, "create table tombstone (did)"),
        (3, "create table paused_endpoint (did)"),
        (5, "create table superseded (did)"),
        (6, "create table outrun (did)"),
        (7, "alter table delivery add column answer"),
    ],
)
async def test_a_step_that_fails_each_time_is_told_as_damage(data_dir: Path, statement: str) -> None:
    """A supervisor starts again where a store is unavailable; a start that cannot succeed is none of these."""
    with database(data_dir) as connection:
        connection.execute(statement)
        before = dump(connection)
    with pytest.raises(Damaged) as caught:
        await opened(data_dir)
    assert exit_for(caught.value) is Exit.STORE
    with database(data_dir) as connection:
        assert dump(connection) == before


def test_a_first_start_that_is_broken_off_anywhere_can_be_repeated(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        assert break_off_everywhere(connection, every=50) > 5
        assert connection.execute("select count(*) from ledger").get == 1


async def test_a_newer_schema_is_refused_in_words_and_left_alone(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        migrate(connection)
        connection.pragma("user_version", SCHEMA + 1)
        before = dump(connection)
    with pytest.raises(SchemaTooNew, match=f"has schema {SCHEMA + 1}; .* up to {SCHEMA}; install the newer version"):
        await opened(tmp_path)
    with database(tmp_path) as connection:
        assert dump(connection) == before
