"""The schedules of attempts (R23), and what a Retry-After header asks for (R22)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.backoff import (
    JITTER,
    MAX_RETRY_AFTER,
    SCHEDULE,
    exponential_delay,
    next_delay,
    parse_retry_after,
)

NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110."""
MINUTE, HOUR = 60.0, 3600.0

chance = st.floats(0, 1, exclude_max=True)
steps = st.integers(0, len(SCHEDULE) - 2)


def never() -> float:
    return 0.0


def test_r23_the_schedule_is_the_one_that_is_documented() -> None:
    minutes = [5 * MINUTE, 30 * MINUTE]
    hours = [hours * HOUR for hours in (2, 5, 10, 14, 20, 24)]
    assert list(SCHEDULE) == [0, 1, 5, 30, *minutes, *hours]


def test_r23_without_chance_each_attempt_waits_what_the_schedule_says_and_the_last_has_no_next() -> None:
    delays = [next_delay(step, random=never) for step in range(len(SCHEDULE) + 3)]
    assert delays == [*SCHEDULE[1:], None, None, None, None]


@given(step=steps, drawn=chance)
def test_r23_jitter_only_adds_and_at_most_a_tenth(step: int, drawn: float) -> None:
    delay = next_delay(step, random=lambda: drawn)
    least = SCHEDULE[step + 1]
    assert delay is not None
    assert least <= delay <= least * (1 + JITTER)
    assert JITTER <= 0.1


def test_r23_chance_makes_two_delays_differ() -> None:
    assert next_delay(1, random=never) != next_delay(1, random=lambda: 0.5)


def test_the_processor_is_tried_again_after_1_2_and_4_seconds_and_then_no_more() -> None:
    delays = [exponential_delay(attempt, retries=3, random=never) for attempt in (1, 2, 3, 4, 5)]
    assert delays == [1.0, 2.0, 4.0, None, None]


@given(attempt=st.integers(1, 10**9), floor=st.floats(0, MAX_RETRY_AFTER), drawn=chance)
def test_doubling_ends_and_never_undercuts_what_was_asked(attempt: int, floor: float, drawn: float) -> None:
    delay = exponential_delay(attempt, retries=10**9, floor=floor, random=lambda: drawn)
    assert delay is not None
    assert max(1.0, floor) <= delay <= max(HOUR, floor) * (1 + JITTER)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("86401", MAX_RETRY_AFTER),
        ("9" * 5000, MAX_RETRY_AFTER),
        ("Sun, 06 Nov 1994 08:50:37 GMT", MINUTE),
        ("Sunday, 06-Nov-94 08:50:37 GMT", MINUTE),
        ("Sun Nov  6 08:50:37 1994", MINUTE),
        ("Sun, 06 Nov 1994 10:50:37 +0200", MINUTE),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
    ],
)
def test_r22_retry_after_in_seconds_or_as_a_date_is_at_most_a_day(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [None, "", " ", "-5", "1.5", "1e3", "inf", "nan", "٣", "soon", "Sun, 99 Nov 1994 08:49:37 GMT", "5, 7", "\ud800"],
)
def test_r22_a_retry_after_that_is_garbage_asks_for_nothing(value: str | None) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.text())
def test_r22_no_text_breaks_the_reading_of_retry_after(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER


@given(st.integers(0, 86_400))
def test_r22_a_date_means_the_time_from_now_until_it(ahead: int) -> None:
    moment = datetime.fromtimestamp(NOW + ahead, UTC)
    assert parse_retry_after(format_datetime(moment, usegmt=True), NOW) == ahead
