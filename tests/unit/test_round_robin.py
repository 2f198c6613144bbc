"""Resources take turns for the threads of the processor, whatever each of them holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from collator.messages import Key, Lease, Task
from collator.workers.round_robin import RoundRobin

resource_ids = st.sampled_from("abcde")
steps = st.lists(st.lists(resource_ids, max_size=8) | st.integers(0, 9), max_size=30)


def tasks_of(resource_ids: list[str] | str, first: int = 0) -> list[Task]:
    return [
        Task(Key(resource_id, b"g" * 16, number), b"1", 1, Lease(0, number))
        for number, resource_id in enumerate(resource_ids, first)
    ]


def task(resource_id: str, index: int, *, attempt: int = 1) -> Task:
    return Task(Key(resource_id, b"g" * 16, index), b"1", attempt, Lease(0, 100 + index))


def indexes(tasks: Iterable[Task]) -> list[int]:
    return [one.key.index for one in tasks]


def test_a_resource_of_one_packet_behind_one_of_many_is_served_second() -> None:
    round_robin = RoundRobin()
    round_robin.put(tasks_of("a" * 1000))
    round_robin.take(10)
    round_robin.put(tasks_of("b", first=1000))
    assert [task.key.resource_id for task in round_robin.take(4)] == ["a", "b", "a", "a"]


@given(st.lists(resource_ids))
def test_in_each_round_every_resource_that_has_a_task_is_served_once(ids: list[str]) -> None:
    round_robin = RoundRobin()
    round_robin.put(tasks_of(ids))
    while len(round_robin):
        waiting = {task.key.resource_id for task in round_robin}
        taken = [task.key.resource_id for task in round_robin.take(len(waiting))]
        assert sorted(taken) == sorted(waiting)


@given(steps)
def test_nobody_waits_longer_than_a_round(steps: list[list[str] | int]) -> None:
    round_robin, lease = RoundRobin(), 0
    waited: dict[str, int] = defaultdict(int)
    for step in steps:
        if isinstance(step, list):
            round_robin.put(tasks_of(step, first=lease))
            lease += len(step)
            continue
        for served in round_robin.take(step):
            waiting = {task.key.resource_id for task in round_robin} | {served.key.resource_id} | set(waited)
            for resource_id in waiting:
                waited[resource_id] += 1
            assert waited.pop(served.key.resource_id) <= len("abcde")


@given(steps)
def test_every_task_comes_out_once_and_those_of_a_resource_in_order(steps: list[list[str] | int]) -> None:
    round_robin = RoundRobin()
    put: list[Task] = []
    taken: list[Task] = []
    for step in [*steps, 1000]:
        if isinstance(step, list):
            put += tasks_of(step, first=len(put))
            round_robin.put(put[len(put) - len(step) :])
        else:
            taken += round_robin.take(step)
        assert len(round_robin) == len([*round_robin]) == len(put) - len(taken)
    assert sorted(taken, key=lambda task: task.lease) == put
    by_resource = sorted(taken, key=lambda task: task.key.resource_id)
    assert by_resource == sorted(put, key=lambda task: (task.key.resource_id, task.lease))


@given(st.lists(resource_ids), st.sets(st.integers(0, 20)))
def test_what_is_dropped_does_not_come_out(ids: list[str], dropped: set[int]) -> None:
    round_robin = RoundRobin()
    round_robin.put(tasks_of(ids))
    round_robin.drop({Lease(0, number) for number in dropped})
    assert {task.lease.token for task in round_robin.take(1000)} == set(range(len(ids))) - dropped


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
    round_robin.drop({one.lease for one in round_robin if one.key.index in {0, 3}})
    assert (len(round_robin), sorted(indexes(round_robin))) == (3, [1, 2, 4])
    assert sorted(indexes(round_robin.take_all())) == [1, 2, 4]
    assert (len(round_robin), [*round_robin]) == (0, [])
