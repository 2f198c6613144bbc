"""What a node of Celery workers decides: how much is sent, who works, what is lost, what is acknowledged."""

from __future__ import annotations

import ssl

import msgspec
import pytest

from collator.messages import Key, Lease, Output, Task
from collator.workers.celery.arrivals import Arrivals
from collator.workers.celery.broker import address, tls, transport_options
from collator.workers.celery.discovery import AGAIN, LONGEST_PAUSE, ROUND, UNANSWERED, Discovery
from collator.workers.celery.job_size import FEW, HOLD, MOST_PACKETS, CallTime, JobPace, job_size
from collator.workers.celery.known_workers import BEAT, SILENCE, KnownWorkers
from collator.workers.celery.messages import JobOutput, NotBegun, WorkerProgram, WorkerState
from collator.workers.celery.sent_jobs import SentJobs
from collator.workers.celery.suspects import MOST, Suspects


def task(index: int, size: int = 10) -> Task:
    return Task(Key("a", bytes(16), index), b"0" * size, 1, Lease(1, 1, index))


@pytest.mark.parametrize(
    ("seconds", "processes", "tasks", "calls", "full"),
    [
        (None, 1, 1, 1, 1),
        (None, 1, 1, 8, 8),  # a process with one task needs all its calls in that
        (10.0, 1, 1, 1, 1),
        (10.0, 1, 64, 64, 1),
        (0.1, 1, 64, 64, 16),
        (0.01, 1, 64, 64, 160),
        (0.01, 8, 8, 8, 2),
        (3e-6, 1, 1, 1, MOST_PACKETS),
    ],
)
def test_a_job_is_25_ms_of_work_of_a_process(
    seconds: float | None, processes: int, tasks: int, calls: int, full: int
) -> None:
    size = job_size(seconds, processes=processes, tasks=tasks, calls=calls)
    assert size.full == full
    assert size.out >= calls + processes


def test_little_goes_at_once_while_a_process_has_nothing_to_do() -> None:
    pace = JobPace()
    pace.send(FEW - 2, 100.0)
    assert pace.wait(1, 100.0, idle=True) == 0.0
    assert pace.wait(1, 100.0, idle=False) == pytest.approx(HOLD)
    assert pace.wait(1, 100.0 + 2 * HOLD, idle=False) == 0.0


def test_where_much_comes_it_is_gathered() -> None:
    pace = JobPace()
    pace.send(FEW, 100.0)
    assert pace.wait(1, 100.0, idle=True) == pytest.approx(HOLD)
    assert pace.wait(1, 100.0 + 2 * HOLD, idle=True) == 0.0


def test_nothing_is_sent_to_nobody() -> None:
    assert job_size(0.001, processes=0, tasks=0, calls=0).out == 0


def test_one_measurement_moves_the_time_of_a_call_by_a_factor_of_four_at_most() -> None:
    time = CallTime()
    time.measure(0.001)
    assert time.seconds == 0.001
    time.measure(10.0)
    assert time.seconds == 0.004
    for _ in range(100):
        time.measure(1.0)
    assert time.seconds == pytest.approx(1.0)


def test_workers_are_those_of_whom_something_is_heard() -> None:
    workers = KnownWorkers()
    workers.hear(WorkerState("one", 2, 1, 4), 0.0, ["a", "b"])
    workers.hear(WorkerState("two", 1, 64, 64, "the service is away"), 5.0, ["c"])
    assert (workers.processes, workers.tasks, workers.calls) == (3, 66, 72)
    assert (workers.idle(), workers.trouble, workers.calls_of_one()) == (False, "", 24)
    assert workers.forget(SILENCE) == ["one"]
    assert (workers.processes, workers.trouble) == (1, "the service is away")
    workers.hear(WorkerState("two", 1, 64, 64), 6.0, [])
    assert (workers.idle(), workers.trouble) == (True, "")
    assert workers.forget(SILENCE + 6.0) == ["two"]
    assert (len(workers), workers.processes, workers.calls) == (0, 0, 0)


def test_a_worker_that_refuses_jobs_counts_for_nothing_until_it_answers_one() -> None:
    workers = KnownWorkers()
    old, new = WorkerState("old", 2, 1, 4), WorkerState("new", 1, 1, 1)
    workers.hear(old, 0.0, ["a"])
    assert workers.refuse(old, "it reads version 1", 1.0)
    assert not workers.refuse(old, "it reads version 1", 2.0)
    workers.hear(old, 2.0, [])
    assert (len(workers), workers.processes, workers.idle(), workers.trouble) == (0, 0, False, "it reads version 1")
    workers.hear(new, 2.0, ["b"])
    assert (len(workers), workers.processes, workers.idle(), workers.trouble) == (1, 1, False, "")
    of_new, of_old = workers.reports(2.0, lambda jobs: [1 for _ in jobs])
    assert (of_new.calls, of_new.trouble) == (1, "")
    assert (of_old.calls, of_old.trouble) == (0, "it reads version 1")
    workers.answer(old, 3.0)
    assert (len(workers), workers.processes, workers.trouble) == (2, 3, "")


