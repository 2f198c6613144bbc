"""What a thread does with the replies of its process: whose they are, in which order, and how much is ahead of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
import pytest

from collator.messages import Key, Lease, Output, Task
from collator.processor import BatchFailed, OutcomeFactory, SubprocessFunction
from collator.processor.subprocess import weight
from collator.processor.wire import (
    BatchFailedReply,
    ChildReply,
    Garbled,
    JobDone,
    JobsReturned,
    OutputAnswer,
    TaskAnswer,
)
from collator.workers.chunks import Chunk
from collator.workers.processes import AHEAD, ProcessExecutor
from collator.workers.task_buffer import TaskBuffer
from tests.unit.test_subprocess import child, job
from tests.wait import until_sync

LARGE = "x" * 1024 * 1024


def tasks(*payloads: object) -> list[Task]:
    return [
        Task(Key("a", b"g" * 16, index), msgspec.json.encode(payload), 1, Lease(0, index))
        for index, payload in enumerate(payloads)
    ]


class Scripted:
    """A process whose replies are those of a script, each made when it is asked for."""

    def __init__(self, *script: Callable[[Scripted], tuple[Sequence[Task], ChildReply] | None]) -> None:
        self.script = deque(script)
        self.sent: list[Sequence[Task]] = []
        self.open: list[Sequence[Task]] = []
        self.most = 0
        self.ended = False

    @property
    def ahead(self) -> int:
        return sum(map(weight, self.open))

    def ready(self) -> None:
        pass

    def alive(self) -> bool:
        return not self.ended

    def send(self, jobs: Sequence[Sequence[Task]]) -> None:
        self.sent += jobs
        self.open += jobs
        self.most = max(self.most, len(self.open))

    def receive(self) -> tuple[Sequence[Task], ChildReply] | None:
        return self.script.popleft()(self) if self.script else done(self)

    def kill(self) -> None:
        self.ended = True

    @property
    def under_way(self) -> Sequence[Task]:
        return self.open[0] if self.open else ()

    def end(self) -> str:
        return "it ended"

    def close(self) -> None:
        self.ended = True


def done(process: Scripted) -> tuple[Sequence[Task], ChildReply]:
    """The job that runs has ended, with its payloads for outputs."""
    ended = process.open.pop(0)
    return ended, JobDone(0, [OutputAnswer(task.payload) for task in ended])


def returned(process: Scripted) -> tuple[Sequence[Task], ChildReply]:
    """All but the job that runs have come back."""
    back = [task for each in process.open[1:] for task in each]
    del process.open[1:]
    return back, JobsReturned([])


def parted(process: Scripted) -> tuple[Sequence[Task], ChildReply]:
    return process.open.pop(0), BatchFailedReply(0, BatchFailed("it failed"))


def garbled(process: Scripted) -> tuple[Sequence[Task], ChildReply]:
    raise Garbled


def worked(process: Scripted, chunk: Chunk, *, batch: int = 1) -> tuple[dict[int, object], list[int]]:
    """The results of *chunk* by lease, and the leases that went back into the line."""
    line = TaskBuffer(batch=batch)
    isolated = SubprocessFunction("a:b", OutcomeFactory(retries=0), batch=batch)
    isolated.start = lambda: process  # type: ignore[assignment, method-assign, return-value]
    executor = ProcessExecutor(isolated, line)
    assert executor.ready()
    executor.work(chunk)
    found = {
        result.lease.token: msgspec.json.decode(result.output)
        if isinstance(result, Output)
        else cast("Any", result).reason
        for result in chunk.collect()
    }
    return found, [task.lease.token for task in line.take_back()]


def test_what_is_behind_a_call_goes_to_others_and_the_call_goes_on() -> None:
    found, back = worked(Scripted(done, returned, done), Chunk(deque(tasks(1, 2, 3, 4))))
    assert (found, back) == ({0: 1, 1: 2}, [2, 3])


def test_who_says_what_it_cannot_have_said_is_killed_and_its_call_has_failed() -> None:
    process = Scripted(done, garbled)
    found, back = worked(process, Chunk(deque(tasks(1, 2, 3))))
    assert found == {0: 1, 1: "The function wrote into a pipe that was not its own."}
    assert back == [2]
    assert process.ended


def test_a_batch_that_failed_is_called_one_by_one() -> None:
    found, back = worked(Scripted(parted), Chunk(deque(tasks(1, 2, 3))), batch=3)
    assert (found, back) == ({}, [0, 1, 2])


@pytest.mark.parametrize(("late", "batch"), [(done, 1), (returned, 1), (parted, 3)])
def test_p2_what_is_said_of_tasks_that_were_given_up_is_nothing(
    late: Callable[[Scripted], tuple[Sequence[Task], ChildReply]], batch: int
) -> None:
    """Whoever gave them up has let others have them."""
    chunk = Chunk(deque(tasks(1, 2, 3, 4, 5)))

    def given_up(process: Scripted) -> tuple[Sequence[Task], ChildReply]:
        chunk.abandoned = True
        return late(process)

    assert worked(Scripted(given_up), chunk, batch=batch) == ({}, [])


def test_large_jobs_go_one_at_a_time_and_the_others_stay_within_reach() -> None:
    process = Scripted()
    chunk = Chunk(deque(tasks(*[LARGE] * 5)))
    reach: list[int] = []

    def look(process: Scripted) -> tuple[Sequence[Task], ChildReply]:
        reach.append(len(chunk.todo))
        return done(process)

    process.script.extend([look] * 5)
    found, back = worked(process, chunk)
    assert (len(found), back, process.most) == (5, [], 1)
    assert reach == [4, 3, 2, 1, 0]


def test_small_jobs_are_sent_ahead_up_to_a_bound() -> None:
    process = Scripted()
    found, _ = worked(process, Chunk(deque(tasks(*range(5000)))))
    assert found == {number: number for number in range(5000)}
    each = AHEAD // weight(tasks(1))
    assert each / 2 < process.most <= each + 1


@pytest.mark.parametrize(
    "reply",
    [
        JobDone(2, [OutputAnswer(b"1")]),  # behind the one that runs
        JobDone(7, [OutputAnswer(b"1")]),  # never sent
        JobDone(1, []),
        JobDone(1, [OutputAnswer(b"1"), OutputAnswer(b"2")]),
        BatchFailedReply(3, BatchFailed("it failed")),
        JobsReturned([1]),  # which runs
        JobsReturned([2, 9]),
    ],
    ids=str,
)
def test_p3_a_reply_is_to_the_job_that_runs_or_those_behind(monkeypatch: pytest.MonkeyPatch, reply: ChildReply) -> None:
    with child() as it:
        it.send([job(1), job(2), job(3)])
        monkeypatch.setattr(it, "_receive", lambda: reply)
        with pytest.raises(Garbled):
            it.receive()


def test_p3_no_job_is_answered_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with child() as it:
        it.send([job(1), job(2)])
        replies = iter([JobDone(1, [OutputAnswer(b"1")]), JobDone(1, [OutputAnswer(b"1")])])
        monkeypatch.setattr(it, "_receive", lambda: next(replies))
        assert it.receive() is not None
        with pytest.raises(Garbled):
            it.receive()


def test_jobs_and_answers_of_a_megabyte_pass_each_other() -> None:
    payloads = ["y" * 1_000_000] * 8
    with child() as it:
        it.send([job(payload) for payload in payloads])  # all at once, more than both pipes take
        outputs: list[TaskAnswer] = []
        while len(outputs) < len(payloads):
            received = it.receive()
            assert received is not None
            tasks, reply = received
            if isinstance(reply, JobDone):
                outputs += reply.answers
            else:  # on a busy machine a call may take so long that those behind it come back
                it.send([[task] for task in tasks])
    assert outputs == [OutputAnswer(msgspec.json.encode(payload)) for payload in payloads]


def test_a_process_that_has_ended_takes_nobody_with_it_who_writes_to_it() -> None:
    with child() as it:
        it.kill()
        until_sync(lambda: not it.alive())
        it.send([job("y" * 1_000_000)])
        assert it.receive() is None
