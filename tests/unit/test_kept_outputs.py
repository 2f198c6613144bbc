"""Outputs that are kept in memory: the body that is sent at once is the one that is read of the store later (P3)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import Damaged
from collator.ledgers.sqlite.acceptance import accept
from collator.ledgers.sqlite.bodies import inline_bodies, join, load_frames
from collator.ledgers.sqlite.records import KEPT, record
from collator.ledgers.sqlite.repair import complete
from collator.ledgers.sqlite.store import Store
from collator.messages import Batch, Delivery, Failure, Output, Task, tasks_of
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock
from tests.conformance.steps import packet, packets
from tests.harness.store import sql
from tests.unit.test_outruns import OUTPUTS

ROOM = {"default": 100, "other": 100}


class Undone(Exception):
    """A transaction is rolled back."""


@contextmanager
def opened(directory: Path) -> Iterator[Store]:
    store = Store(
        directory / "collator.db",
        ledger_limits=LedgerLimits(),
        clock=ManualClock(),
        route=lambda _: ["default", "other"],
    )
    yield store
    store.connection.close()


def handed_out(store: Store, *given: Packet) -> list[Task]:
    with store.transaction():
        (accepted,) = accept(store, [(Batch(given).groups, 100)])
    return tasks_of(accepted.runs)


def recorded(store: Store, results: Sequence[Output | Failure]) -> list[Delivery]:
    with store.transaction():
        (answer,) = record(store, [(results, ROOM)])
    return [*answer.deliveries]


def ended(store: Store, id_: str, outputs: Sequence[bytes]) -> list[Delivery]:
    """The deliveries of a resource that gets *outputs* one by one."""
    tasks = handed_out(store, *packets(len(outputs), id_))
    results = [Output(task.lease, output) for task, output in zip(tasks, outputs, strict=True)]
    return [delivery for result in results for delivery in recorded(store, [result])]


def reads(store: Store) -> list[str]:
    """The names of the statements that are asked for a value from now on."""
    names: list[str] = []
    value = store.value

    def noted(name: str, *parameters: object) -> object:
        names.append(name)
        return value(name, *parameters)

    store.value = noted  # type: ignore[method-assign]
    return names


def body_read(store: Store, delivery: Delivery) -> bytes:
    """The body of *delivery* as it is read of the store."""
    ((row,),) = store.connection.execute("select rk from resource where id = ?", (delivery.resource_id,))
    return inline_bodies(store, load_frames(store, [row]))[row]


@given(st.lists(st.tuples(st.sampled_from([*OUTPUTS, None]), st.booleans()), min_size=1, max_size=8), st.data())
def test_a_body_is_the_same_from_memory_as_from_the_store(
    tmp_path_factory: pytest.TempPathFactory, results: list[tuple[bytes | None, bool]], data: st.DataObject
) -> None:
    with opened(tmp_path_factory.mktemp("store")) as store:
        tasks = data.draw(st.permutations(handed_out(store, *packets(len(results)))))
        part, deliveries = list[Output | Failure](), list[Delivery]()
        for place, (task, (output, ends_step)) in enumerate(zip(tasks, results, strict=True), 1):
            part.append(Failure(task.lease, "no") if output is None else Output(task.lease, output))
            if ends_step or place == len(results):
                deliveries += recorded(store, part)
                part = []
        one, other = deliveries
        assert one.body == other.body == body_read(store, one)


def test_no_output_is_read_of_a_small_resource(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        names = reads(store)
        first, _ = ended(store, "r", [b"1", b"2", b"3"])
        assert json.loads(first.body or b"")["data"]["outputs"] == [1, 2, 3]
        assert "outputs_of" not in names


@pytest.mark.parametrize(("size", "read"), [(KEPT // 4 - 5, False), (KEPT // 4, True)])
def test_the_outputs_of_a_large_resource_are_not_kept(tmp_path: Path, *, size: int, read: bool) -> None:
    outputs = [b'"%b"' % (b"x" * size)] * 4
    with opened(tmp_path) as store:
        names = reads(store)
        one, _ = ended(store, "r", outputs)
        assert one.body is not None
        assert b",".join(outputs) in one.body
        assert ("outputs_of" in names) is read
        assert [snapshot.outputs for snapshot in store.resources] == []


@pytest.mark.parametrize("forgets", [True, False])
def test_what_is_forgotten_in_between_is_read(tmp_path: Path, *, forgets: bool) -> None:
    with opened(tmp_path) as store:
        tasks = handed_out(store, *packets(3))
        recorded(store, [Output(tasks[0].lease, b"0")])
        if forgets:
            store.resources.clear()
        names = reads(store)
        recorded(store, [Output(tasks[2].lease, b"2")])
        one, _ = recorded(store, [Output(tasks[1].lease, b"1")])
        assert json.loads(one.body or b"")["data"]["outputs"] == [0, 1, 2]
        assert ("outputs_of" in names) is forgets


def test_an_output_that_is_rolled_back_is_in_no_body(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        first, last = handed_out(store, *packets(2))
        with suppress(Undone), store.transaction():
            record(store, [([Output(first.lease, b"1")], ROOM)])
            raise Undone
        recorded(store, [Output(first.lease, b"2")])
        one, _ = recorded(store, [Output(last.lease, b"3")])
        assert json.loads(one.body or b"")["data"]["outputs"] == [2, 3]


def test_an_end_by_a_person_has_what_was_recorded_before(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        (task,) = handed_out(store, packet("r", 0))
        recorded(store, [Output(task.lease, b" 7")])
        with store.transaction():
            one, _ = complete(store, "r", None, force=True, capacity=ROOM).deliveries
        assert one.body == body_read(store, one)


def test_damage_in_the_store_is_told_where_it_is_read(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        first, last = handed_out(store, *packets(2))
        recorded(store, [Output(first.lease, b"1")])
        sql(tmp_path, "update outrun set outputs = '[7]'")
        one, _ = recorded(store, [Output(last.lease, b"2")])
        assert json.loads(one.body or b"")["data"]["outputs"] == [1, 2]
        (frame,) = load_frames(store, [1])
        runs = store.connection.execute("select indexes, outputs, crc from outrun order by seq")
        with pytest.raises(Damaged, match="index 0"):
            join(frame, [(indexes.encode(), outputs.encode(), crc) for indexes, outputs, crc in runs])