def test_a_job_that_is_not_begun_waits_for_its_turn_however_long() -> None:
    jobs = SentJobs()
    jobs.add("first", [task(0)], 0.0)
    jobs.add("second", [task(1), task(2)], 0.0)
    assert (len(jobs), jobs.packets, jobs.bytes) == (2, 3, 30)
    for now in range(0, 1000, 5):
        jobs.hear(["first"], now)
        assert jobs.lost(now, idle=False) == []
    assert [job.id for job in jobs.lost(995 + SILENCE, idle=True)] == ["first", "second"]
    assert (len(jobs), jobs.packets, jobs.bytes) == (0, 0, 0)


def test_a_job_is_lost_where_a_later_one_was_begun_and_nothing_was_heard_of_it() -> None:
    jobs = SentJobs()
    jobs.add("lost", [task(0)], 0.0)
    jobs.add("later", [task(1)], 0.0)
    assert jobs.answer("later", [(0, NotBegun())], 1.0) == [(task(1), NotBegun(), 0)]
    assert jobs.lost(SILENCE - 1, idle=False) == []
    assert [job.id for job in jobs.lost(SILENCE, idle=False)] == ["lost"]
    assert not jobs.answer("lost", [(0, NotBegun())], SILENCE)


def test_an_answer_counts_once_and_for_what_waits_for_it() -> None:
    jobs = SentJobs()
    jobs.add("job", [task(0), task(1)], 0.0)
    output, other = JobOutput(msgspec.Raw(b"1")), JobOutput(msgspec.Raw(b"2"))
    assert jobs.answer("job", [(1, output), (1, other), (7, other)], 1.0) == [(task(1), output, 0)]
    assert jobs.tasks() == [task(0)]
    assert jobs.answer("job", [(0, output)], 1.0) == [(task(0), output, 0)]
    assert not jobs.answer("job", [(0, other)], 1.0)
    assert len(jobs) == 0


def test_a_job_that_was_delivered_again_is_lost_unless_a_worker_has_it() -> None:
    jobs = SentJobs()
    jobs.add("job", [task(0)], 0.0)
    jobs.doubt("job", 100.0)
    assert jobs.lost(100.0 + 2 * BEAT, idle=False) == []
    jobs.hear(["job"], 100.0 + 2 * BEAT)
    assert jobs.lost(100.0 + 3 * BEAT, idle=False) == []
    jobs.doubt("job", 200.0)
    assert len(jobs.lost(200.0 + 2.5 * BEAT, idle=False)) == 1


def test_no_time_counts_in_which_nothing_could_be_heard() -> None:
    jobs = SentJobs()
    jobs.add("job", [task(0)], 0.0)
    jobs.hear(["job"], 0.0)
    jobs.hear_all(1000.0)
    assert jobs.lost(1000.0 + SILENCE - 1, idle=True) == []


def test_suspects_are_sent_alone_until_they_are_answered() -> None:
    suspects = Suspects()
    assert suspects.part([task(0), task(1)]) == ([task(0), task(1)], [])
    suspects.lost_together([task(1), task(2)])
    assert suspects.part([task(0), task(1)]) == ([task(0)], [task(1)])
    suspects.clear([task(1)])
    assert suspects.part([task(1), task(2)]) == ([task(1)], [task(2)])
    suspects.lost_together([task(index) for index in range(10, 10 + MOST)])
    assert suspects.part([task(2)]) == ([task(2)], [])


def test_what_is_lost_with_a_worker_is_to_blame_where_it_was_tried_alone() -> None:
    suspects = Suspects()
    assert not suspects.lost_with_worker(task(0))
    assert suspects.part([task(0)]) == ([task(0)], [])
    assert not suspects.lost_with_worker(task(0))
    assert suspects.part([task(0)]) == ([], [task(0)])
    assert suspects.alone(task(0))
    suspects.lost_together([task(0), task(1)])
    assert suspects.alone(task(0))
    assert not suspects.alone(task(1))
    assert suspects.lost_with_worker(task(0))


def test_known_workers_are_complete_while_something_is_heard_of_all() -> None:
    workers = KnownWorkers()
    assert workers.complete(0.0, 0.0)
    workers.hear(WorkerState("a", 1, 1, 1), 0.0)
    assert workers.complete(0.0, 2 * BEAT)
    assert not workers.complete(0.0, 3 * BEAT)
    workers.forget(SILENCE)
    assert not workers.complete(SILENCE, SILENCE)
    assert workers.complete(SILENCE + 1, SILENCE + 2)


