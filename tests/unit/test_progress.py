"""What a person is told while a run does not go on: at once, and not again and again."""

from __future__ import annotations

from collator.cli.progress import AGAIN, ANOTHER, Notes
from collator.testing import ManualClock


def test_a_reason_is_told_at_once_another_soon_and_the_same_one_rarely() -> None:
    told: list[str] = []
    clock = ManualClock()
    notes = Notes(told.append, now=clock.monotonic)
    for seconds, note in (
        (0.0, ""),
        (0.0, "refused"),
        (1.0, "refused"),
        (0.0, "busy 1"),
        (ANOTHER - 1.0, "busy 2"),
        (1.0, ""),
        (0.0, "busy 2"),
        (AGAIN, "busy 2"),
    ):
        clock.advance(seconds)
        notes.look(note)
    assert told == ["refused", "busy 2", "busy 2"]


def test_a_countdown_in_a_reason_makes_it_no_other_one() -> None:
    told: list[str] = []
    clock = ManualClock()
    notes = Notes(told.append, now=clock.monotonic)
    for left in range(30, 30 - int(AGAIN), -1):
        notes.look(f"refused: try again in {left} s")
        clock.advance(1.0)
    assert told == ["refused: try again in 30 s"]
