"""The SQLite ledger with much in it: what a step does must not grow with what is there."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from collator.ledgers.sqlite import SqliteLedger, open_ledger, resource_pages
from collator.ledgers.sqlite.check import check_directory
from collator.ledgers.sqlite.schema import migrate
from collator.ledgers.sqlite.statements import load_statements
from collator.ledgers.sqlite.store import DATABASE, connect
from collator.ledgers.sqlite.vacuum import PAGES, SPARE
from collator.messages import Batch, Output, tasks_of
from collator.packet import Packet, Status
from collator.rules.resource import LedgerLimits
from collator.states import State
from collator.testing import ManualClock
from tests.harness.store import changes

SCANS = re.compile(
    r"SCAN (?!ledger|\w+ USING INDEX attempt_alone)"  # one row; the suspects, which are few
    r"(resource|packet|outrun|ready|attempt|delivery|delivery_log|[aodpry])\b"  # or by alias
)
WHOLE = {
    "handles": "ready",
    "count_idle_times": "resource USING COVERING INDEX resource_idle",
    "shorten_dead_retention": "d USING INDEX delivery_undelivered",
    "some_due": "ready",
}
"""What may be gone through besides: at a start, and in order, up to a limit."""


@pytest.mark.parametrize("name", [*load_statements()])
def test_no_statement_goes_through_a_whole_table(tmp_path: Path, name: str) -> None:
    connection = connect(tmp_path / "collator.db")
    migrate(connection)
    statement = load_statements()[name]
    if statement.startswith(("savepoint", "rollback")):
        return
    numbers = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    plan = connection.execute("explain query plan " + statement, [None] * max(numbers, default=0))
    steps = [str(row[3]) for row in plan]
    connection.close()
    assert [step for step in steps if SCANS.match(step) and step != f"SCAN {WHOLE.get(name)}"] == []


@pytest.mark.parametrize("name", ["list_resources", "list_resources_in", "list_collated"])
def test_a_page_of_resources_looks_no_further_than_their_prefix(tmp_path: Path, name: str) -> None:
    connection = connect(tmp_path / "collator.db")
    migrate(connection)
    statement = load_statements()[name]
    parameters = ["p", "q", 100, "open"][: len(set(re.findall(r"\?\d", statement)))]
    plan = [str(row[3]) for row in connection.execute("explain query plan " + statement, parameters)]
    connection.close()
    assert any(re.search(r"resource USING (COVERING )?INDEX .*id>\? AND id<\?", step) for step in plan), plan


async def test_the_few_that_ended_whole_are_found_in_short_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no index of their own: what else there is must not hold up other views."""
    ledger = await open_ledger(tmp_path, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: [])
    names = [f"r{number:03}" for number in range(200)]
    whole = [names[number] for number in (0, 1, 99, 100, 150, 199)]
    await _finish(ledger, *whole)
    await ledger.accept(Batch([Packet(id_, 0, Raw(b"0")) for id_ in names if id_ not in whole]).groups, capacity=0)
    monkeypatch.setattr(resource_pages, "LOOKED", 16)
    looks: list[int] = []
    value = ledger._reader._value

    def counted(name: str, *given: Any) -> bytes:  # noqa: ANN401 - whatever a statement takes
        looks.append(given[3])
        return value(name, *given)

    monkeypatch.setattr(ledger._reader, "_value", counted)
    for limit in (1, 2, 4, 5, 6, 7):
        pages, after = [], ""
        while page := await ledger.resources(state=State.COLLATED, after=after, limit=limit):
            pages.append([one.resource_id for one in page])
            after = pages[-1][-1]
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert [id_ for page in pages for id_ in page] == whole
    assert len(looks) > len(whole)
    assert max(looks) == 16
    await ledger.aclose()