def test_a_reply_is_acknowledged_once_all_that_it_brought_is_recorded() -> None:
    arrivals, acknowledged = Arrivals(), list[str]()
    first, second = Output(Lease(1, 1, 0), b"0"), Output(Lease(1, 1, 1), b"0")
    arrivals.add([first, second], lambda: acknowledged.append("both"))
    arrivals.add([], lambda: acknowledged.append("nothing"))
    arrivals.recorded([first])
    assert acknowledged == ["nothing"]
    arrivals.recorded([second, second])
    assert acknowledged == ["nothing", "both"]


@pytest.mark.parametrize(
    ("url", "known", "options"),
    [
        ("redis://h:1/0", "redis://h:1/0", {}),
        ("valkey://h:1/0", "redis://h:1/0", {}),
        ("valkeys://:p@h:1/0", "rediss://:p@h:1/0?ssl_cert_reqs=required", {}),
        ("amqp://u:p@h/v", "amqp://u:p@h/v", {}),
        ("amqp://a;amqp://b", "amqp://a;amqp://b", {}),
        ("sentinel://a:1/0?master=m;sentinel://b:1", "sentinel://a:1/0;sentinel://b:1", {"master_name": "m"}),
    ],
)
def test_addresses_are_those_that_kombu_knows(url: str, known: str, options: dict[str, str]) -> None:
    assert (address(url), transport_options(url)) == (known, options)


def test_workers_are_shown_as_they_last_described_themselves() -> None:
    workers = KnownWorkers()
    workers.hear(
        WorkerState("two", 2, 1, 4), 0.0, ["a", "b"], WorkerProgram("host", "prefork", "words:lengths", "0.1.0")
    )
    workers.hear(WorkerState("two", 2, 1, 4, "the service is away"), 3.0)
    workers.hear(WorkerState("one", 1, 64, 64), 4.0)
    one, two = workers.reports(4.5, lambda jobs: [3 for _ in jobs])
    assert (one.name, one.pool, one.calls, one.packets, one.beat) == ("one", "", 64, 0, 0.5)
    assert (two.host, two.pool, two.processor, two.version) == ("host", "prefork", "words:lengths", "0.1.0")
    assert (two.calls, two.jobs, two.packets, two.beat, two.trouble) == (8, 2, 6, 1.5, "the service is away")


def test_a_question_that_nobody_answers_is_asked_less_and_less_often() -> None:
    discovery = Discovery()
    asked = [second for second in range(200) if discovery.due(1000.0 + second, 0, waiting=True)]
    assert asked == [0, 2, 6, 14, 30, 62, 122, 182]
    assert asked[-1] - asked[-2] == LONGEST_PAUSE
    assert discovery.since == 1000.0
    discovery.soon()
    assert discovery.due(1183.0, 0, waiting=True)
    assert not discovery.due(1184.0, 1, waiting=True)
    assert discovery.since is None


def test_each_worker_is_asked_now_and_then_and_one_more() -> None:
    discovery = Discovery()
    assert [discovery.due(0.0, 3, waiting=False) for _ in range(5)] == [True] * 4 + [False]
    asked = sum(discovery.due(ROUND * rounds, 0, waiting=False) for rounds in range(1, 2 * UNANSWERED))
    assert asked == UNANSWERED - 4
    discovery.hear()
    assert discovery.due(ROUND * 2 * UNANSWERED, 0, waiting=False)


def test_where_a_worker_refuses_jobs_others_are_asked_before_long() -> None:
    discovery = Discovery()
    assert [second for second in range(200) if discovery.due(float(second), 0, waiting=True)][-1] == 182
    discovery.refuse(200.0)
    asked = [
        [discovery.due(now, 0, refusing=2, waiting=True) for _ in range(4)]
        for now in (200.0 + AGAIN / 2, 200.0 + AGAIN)
    ]
    assert asked == [[False] * 4, [True] * 3 + [False]]


def test_a_certificate_is_checked_whatever_the_broker_is() -> None:
    assert address("valkeys://h:1/0") == "rediss://h:1/0?ssl_cert_reqs=required"
    assert address("rediss://h/0?ssl_ca_certs=/ca.pem") == "rediss://h/0?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required"
    assert address("rediss://h/0?ssl_cert_reqs=none") == "rediss://h/0?ssl_cert_reqs=none"
    url = "amqps://u:p@h:1/v?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/c.key"
    assert address(url) == "amqps://u:p@h:1/v"
    files = {"ca_certs": "/ca.pem", "certfile": "/c.pem", "keyfile": "/c.key"}
    assert tls(url) == {**files, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "h"}
    assert tls("amqp://h/") is tls("rediss://h/?ssl_ca_certs=/ca.pem") is None
