"""Resources take turns for the threads of the processor, whatever each of them holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from collator.messages import Key, Lease, Run, Task, packets_in, runs_of
from collator.messages import tasks_of as apart
from collator.workers.round_robin import RoundRobin

resource_ids = st.sampled_from("abcde")
steps = st.lists(st.lists(resource_ids, max_size=8) | st.integers(0, 9), max_size=30)


def singles(resource_ids: list[str] | str, first: int = 0) -> list[Run]:
    return runs_of(
        Task(Key(resource_id, b"g" * 16, number), b"1", 1, Lease(0, number))
        for number, resource_id in enumerate(resource_ids, first)
    )


def task(resource_id: str, index: int, *, attempt: int = 1) -> Run:
    return run(resource_id, [index], attempt=attempt)


def run(resource_id: str, indexes: list[int], *, attempt: int = 1) -> Run:
    """Return a run whose token is its first index, and a hundred."""
    number = len(indexes)
    lease = Lease(0, 100 + indexes[0])
    return Run(resource_id, b"g" * 16, lease, indexes, [b"%d" % one for one in indexes], [attempt] * number)


def indexes(runs: Iterable[Run]) -> list[int]:
    return [one.key.index for one in apart(runs)]


def ids(runs: Iterable[Run]) -> list[str]:
    return [one.key.resource_id for one in apart(runs)]


def test_a_resource_of_one_packet_behind_one_of_many_is_served_second() -> None:
    round_robin = RoundRobin()
    round_robin.put(singles("a" * 1000))
    round_robin.take(10)
    round_robin.put(singles("b", first=1000))
    assert ids(round_robin.take(4)) == ["a", "a", "b", "a"]


@given(st.lists(resource_ids))
def test_in_each_round_every_resource_that_has_a_task_is_served_once(resources: list[str]) -> None:
    round_robin = RoundRobin()
    round_robin.put(singles(resources))
    while len(round_robin):
        waiting = {*ids(round_robin)}
        taken = ids(round_robin.take(len(waiting)))
        assert sorted(taken) == sorted(waiting)


lengths = st.lists(st.tuples(resource_ids, st.integers(1, 9)), max_size=12)


@given(lengths, st.integers(1, 40))
def test_what_is_taken_in_one_go_is_shared_out_equally(lengths: list[tuple[str, int]], count: int) -> None:
    """Who gets less than an equal share has nothing left."""
    round_robin = RoundRobin()
    for number, (resource_id, length) in enumerate(lengths):
        round_robin.put([run(resource_id, [*range(100 * number, 100 * number + length)])])
    before = ids(round_robin)
    taken = Counter(ids(round_robin.take(count)))
    assert taken.total() == min(count, len(before))
    assert all(taken[resource_id] >= count // len({*before}) for resource_id in {*ids(round_robin)})


def test_of_many_resources_each_gives_an_eighth_at_most() -> None:
    round_robin = RoundRobin()
    round_robin.put([run(f"r{number}", [*range(100 * number, 100 * number + 50)]) for number in range(20)])
    taken = round_robin.take(160)
    assert [(one.resource_id, len(one.indexes)) for one in taken] == [(f"r{number}", 20) for number in range(8)]
    assert [one.resource_id for one in round_robin.take(3)] == ["r8", "r9", "r10"]


@given(steps)
def test_nobody_waits_longer_than_a_round(steps: list[list[str] | int]) -> None:
    """A resource that waits is in what is taken next, if that is no less than the resources there are."""
    round_robin, lease = RoundRobin(), 0
    for step in steps:
        if isinstance(step, list):
            round_robin.put(singles(step, first=lease))
            lease += len(step)
            continue
        waiting = {*ids(round_robin)}
        served = {*ids(round_robin.take(step))}
        assert len(served) == min(step, len(waiting))


@given(lengths, st.lists(st.integers(1, 20), max_size=20))
def test_runs_come_out_in_parts_and_in_order_and_what_is_put_back_comes_next(
    lengths: list[tuple[str, int]], counts: list[int]
) -> None:
    round_robin = RoundRobin()
    runs = [run(id_, [*range(100 * at, 100 * at + length)]) for at, (id_, length) in enumerate(lengths)]
    round_robin.put(runs)
    taken: list[Task] = []
    for count in [*counts, 1000]:
        parts = round_robin.take(count)
        kept = parts[: len(parts) // 2] if count < 1000 else parts
        round_robin.put_back(parts[len(kept) :])
        taken += apart(kept)
        assert len(taken) + len(round_robin) == packets_in(runs) == len(taken) + packets_in(round_robin)
    assert len(round_robin) == 0
    assert sorted(taken, key=lambda one: one.lease) == sorted(apart(runs), key=lambda one: one.lease)
    for resource_id in "abcde":
        mine = [one.key.index for one in taken if one.key.resource_id == resource_id]
        assert mine == sorted(mine)


@given(steps)
def test_every_task_comes_out_once_and_those_of_a_resource_in_order(steps: list[list[str] | int]) -> None:
    round_robin = RoundRobin()
    put: list[Run] = []
    taken: list[Run] = []
    for step in [*steps, 1000]:
        if isinstance(step, list):
            put += singles(step, first=len(put))
            round_robin.put(put[len(put) - len(step) :])
        else:
            taken += round_robin.take(step)
        assert len(round_robin) == len([*round_robin]) == len(put) - len(taken)
    assert sorted(taken, key=lambda one: one.lease) == put
    by_resource = sorted(taken, key=lambda one: one.resource_id)
    assert by_resource == sorted(put, key=lambda one: (one.resource_id, one.lease))


@given(st.lists(resource_ids), st.sets(st.integers(0, 20)))
def test_what_is_dropped_does_not_come_out(resources: list[str], dropped: set[int]) -> None:
    round_robin = RoundRobin()
    round_robin.put(singles(resources))
    round_robin.drop({Lease(0, number) for number in dropped})
    assert {task.lease.token for task in round_robin.take(1000)} == set(range(len(resources))) - dropped


# Where a call takes a batch.


def test_a_task_that_has_failed_before_is_called_apart_and_first() -> None:
    round_robin = RoundRobin(batch=3)
    round_robin.put([task("a", 0), task("a", 1, attempt=2), task("b", 2), task("b", 3)])
    assert [indexes(round_robin.take(3)) for _ in range(3)] == [[1], [0, 2, 3], []]


def test_tasks_that_failed_together_are_called_one_by_one() -> None:
    round_robin = RoundRobin(batch=3)
    round_robin.put([task("a", 0)])
    round_robin.put_each([task("a", 1), task("b", 2)])
    assert len(round_robin) == 3
    assert [indexes(round_robin.take(3)) for _ in range(3)] == [[1], [2], [0]]
    assert len(round_robin) == 0


def test_without_batches_an_attempt_is_as_good_as_another() -> None:
    round_robin = RoundRobin()
    round_robin.put([task("a", 0), task("a", 1, attempt=2)])
    assert indexes(round_robin.take(3)) == [0, 1]


def test_all_can_be_taken_at_once_and_dropped_wherever_they_wait() -> None:
    round_robin = RoundRobin(batch=2)
    round_robin.put([task("a", 0), task("b", 1), task("a", 2)])
    round_robin.put_each([task("b", 3), task("b", 4)])
    round_robin.drop({one.lease for one in round_robin if one.indexes[0] in {0, 3}})
    assert (len(round_robin), sorted(indexes(round_robin))) == (3, [1, 2, 4])
    assert sorted(indexes(round_robin.take_all())) == [1, 2, 4]
    assert (len(round_robin), [*round_robin]) == (0, [])
