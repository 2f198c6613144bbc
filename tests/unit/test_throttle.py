"""A throttle: the first line at once, then one a minute, and none is lost from the count."""

from __future__ import annotations

from collator.testing import ManualClock
from collator.throttle import MOST, PAUSE, Throttle


def test_the_first_is_told_at_once_and_the_others_are_counted() -> None:
    clock = ManualClock()
    throttle = Throttle(now=clock.monotonic)
    assert [throttle.times() for _ in range(4)] == [1, 0, 0, 0]
    clock.advance(PAUSE)
    assert [throttle.times() for _ in range(2)] == [4, 0]


def test_each_kind_is_told_for_itself_and_anew_once_it_was_over() -> None:
    throttle = Throttle(now=ManualClock().monotonic)
    assert [throttle.times(kind) for kind in "abab"] == [1, 1, 0, 0]
    throttle.over("a")
    assert [throttle.times(kind) for kind in "ab"] == [1, 0]


def test_it_does_not_grow_with_the_kinds() -> None:
    throttle = Throttle(now=ManualClock().monotonic)
    for kind in range(10 * MOST):
        throttle.times(kind)
    assert throttle.times(10 * MOST - 1) == 0
    assert throttle.times(0) == 1
