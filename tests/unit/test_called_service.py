"""What a node knows of the service that its Celery workers call, in a time that the test makes (R27)."""

from __future__ import annotations

import msgspec

from collator.messages import Failure, Key, Lease, Output, Retry, Task
from collator.processor import Cause, OutcomeFactory, Sign
from collator.testing import ManualClock
from collator.workers.celery.called_service import UNCOUNTED, CalledService
from collator.workers.celery.job_size import MOST_OUT
from collator.workers.celery.messages import CallRefused, JobAnswer, JobFailure, JobOutput, NotBegun
from collator.workers.celery.sent_jobs import SentJob

ADDRESS = "http://127.0.0.1:9/"
FINE = JobOutput(msgspec.Raw(b"1"))
BUSY = CallRefused(Cause.SERVICE, Sign.OVERLOADED, "HTTP 503: busy", 0.0, 503)
AWAY = CallRefused(Cause.SERVICE, Sign.AWAY, "connection refused")


def task(index: int) -> Task:
    return Task(Key("r", bytes(16), index), b"1", 1, Lease(1, 1, index))


def service() -> tuple[CalledService, ManualClock]:
    clock = ManualClock()
    return CalledService(OutcomeFactory(clock=clock)), clock


def test_functions_are_not_counted() -> None:
    called, _ = service()
    ticket = called.begin(100, "")
    assert (ticket, called.capacity()) == (UNCOUNTED, MOST_OUT)
    results, not_begun = called.read([(task(0), FINE, ticket), (task(1), NotBegun(), ticket)], 7.0)
    assert results == [Output(Lease(1, 1, 0), b"1", 7.0)]
    assert (not_begun, called.capacity(), called.health()) == ([task(1)], MOST_OUT, None)


def test_who_was_not_begun_held_no_place_and_who_was_answered_beside_did() -> None:
    called, _ = service()
    ticket = called.begin(8, ADDRESS)
    answers: list[JobAnswer] = [FINE, FINE, BUSY, NotBegun(), NotBegun(), BUSY]
    results, not_begun = called.read([(task(n), answer, ticket) for n, answer in enumerate(answers)], 0.0)
    assert [type(result) for result in results] == [Retry, Retry, Output, Output]
    assert [one.key.index for one in not_begun] == [3, 4]
    assert called.limit == 4  # two that are still out, and two that were answered
    assert called.capacity() == 2


def test_what_a_node_gets_back_or_loses_holds_no_place() -> None:
    called, _ = service()
    called.begin(MOST_OUT - 2, ADDRESS)
    job = SentJob("a", {0: task(0), 1: task(1)}, False, 1, 0.0, 0.0, ticket=called.begin(2, ADDRESS))
    assert called.capacity() == 0
    called.take_back(job)
    assert called.capacity() == 2
    job.ticket = called.begin(2, ADDRESS)
    called.give_up(job)
    assert called.capacity() == 2


def test_while_a_service_is_away_one_packet_is_out_at_a_time() -> None:
    called, clock = service()
    first, second = called.begin(1, ADDRESS), called.begin(1, ADDRESS)
    called.read([(task(0), AWAY, first)], 0.0)
    assert (
        called.health() == f"the processor {ADDRESS} takes no packets: connection refused; the next call is made in 1 s"
    )
    assert (called.capacity(), called.wait()) == (0, 1.0)
    clock.advance(1.0)
    called.read([(task(1), FINE, second)], 0.0)  # begun before, so it says nothing
    assert called.capacity() == 1
    probe = called.begin(1, ADDRESS)
    assert called.capacity() == 0
    called.read([(task(2), JobFailure("timed out after 60 s", sign=Sign.NOTHING), probe)], 0.0)
    assert called.wait() == 2.0
    clock.advance(2.0)
    (result,), _ = called.read([(task(3), JobFailure("HTTP 422"), called.begin(1, ADDRESS))], 0.0)
    assert isinstance(result, Failure)
    assert (called.health(), called.capacity()) == (None, 1)