async def test_what_was_forgotten_goes_back_to_the_disk_little_by_little(tmp_path: Path) -> None:
    clock = ManualClock()
    ledger = await open_ledger(tmp_path, ledger_limits=LedgerLimits(retention=100.0), clock=clock, route=lambda _: [])
    await _finish(ledger, *(f"old{number}" for number in range(600)))
    clock.advance(60)
    await _finish(ledger, "young")  # at the end of the file
    clock.advance(60)
    while await ledger.purge(limit=1000) >= 1000:
        pass
    pages = [ledger._store.connection.pragma("page_count")]
    for _ in range(1000):
        await ledger.purge(limit=1000)
        pages.append(ledger._store.connection.pragma("page_count"))
        if pages[-1] == pages[-2]:
            break
    assert max(one - next_ for one, next_ in itertools.pairwise(pages)) <= 1.01 * PAGES  # with those that map them
    assert ledger._store.connection.pragma("freelist_count") * SPARE <= pages[-1]
    (outcome,) = (await ledger.outputs("young")).outcomes
    assert (outcome.index, outcome.output) == (0, PAYLOAD)
    await ledger.aclose()
    assert (tmp_path / DATABASE).stat().st_size < pages[0] * 4096 / 4
    assert check_directory(tmp_path).sound


PAYLOAD = b'"' + b"x" * 8000 + b'"'


async def _finish(ledger: SqliteLedger, *resource_ids: str) -> None:
    accepted = await ledger.accept(
        Batch([Packet(id_, 0, Raw(PAYLOAD), last=True) for id_ in resource_ids]).groups, capacity=10_000
    )
    await ledger.record([Output(task.lease, task.payload) for task in tasks_of(accepted.runs)], capacity={})


async def test_no_more_is_read_for_repeats_than_they_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet of a few bytes may be for an index that holds a megabyte."""
    ledger = await open_ledger(tmp_path, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: [])
    large = [Packet(resource_id="r", index=index, payload=Raw(b'"%s"' % (b"x" * 200_000))) for index in range(5)]
    small = [Packet(resource_id="r", index=number % 5, payload=Raw(b"%d" % number)) for number in range(200)]
    await ledger.accept(Batch(large).groups, capacity=0)
    read: list[int] = []
    value = ledger._store.value

    def counted(*given: Any) -> Any:  # noqa: ANN401 - whatever a statement takes and gives
        found = value(*given)
        read.append(len(str(found)))
        return found

    monkeypatch.setattr(ledger._store, "value", counted)
    accepted = await ledger.accept(Batch([*small, large[0], *small]).groups, capacity=0)
    statuses = [receipt.status for receipt in accepted.receipts]
    assert statuses == [*[Status.CONFLICT] * 200, Status.DUPLICATE, *[Status.CONFLICT] * 200]
    assert sum(read) <= 200_000 + 50_000
    await ledger.aclose()


@pytest.mark.parametrize("asked", [True, False])
async def test_r29_metadata_is_read_once_a_claim_and_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    limits = LedgerLimits(hand_out_metadata=asked)
    ledger = await open_ledger(tmp_path, ledger_limits=limits, clock=ManualClock(), route=lambda _: [])
    packets = [
        Packet(f"r{number}", index, Raw(b"0"), metadata=Raw(b'{"a":1}')) for number in range(10) for index in range(10)
    ]
    await ledger.accept(Batch(packets[::2]).groups, capacity=0)
    reads: list[bool] = []
    value = ledger._store.value

    def counted(name: str, *given: Any) -> Any:  # noqa: ANN401 - as above
        if name == "load_resources":
            reads.append(given[1])
        return value(name, *given)

    monkeypatch.setattr(ledger._store, "value", counted)
    assert len(tasks_of(await ledger.claim(capacity=100))) == 50
    assert reads == [asked]
    assert len(tasks_of((await ledger.accept(Batch(packets[1::2]).groups, capacity=100)).runs)) == 50
    assert reads == [asked], "the packets' resources were looked up for the receipts"
    await ledger.aclose()


@pytest.mark.parametrize(("each", "ranges"), [(32, [32, 64]), (15, [])])
async def test_packets_of_neighbours_are_purged_together_and_none_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each: int, ranges: list[int]
) -> None:
    """Where it is worth a statement of its own for each row of neighbours."""
    ledger = await open_ledger(tmp_path, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: [])
    for name in ("a", "kept", "b", "c"):
        await ledger.accept(Batch([Packet(name, index, Raw(b"0")) for index in range(each)]).groups, capacity=0)
        await ledger.cancel(name)
    ledger._store.connection.execute("update resource set purge_at = iif(id = 'kept', 1e12, 0)")
    deleted = changes(monkeypatch, ledger._store, "delete_packet_range")
    await ledger.purge(limit=1000)
    assert deleted == ranges
    assert [one.resource_id for one in await ledger.resources()] == ["kept"]
    await ledger.aclose()
    report = check_directory(tmp_path)
    assert (report.sound, report.rows["packets"]) == (True, each)
