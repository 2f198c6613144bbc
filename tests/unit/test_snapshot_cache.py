"""Snapshots in memory: what is there is what is stored, whatever goes and whatever is undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from collator.ledgers.batching.calls import Call, batches
from collator.ledgers.sqlite import SqliteLedger
from collator.ledgers.sqlite.snapshot_cache import SnapshotCache
from collator.ledgers.sqlite.steps import execute
from collator.rules.resource import LedgerLimits, Snapshot
from collator.states import State
from tests.conformance.harness import Routing
from tests.conformance.machine_ends import run_machine
from tests.conformance.sqlite_harness import SqliteHarness
from tests.conformance.steps import packet, process, send
from tests.conformance.store import Store

ROOM_FOR_TWO = 4 * 700
"""Bytes of which half is two small snapshots."""


class Stored:
    """Resources as a store has them, by id; it counts what is read of them."""

    def __init__(self, *ids: str) -> None:
        self.rows = {id_: Snapshot(resource_id=id_, generation=b"", key=row) for row, id_ in enumerate(ids, 1)}
        self.read: list[list[str] | list[int]] = []

    def __call__(self, statement: str, keys: list[str] | list[int]) -> Iterator[Snapshot]:
        self.read.append(keys)
        wanted = {"find_resources": "resource_id", "find_handles": "key"}[statement]
        return (one for one in self.rows.values() if getattr(one, wanted) in keys)


def test_only_what_is_not_there_is_read() -> None:
    stored = Stored("a", "b", "c")
    cache = SnapshotCache(stored)
    cache.put(cache.take_by_id(["a"]).values())
    assert cache.take_by_id(["a", "b", "unknown"]) == {"a": stored.rows["a"], "b": stored.rows["b"]}
    cache.put(stored.rows.values())
    assert cache.take_by_row([1, 3, 7]) == {1: stored.rows["a"], 3: stored.rows["c"]}
    assert stored.read == [["a"], ["b", "unknown"], [7]]


def test_what_was_taken_is_read_again_unless_it_is_put_back() -> None:
    stored = Stored("a")
    cache = SnapshotCache(stored)
    cache.put(stored.rows.values())
    assert cache.take_by_row([1])
    assert not [*cache]
    assert cache.take_by_id(["a"])
    assert stored.read == [["a"]]


def test_what_is_taken_anew_is_read_and_no_longer_there() -> None:
    stored = Stored("a", "b")
    cache = SnapshotCache(stored)
    cache.put(stored.rows.values())
    assert cache.take_by_id(["a"], anew=True) == {"a": stored.rows["a"]}
    assert cache.take_by_row([2], anew=True) == {2: stored.rows["b"]}
    assert stored.read == [["a"], [2]]
    assert not [*cache]


def test_what_has_ended_is_not_kept() -> None:
    stored = Stored("a", "b")
    stored.rows["b"].state = State.COLLATED
    cache = SnapshotCache(stored)
    cache.put(stored.rows.values())
    assert [*cache] == [stored.rows["a"]]


def test_a_rollback_forgets_all() -> None:
    stored = Stored("a", "b")
    cache = SnapshotCache(stored)
    cache.put(stored.rows.values())
    cache.clear()
    assert not [*cache]
    assert cache.take_by_id(["a"])
    assert stored.read == [["a"]]


def test_the_weight_of_all_is_bounded_and_what_was_used_last_stays() -> None:
    stored = Stored(*map(str, range(100)))
    cache = SnapshotCache(stored, most=ROOM_FOR_TWO)
    for one in stored.rows.values():
        cache.put([one])
        cache.put(cache.take_by_id(["0"]).values())
        assert len([*cache]) <= 4
    assert stored.rows["0"] in [*cache]
    assert not stored.read


def test_metadata_that_came_late_weighs() -> None:
    stored = Stored("a", "b")
    cache = SnapshotCache(stored, most=ROOM_FOR_TWO)
    cache.put(stored.rows.values())
    (grown,) = cache.take_by_id(["a"]).values()
    grown.metadata = b"x" * ROOM_FOR_TWO
    cache.put([grown])
    assert [*cache] == [stored.rows["b"]]


def test_outputs_weigh() -> None:
    stored = Stored("a", "b")
    cache = SnapshotCache(stored, most=ROOM_FOR_TWO)
    cache.put(stored.rows.values())
    (grown,) = cache.take_by_id(["a"]).values()
    grown.outputs, grown.done, grown.body_size = ([0], [b"x" * ROOM_FOR_TWO]), 1, ROOM_FOR_TWO + 1
    cache.put([grown])
    assert [*cache] == [stored.rows["b"]]


async def test_a_resource_under_way_is_read_once(tmp_path: Path) -> None:
    store = Store(SqliteHarness(tmp_path))
    ledger = await store.open()
    assert isinstance(ledger, SqliteLedger)
    read = count_reads(ledger)
    for index in range(3):
        await send(ledger, packet("r", index))
        await process(ledger)
    assert read == [["r"]]
    await store.close()


def count_reads(ledger: SqliteLedger) -> list[Sequence[object]]:
    """The keys that are read from now on, statement by statement."""
    read: list[Sequence[object]] = []
    load = ledger._store.resources._read

    def counted(statement: str, keys: list[object]) -> Sequence[Snapshot]:
        read.append(keys)
        return [*load(statement, keys)]

    ledger._store.resources._read = counted
    return read


class Undone(Exception):
    """A transaction is rolled back, and taken again."""


class UndoingHarness(SqliteHarness):
    """Memory for one or two resources, and every third commit is undone and taken again."""

    async def open(self, ledger_limits: LedgerLimits, route: Routing) -> SqliteLedger:
        """Open the directory."""
        ledger = await super().open(ledger_limits, route)
        ledger._store.resources.most = ROOM_FOR_TWO // 2
        writer, store, turns = ledger._writer, ledger._store, count(1)
        commit = writer._commit

        def commit_twice(group: Sequence[Call]) -> None:
            if next(turns) % 3 == 0:
                with suppress(Exception), store.transaction():
                    for calls in batches(group):
                        execute(store, calls)
                    raise Undone
            commit(group)

        writer._commit = commit_twice  # type: ignore[method-assign]
        return ledger


def test_the_ledger_agrees_with_the_model_whatever_is_undone() -> None:
    run_machine(lambda directory: Store(UndoingHarness(directory)), share=5)
