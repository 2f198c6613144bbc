"""Attempts that failed, by kind: each told at once, and then once a minute; and whether anything gets through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from collator.messages import Failure, Fault, Key, Lease, Retry
from collator.testing import ManualClock
from collator.workers.failures import LEAST, LINES, MOST, RECENT, FailedAttempts

SECRET = "geheim4711"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def failed(clock: ManualClock) -> FailedAttempts:
    return FailedAttempts(timeout=5.0, now=clock.monotonic, wall=clock.wall)


def fault(kind: str = "ValueError in f.py", resource_id: str = "r", index: int = 0, trace: str = "") -> Fault:
    return Fault(Key(resource_id, bytes(16), index), kind, "exception", trace)


def retry(delay: float = 2.0, **of: Any) -> Retry:  # noqa: ANN401 - as `fault` has them
    return Retry(Lease(0, 0), f"ValueError: {SECRET}", delay, fault=fault(**of))


def final(**of: Any) -> Failure:  # noqa: ANN401 - as `fault` has them
    return Failure(Lease(0, 0), f"ValueError: {SECRET}", fault(**of))


def told(failed: FailedAttempts, results: Sequence[Failure | Retry] = (), *, everything: bool = False) -> list[Any]:
    with capture_logs() as lines:
        failed.fail(results)
        failed.tell_rest(everything=everything)
    assert SECRET not in str(lines)
    return lines


def test_the_first_of_a_kind_is_told_at_once_and_a_thousand_with_the_next_line(
    failed: FailedAttempts, clock: ManualClock
) -> None:
    (line,) = told(failed, [retry(resource_id="call-17", index=3, trace="Traceback")])
    assert line == {
        "event": "attempts failed",
        "log_level": "warning",
        "final": 0,
        "retries": 1,
        "reason": "ValueError in f.py",
        "next_attempt_in": 2.0,
        "exception": "Traceback",
        "resource_id": "call-17",
        "index": 3,
    }
    for number in range(1000):
        assert told(failed, [retry(index=number, trace="Traceback")]) == []
    clock.advance(60)
    (line,) = told(failed)
    assert (line["retries"], line["index"], "exception" in line) == (1000, 999, False)
    clock.advance(60)
    assert told(failed) == []


def test_each_kind_and_the_first_that_is_final_are_told_at_once(failed: FailedAttempts) -> None:
    assert len(told(failed, [retry(), retry(kind="KeyError in f.py")])) == 2
    (line,) = told(failed, [final()])
    assert (line["final"], line["retries"], "next_attempt_in" in line) == (1, 0, False)
    assert told(failed, [final(), retry()]) == []
    (line,) = told(failed, everything=True)
    assert (line["final"], line["retries"]) == (1, 1)


def test_a_traceback_that_comes_later_is_told_once(failed: FailedAttempts) -> None:
    assert [line.get("exception") for line in told(failed, [retry()])] == [None]
    assert [line["exception"] for line in told(failed, [retry(trace="here")])] == ["here"]
    assert told(failed, [retry(trace="there")]) == []


def test_p5_lines_and_kinds_are_bounded(failed: FailedAttempts, clock: ManualClock) -> None:
    kinds = 10 * MOST
    assert len(told(failed, [retry(kind=f"Error in f{number}.py") for number in range(kinds)])) == LINES
    clock.advance(60)
    assert len(told(failed)) <= LINES
    assert len(failed._kinds) == MOST
    assert len(failed.latest()) == 10


def test_reasons_that_differ_in_numbers_alone_are_of_one_kind(failed: FailedAttempts) -> None:
    sizes = [Fault(Key("r", bytes(16), 0), f"output: {size} bytes, more than 9", "output") for size in (10, 2000)]
    lines = told(failed, [Failure(Lease(0, 0), one.kind, one) for one in sizes])
    assert [line["final"] for line in lines] == [2]


def test_the_latest_are_shown_with_their_texts_for_ten_minutes(failed: FailedAttempts, clock: ManualClock) -> None:
    told(failed, [retry(), retry(index=4, delay=9.0), final(kind="KeyError in f.py", resource_id="s")])
    clock.advance(4)
    key, value = failed.latest()
    assert (key.times, key.resource_id, key.due_in) == (1, "s", None)
    assert (value.times, value.index, value.due_in) == (2, 4, 5.0)
    assert value.reason == f"ValueError: {SECRET}"
    clock.advance(RECENT)
    assert [*failed.latest()] == []
    told(failed, [retry()])
    assert [one.times for one in failed.latest()] == [1]


def test_what_uses_up_no_attempt_is_shown_and_not_logged_again(failed: FailedAttempts) -> None:
    returned = Retry(Lease(0, 0), "HTTP 503: busy", 0.0, counted=False, fault=fault(kind="HTTP 503"))
    assert told(failed, [returned]) == []
    assert [(one.reason, one.due_in) for one in failed.latest()] == [("HTTP 503: busy", None)]


def test_nothing_gets_through_while_all_calls_fail_for_several_resources(
    failed: FailedAttempts, clock: ManualClock
) -> None:
    for second in range(int(LEAST)):
        told(failed, [retry(resource_id=f"r{second}")])
        assert failed.health() is None
        clock.advance(1)
    told(failed, [retry(resource_id="r9")])
    health = failed.health()
    assert health == "no call of the processor has succeeded for 10 s: 11 calls failed, the last: ValueError in f.py"
    failed.succeed()
    assert failed.health() is None


def test_nothing_gets_through_is_not_said_for_ever(failed: FailedAttempts, clock: ManualClock) -> None:
    for second in range(20):
        told(failed, [final(resource_id=f"r{second}")])
        clock.advance(1)
    assert failed.health() is not None
    clock.advance(65)
    assert failed.health() is None
    told(failed, [final(resource_id="another")])
    assert failed.health() is None


def test_payloads_of_one_sender_say_nothing_of_the_processor(failed: FailedAttempts, clock: ManualClock) -> None:
    for index in range(100):
        told(failed, [final(index=index)])
        clock.advance(1)
    assert failed.health() is None
