"""A process that calls the processor, by itself: how it starts, what it says, how it ends, and that it never stays."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collator.errors import ConfigError, ProcessorFailed
from collator.messages import Key, Lease, Task
from collator.processor import ChildProcess, OutcomeFactory, SubprocessFunction, open_processor
from collator.processor.job_queue import JobQueue
from collator.processor.wire import (
    BatchFailedReply,
    ChildReply,
    FailureAnswer,
    Frames,
    FunctionReady,
    Garbled,
    Job,
    JobDone,
    JobsReturned,
    OutputAnswer,
    RetryAnswer,
    frame,
)
from collator.testing import ManualClock
from collator.workers.processes import ProcessExecutor
from collator.workers.task_buffer import TaskBuffer
from tests.harness.fault_filesystem import FAILS
from tests.requirements import need
from tests.wait import until_sync

PLAIN = "tests.harness.fault_filesystem:plain"
PATIENCE = 20.0
KEY = Key("call-17", b"g" * 16, 4)


def job(*payloads: object, attempt: int = 1) -> list[Task]:
    return [Task(KEY, msgspec.json.encode(payload), attempt, Lease(0, 1)) for payload in payloads]


def reply_of(child: ChildProcess) -> ChildReply | None:
    received = child.receive()
    return None if received is None else received[1]


def replies_of(child: ChildProcess, count: int) -> list[ChildReply | None]:
    return [reply_of(child) for _ in range(count)]


@contextmanager
def child(spec: str = PLAIN, **options: Any) -> Iterator[ChildProcess]:  # noqa: ANN401 - those of SubprocessFunction
    started = SubprocessFunction(spec, OutcomeFactory(retries=1), **options).start()
    try:
        started.ready()
        yield started
    finally:
        started.kill()
        started.close()


def test_a_process_answers_jobs_in_order() -> None:
    with child() as it:
        it.send([job(1), job("fail"), job("refuse"), job("fail", attempt=2), job({"a": None})])
        replies = replies_of(it, 5)
        assert it.ahead == 0
    assert isinstance(again := getattr(replies.pop(1), "answers", [None])[0], RetryAnswer)
    assert again.reason == f"ValueError: no sound in it ({FAILS})"
    assert again.fault is not None
    assert (again.fault.kind, again.fault.label, again.fault.key) == (f"ValueError in {FAILS}", "exception", KEY)
    assert again.fault.trace.endswith("""    raise ValueError("no sound in it")\nValueError""")
    failed = [getattr(replies.pop(1), "answers", [None])[0] for _ in range(2)]
    assert [answer.reason for answer in failed if isinstance(answer, FailureAnswer)] == [
        "this is a picture",
        f"ValueError: no sound in it ({FAILS})",
    ]
    assert replies == [JobDone(1, [OutputAnswer(b"1")]), JobDone(5, [OutputAnswer(b'{"a":null}')])]


def test_what_the_function_prints_and_reads_has_nothing_to_do_with_the_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    with child() as it:
        it.send([job("talk"), job(2)])
        assert replies_of(it, 2) == [JobDone(1, [OutputAnswer(b'""')]), JobDone(2, [OutputAnswer(b"2")])]
    assert capfd.readouterr().err.startswith("hello from the processor")


def test_a_coroutine_function_runs_on_one_loop_for_the_life_of_the_process() -> None:
    with child("tests.harness.fault_filesystem:loop_id") as it:
        it.send([job(1), job(2)])
        first, second = replies_of(it, 2)
    assert isinstance(first, JobDone)
    assert isinstance(second, JobDone)
    assert first.answers == second.answers


def test_the_jobs_behind_a_call_that_takes_long_come_back() -> None:
    with child() as it:
        it.send([job(1), job("hang"), job(3), job(4)])
        assert replies_of(it, 2) == [JobDone(1, [OutputAnswer(b"1")]), JobsReturned([3, 4])]


def test_a_batch_is_one_call_and_fails_as_one() -> None:
    with child("tests.harness.fault_filesystem:batch", batch=3) as it:
        it.send([job(1, 2, 3), job(4, "fail", 6)])
        assert reply_of(it) == JobDone(1, [OutputAnswer(b"1"), OutputAnswer(b"2"), OutputAnswer(b"3")])
        reply = reply_of(it)
        assert isinstance(reply, BatchFailedReply)
        assert (reply.number, reply.failed.kind) == (2, f"ValueError in {FAILS}")
        assert reply.failed.trace.endswith("ValueError")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("leave", "the process ended with exit code 7"),
        ("crash", "the process ended with signal 11 (Segmentation fault)"),
        ("close", "the process closed its pipe"),
        ("close_and_return", "the process closed its pipe"),
    ],
)
def test_how_a_process_ended_is_told_in_words(fault: str, words: str) -> None:
    with child() as it:
        it.send([job(1), job(fault), job(2)])
        assert reply_of(it) == JobDone(1, [OutputAnswer(b"1")])
        reply = reply_of(it)
        while isinstance(reply, JobsReturned):
            reply = reply_of(it)
        assert reply is None
        assert it.end() == words
        assert not it.alive()


def test_a_kill_from_outside_is_told_with_its_usual_cause() -> None:
    with child() as it:
        it.kill()
        assert it.receive() is None
        assert it.end() == "the process ended with signal 9 (Killed; the kernel does this when memory is short)"


def test_what_the_function_started_ends_with_its_process(tmp_path: Path) -> None:
    with child() as it:
        it.send([job(["start", str(tmp_path / "pid")])])
        assert isinstance(reply_of(it), JobDone)
        grandchild = int((tmp_path / "pid").read_text())
        it.kill()
        until_sync(lambda: not alive(grandchild), PATIENCE)


def test_signals_that_are_meant_for_the_service_end_no_call() -> None:
    with child() as it:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(it.pid, number)
        it.send([job(1)])
        assert reply_of(it) == JobDone(1, [OutputAnswer(b"1")])
        assert os.getpgid(it.pid) == it.pid  # so that Ctrl-C at the terminal of the service does not reach it


@pytest.mark.parametrize("busy", [False, True])
def test_a_process_ends_when_its_service_has_died(tmp_path: Path, *, busy: bool) -> None:
    program = (
        "import os, signal; from collator.processor import SubprocessFunction as F\n"
        "from tests.unit.test_subprocess import job, PLAIN\n"
        "it = F(PLAIN).start(); it.ready(); it.send([job('hang')] if %r else [])\n"
        "print(it.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program % busy], capture_output=True, env=environment, timeout=PATIENCE, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    until_sync(lambda: not alive(int(done.stdout)), PATIENCE)


def test_the_memory_of_a_process_has_a_limit() -> None:
    need(sys.platform == "linux", "Linux, which limits the memory of a process")
    with child(memory=1024**3) as it:
        it.send([job("devour"), job(2)])
        reply = reply_of(it)
        assert isinstance(reply, JobDone)
        assert isinstance(again := reply.answers[0], RetryAnswer)
        assert again.reason.startswith("MemoryError: pool_memory is 1024 MiB (tests/harness/fault_filesystem.py, line ")
        assert reply_of(it) == JobDone(2, [OutputAnswer(b"2")])
        assert int(Path(f"/proc/{it.pid}/oom_score_adj").read_text()) >= 500


def test_a_call_that_changes_the_directory_breaks_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(sys, "path", ["", *(entry for entry in sys.path if entry != str(Path.cwd()))])
    with child("tests.harness.moves:plain") as it:
        it.send([job(str(tmp_path / "gone")), job(None)])
        assert replies_of(it, 2) == [
            JobDone(1, [OutputAnswer(b"0")]),
            JobDone(2, [OutputAnswer(b'"tests.harness.disk"')]),
        ]


# What cannot be started.


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("no_such_words:lengths", {}, "cannot import no_such_words: ModuleNotFoundError"),
        ("tests.harness.fault_filesystem:missing", {}, "tests.harness.fault_filesystem has no missing"),
        ("tests.harness.fault_filesystem:plian", {}, "has no plian; did you mean plain?"),
        ("tests.harness.fault_filesystem:FAULTS", {}, "FAULTS is not a function but a value of type dict"),
        ("tests.harness.import_crash:function", {}, "the process ended with exit code 3 before it was ready"),
        (PLAIN, {"memory": 16 * 1024**2}, "(pool_memory is 16 MiB)"),
    ],
)
def test_a_process_that_would_not_start_is_found_out_at_once(spec: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_processor(spec, pool="process", **options)
    assert words in caught.value.detail


def test_a_system_that_has_no_process_to_give_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ConfigError, match="processor: cannot start a process: No such file or directory"):
        open_processor(PLAIN, pool="process")


def test_memory_is_limited_where_the_system_holds_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="pool_memory: supported only on Linux"):
        open_processor(PLAIN, pool="process", memory=1024**3)


def test_a_child_that_ended_before_it_was_ready_says_how() -> None:
    started = SubprocessFunction("tests.harness.import_crash:function").start()
    with pytest.raises(ProcessorFailed, match="the process ended with exit code 3 before it was ready"):
        started.ready()
    started.close()


# The parts.


def test_a_process_that_does_not_become_ready_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, clock = tmp_path / "held", ManualClock()
    held.touch()
    monkeypatch.setenv("HELD", str(held))
    executor = ProcessExecutor(
        SubprocessFunction("tests.harness.import_hang:plain", OutcomeFactory(clock=clock)), TaskBuffer()
    )

    def told() -> str | None:
        clock.advance(0.5)
        return executor.trouble

    starting = threading.Thread(target=executor.ready)
    starting.start()
    try:
        assert executor.trouble is None
        until_sync(told)
        assert "is not ready after 10 s; it still imports its module" in str(executor.trouble)
    finally:
        held.unlink()
        starting.join(PATIENCE)
        executor.close()
    assert executor.trouble is None


def test_a_frame_that_breaks_off_is_the_end() -> None:
    read = Frames(io.BytesIO(frame(JobsReturned([1])) + frame(JobsReturned([2]))[:-1]).read).reader(ChildReply)
    assert [read(), read()] == [JobsReturned([1]), None]


@pytest.mark.parametrize(
    "strange",
    [
        b"hello, this is a print",
        b"\x00" * 12,
        frame(FunctionReady()),
        frame(JobsReturned([2])).replace(os.getpid().to_bytes(4), (os.getpid() + 1).to_bytes(4)),
        (2**30).to_bytes(8) + os.getpid().to_bytes(4) + b"x" * 100,
    ],
    ids=["text", "zeros", "another kind", "another process", "too large"],
)
def test_what_another_has_written_is_no_message(strange: bytes) -> None:
    read = Frames(io.BytesIO(frame(JobsReturned([1])) + strange + frame(JobsReturned([2]))).read, limit=1000).reader(
        ChildReply
    )
    assert read() == JobsReturned([1])
    with pytest.raises(Garbled):
        read()


class Said:
    """What a job queue has said."""

    def __init__(self) -> None:
        self.replies: list[ChildReply] = []
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()

    def __call__(self, reply: ChildReply) -> None:
        self.waiting.set()
        assert self.gate.wait(PATIENCE)
        self.replies.append(reply)


def test_a_desk_gives_jobs_out_once_and_nothing_after_it_is_closed() -> None:
    jobs = JobQueue(Said())
    jobs.put(Job(1, job(1)))
    jobs.put(Job(2, job(2)))
    assert jobs.next() == Job(1, job(1))
    jobs.close()
    assert jobs.next() is None


def test_a_desk_gives_back_what_waits_behind_a_call() -> None:
    said = Said()
    jobs = JobQueue(said)
    for number in range(3):
        jobs.put(Job(number, job()))
    jobs.next()
    jobs.give_back()
    jobs.put(Job(4, job()))
    jobs.give_back()
    assert said.replies == [JobsReturned([1, 2]), JobsReturned([4])]


def test_an_answer_that_waits_to_be_read_is_no_call_that_takes_long() -> None:
    said = Said()
    jobs = JobQueue(said)
    for number in range(3):
        jobs.put(Job(number, job()))
    jobs.next()
    said.gate.clear()
    answering = threading.Thread(target=jobs.answer, args=(JobDone(0, [OutputAnswer(b"1")]),))
    answering.start()
    assert said.waiting.wait(PATIENCE)
    giving = threading.Thread(target=jobs.give_back)  # it finds jobs that wait, and nothing that moves
    giving.start()
    giving.join(0.2)
    said.gate.set()
    answering.join(PATIENCE)
    giving.join(PATIENCE)
    assert said.replies == [JobDone(0, [OutputAnswer(b"1")])]
    assert jobs.next() == Job(1, job())


@pytest.mark.parametrize("ended", [True, False])
def test_a_call_that_ends_while_its_jobs_are_about_to_be_returned_keeps_them(*, ended: bool) -> None:
    said = Said()
    jobs = JobQueue(said)
    for number in range(3):
        jobs.put(Job(number, job()))
    jobs.next()
    with jobs._turn:
        giving = threading.Thread(target=jobs.give_back)
        giving.start()
        giving.join(0.2)  # it has seen that the call takes long, and waits for its turn
        if ended:
            jobs._busy = False
        else:
            jobs._calls += 1  # the next one runs already
    giving.join(PATIENCE)
    assert said.replies == []
    assert jobs.next() == Job(1, job())


def alive(pid: int) -> bool:
    """Whether the process *pid* is there, and no mere entry that nobody has asked for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_process_that_replaces_another_finds_what_the_first_one_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_the_start.py").write_text("def plain(payload):\n    return payload\n")
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as in python -c
    monkeypatch.chdir(tmp_path)
    subprocess_function = SubprocessFunction("beside_the_start:plain", OutcomeFactory())
    monkeypatch.chdir("/")
    replacement = subprocess_function.start()
    try:
        replacement.ready()
    finally:
        replacement.kill()
        replacement.close()
