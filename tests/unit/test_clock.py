"""A heartbeat: between two beats a little time counts, and the rest is a standstill."""

from __future__ import annotations

from collator.clock import MAX_GAP, Heartbeat
from collator.testing import ManualClock


def test_nothing_stands_still_that_beats() -> None:
    clock = ManualClock()
    heart = Heartbeat(now=clock.monotonic)
    for _ in range(100):
        clock.advance(MAX_GAP)
        heart.beat()
    assert heart.stood_still() == 0.0


def test_a_standstill_is_seen_by_who_reads_before_the_next_beat() -> None:
    clock = ManualClock()
    heart = Heartbeat(now=clock.monotonic)
    clock.advance(36.0)
    assert heart.stood_still() == 36.0 - MAX_GAP
    heart.beat()
    assert heart.stood_still() == 36.0 - MAX_GAP


def test_standstills_add_up_and_never_become_less() -> None:
    clock = ManualClock()
    heart = Heartbeat(now=clock.monotonic)
    seen = [heart.stood_still()]
    for gap in (10.0, 0.5, 1.0, 20.0, MAX_GAP):
        for _ in range(4):
            clock.advance(gap / 4)
            seen.append(heart.stood_still())
        heart.beat()
        seen.append(heart.stood_still())
    assert seen == sorted(seen)
    assert seen[-1] == 30.0 - 2 * MAX_GAP
