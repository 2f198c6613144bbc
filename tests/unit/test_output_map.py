"""Outputs that were recorded in any order are read in the order of their indexes, in turns, also while more come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.ledgers.sqlite import SqliteLedger, open_ledger, output_map, outruns, pieces, recovery
from collator.ledgers.sqlite.check import check_directory
from collator.ledgers.sqlite.output_map import OutputMap
from collator.ledgers.sqlite.schema import migrate
from collator.ledgers.sqlite.statements import load_statements
from collator.messages import Failure, Output, Task
from collator.rules.outcomes import Outcomes
from collator.rules.resource import LedgerLimits
from collator.states import PacketState
from collator.testing import ManualClock
from tests.conformance.steps import claim, due_one, echo, offer, outputs, packet, packets, places, record

pytestmark = pytest.mark.anyio
COUNT = 300
"""Packets of a resource."""


async def opened(data_dir: Path) -> SqliteLedger:
    return await open_ledger(data_dir, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: ["default"])


@pytest.fixture
async def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteLedger]:
    """A ledger whose turns end at once, and whose runs, windows, stretches and pieces are small."""
    monkeypatch.setattr(output_map, "TURN", 0.0)
    monkeypatch.setattr(output_map, "STRETCH", 50)
    monkeypatch.setattr(outruns, "MOST", 20)
    monkeypatch.setattr(pieces, "WINDOW", 8 * 1024)
    monkeypatch.setattr(pieces, "PIECE", 4 * 1024)
    monkeypatch.setattr(pieces, "JOINED", 7)
    ledger = await opened(tmp_path)
    yield ledger
    await ledger.aclose()
    assert check_directory(tmp_path).sound


def output(index: int) -> bytes:
    """The output of *index*: of 1 byte to 3 KiB, and some of 20 KiB, which is more than a window."""
    size = 20_000 if index % 97 == 5 else index * 37 % 3_000
    return b'{"i":%d, "x": "%s"}' % (index, b"x" * size)


@cache
def in_memory() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    migrate(connection)
    return connection


def map_of(runs: list[list[int]]) -> OutputMap:
    """The map of a resource with *runs* of outputs, of which an empty one is a failure."""
    connection = in_memory()
    connection.execute("delete from outrun")
    rows, seq = [], 1
    for place, indexes in enumerate(runs):
        one = Outcomes(1, seq, 1, indexes or [9_000_000 + place], [*map(output, indexes)], None if indexes else "no")
        rows += outruns.rows_of([one])
        seq += max(1, len(indexes))
    connection.executemany(
        "insert into outrun (rk, seq, attempts, indexes, crc, reason, outputs) values (?, ?, ?, ?, ?, ?, ?)", rows
    )
    where = OutputMap(connection, load_statements(), 1)
    while not where.advance():
        pass
    return where


@st.composite
def recorded_runs(draw: st.DrawFn) -> list[list[int]]:
    """Indexes with gaps, near or far apart, in order or not, divided in runs; some are failures."""
    there = sorted(draw(st.sets(st.one_of(st.integers(0, 60), st.integers(0, 20_000)), min_size=1, max_size=60)))
    order = draw(st.one_of(st.just(there), st.permutations(there)))
    cuts = sorted(draw(st.sets(st.integers(1, len(order)), max_size=9)) | {0, len(order)})
    runs = [list(order[begin:end]) for begin, end in pairwise(cuts)]
    return draw(st.lists(st.just(list[int]()), max_size=2)) + runs


@given(recorded_runs(), st.integers(1, 20), st.integers(0, 30_000), st.data())
def test_outputs_are_read_window_by_window_whatever_the_order_of_time_was(
    runs: list[list[int]], most: int, size: int, data: st.DataObject
) -> None:
    where = map_of(runs)
    ended = data.draw(st.integers(0, len(runs)), label="runs that were there at the end of the generation")
    last_seq = sum(max(1, len(run)) for run in runs[:ended])
    found: list[int] = []
    after: int | None = -1
    while after is not None:
        indexes, after = where.behind(after, most=most, size=size, last_seq=last_seq)
        assert len(indexes) <= most
        read = dict(pair for run in where.runs(indexes) if run for pair in where.outputs(run))
        assert [read[index] for index in indexes] == [output(index) for index in indexes]
        found += indexes
    assert found == sorted(index for run in runs[:ended] for index in run)


async def taken(ledger: SqliteLedger, *, last: bool = True) -> list[Task]:
    """The packets of a resource, handed out, in random order."""
    await offer(ledger, *packets(COUNT, last=last))
    tasks = await claim(ledger)
    assert len(tasks) == COUNT
    Random(7).shuffle(tasks)
    return tasks


async def recorded(ledger: SqliteLedger, tasks: list[Task], together: int = 33) -> None:
    for start in range(0, len(tasks), together):
        await record(ledger, *(Output(task.lease, output(task.key.index)) for task in tasks[start : start + together]))


async def test_a_large_body_is_in_the_order_of_indexes_whatever_that_of_time_was(ledger: SqliteLedger) -> None:
    await recorded(ledger, await taken(ledger))
    body = await ledger.body(await due_one(ledger))
    assert body.endswith(b'"outputs":[' + b",".join(output(index) for index in range(COUNT)) + b"]}}")


async def test_a_small_body_is_in_the_order_of_indexes_too(ledger: SqliteLedger) -> None:
    await offer(ledger, *packets(3))
    for task in reversed(await claim(ledger)):
        await record(ledger, Output(task.lease, b"%d" % task.key.index))
    delivery = await due_one(ledger)
    assert (delivery.body or b"").endswith(b'"outputs":[0,1,2]}}')


async def test_a_partial_body_has_the_outputs_that_are_there_with_their_indexes(ledger: SqliteLedger) -> None:
    tasks = await taken(ledger)
    await recorded(ledger, [task for task in tasks if task.key.index % 3])
    await record(ledger, *(Failure(task.lease, "no") for task in tasks if task.key.index % 3 == 0))
    first = await due_one(ledger)
    body = await ledger.body(first)
    partial = [(one["index"], one["output"]) for one in json.loads(body)["data"]["partial"]]
    assert partial == [(index, json.loads(output(index))) for index in range(COUNT) if index % 3]
    # What a retry adds is in the body of its own generation, and in no other.
    assert await ledger.retry("r") == COUNT // 3
    await recorded(ledger, await claim(ledger))
    assert await ledger.body(first) == body
    whole = await ledger.body(await due_one(ledger))
    assert json.loads(whole)["data"]["outputs"] == [json.loads(output(index)) for index in range(COUNT)]


async def test_a_superseded_body_is_the_same_whatever_comes_before_its_outputs(ledger: SqliteLedger) -> None:
    tasks = await taken(ledger)
    await recorded(ledger, [task for task in tasks if task.key.index >= 200])
    await record(ledger, *(Failure(task.lease, "no") for task in tasks if task.key.index < 200))
    first = msgspec.structs.replace(await due_one(ledger), body=None)
    body = await ledger.body(first)
    assert await ledger.retry("r") == 200
    await recorded(ledger, await claim(ledger))
    assert await ledger.body(first) == body


async def test_a_body_is_the_same_if_a_retry_supersedes_it_while_its_map_is_made(ledger: SqliteLedger) -> None:
    tasks = await taken(ledger)
    await recorded(ledger, [task for task in tasks if task.key.index % 3])
    await record(ledger, *(Failure(task.lease, "no") for task in tasks if task.key.index % 3 == 0))
    first = msgspec.structs.replace(await due_one(ledger), body=None)
    reader = ledger._reader
    looks = reader._bodies.pieces(first)
    body = b""
    while piece := await reader.ask(next, looks):
        body += piece
    assert await ledger.retry("r") == COUNT // 3
    await recorded(ledger, await claim(ledger))
    while (more := await reader.ask(next, looks, None)) is not None:
        body += more
    assert await ledger.body(first) == body
    assert body.count(b'{"index":') == COUNT * 2 // 3 + COUNT // 3  # its outputs, and its failures


async def test_pages_by_index_have_each_output_once_while_more_come(ledger: SqliteLedger) -> None:
    tasks = await taken(ledger)
    await recorded(ledger, tasks[:200])
    there = sorted(task.key.index for task in tasks[:200])
    assert [index for index, _ in await outputs(ledger, limit=40)] == there[:40]
    await recorded(ledger, tasks[200:])
    found: list[tuple[int, bytes | None]] = []
    more = True
    while more:
        after = found[-1][0] if found else -1
        page = await ledger.outputs("r", after=after, limit=7, size=9_000)
        assert 0 < len(page.outcomes) <= 7
        assert len(page.outcomes) == 1 or sum(len(one.output or b"") for one in page.outcomes) <= 9_000
        found += [(one.index, one.output) for one in page.outcomes]
        more = page.more
    assert found == [(index, output(index)) for index in range(COUNT)]


async def test_pages_by_number_have_each_outcome_once(ledger: SqliteLedger) -> None:
    tasks = await taken(ledger, last=False)
    await recorded(ledger, tasks[:100])
    await record(ledger, *(Failure(task.lease, "no") for task in tasks[100:110]))
    await recorded(ledger, tasks[110:])
    found: list[tuple[int, int]] = []
    more = True
    while more:
        page = await ledger.outcomes("r", after_seq=len(found), limit=9, size=12_000)
        found += [(one.seq, one.index) for one in page.outcomes]
        assert all(one.output == (None if one.reason else output(one.index)) for one in page.outcomes)
        more = page.more
    assert [seq for seq, _ in found] == [*range(1, COUNT + 1)]
    assert sorted(index for _, index in found) == [*range(COUNT)]


async def test_a_packet_is_found_in_its_run(ledger: SqliteLedger) -> None:
    tasks = await taken(ledger, last=False)
    await recorded(ledger, tasks[:90])
    await record(ledger, Failure(tasks[90].lease, "no"))
    detail = await ledger.packet("r", tasks[57].key.index)
    assert (detail.state, detail.seq, detail.output) == (PacketState.DONE, 58, output(tasks[57].key.index))
    failed = await ledger.packet("r", tasks[90].key.index)
    assert (failed.state, failed.seq, failed.reason, failed.attempts) == (PacketState.FAILED, 91, "no", 1)
    assert (await ledger.packet("r", tasks[91].key.index)).state is PacketState.LEASED


async def test_what_is_unfinished_is_what_has_neither_output_nor_failure(ledger: SqliteLedger) -> None:
    await offer(ledger, packet("r", 7_000), packet("r", 9_001), *packets(COUNT, last=False))
    tasks = sorted(await claim(ledger), key=lambda task: task.key.index)
    left = {*range(40, 45), 100, 7_000}
    finished = [task for task in tasks if task.key.index not in left]
    await recorded(ledger, [task for task in finished if task.key.index % 9])
    await record(ledger, *(Failure(task.lease, "no") for task in finished if task.key.index % 9 == 0))
    report = await ledger.resource("r")
    assert report.unfinished == [(40, 44), (100, 100), (7_000, 7_000)]
    assert report.missing == [(COUNT, 6_999), (7_001, 9_000)]


@pytest.mark.parametrize("together", [1, 100, 1_000])
async def test_p2_after_a_kill_the_packets_that_have_no_outcome_run_again_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(recovery, "TOGETHER", together)
    ledger = await opened(tmp_path)
    for name in ("a", "b", "c"):
        await offer(ledger, *packets(60, name))
    tasks = await claim(ledger)
    Random(3).shuffle(tasks)
    done, left = tasks[:100], tasks[100:]
    for start in range(0, 100, 7):
        await record(ledger, *(Output(task.lease, b"0") for task in done[start : start + 7]))
    await record(ledger, *(Failure(task.lease, "no") for task in left[:5]))
    ledger.abandon()
    ledger = await opened(tmp_path)
    again: list[tuple[str, int]] = []
    while tasks := await claim(ledger):
        again += places(tasks)
        await record(ledger, *echo(tasks))
    assert sorted(again) == sorted(places(left[5:]))
    await ledger.aclose()
