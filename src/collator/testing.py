"""For the tests of programs that use Collator: a clock that is moved by hand.

Nothing here is needed by a running service.
"""

from __future__ import annotations


class ManualClock:
    """A clock that stands still until it is moved; fits wherever a `collator.clock.Clock` is asked for."""

    def __init__(self, *, wall: float = 1_790_000_000.0, monotonic: float = 1_000.0) -> None:
        """Start at *wall*, seconds since 1970-01-01T00:00:00Z, and *monotonic*, seconds since some moment."""
        self._wall = wall
        self._monotonic = monotonic

    def wall(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let *seconds*, at least 0, pass on both readings."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds} s; jump_wall moves the wall clock either way")
        self._wall += seconds
        self._monotonic += seconds

    def jump_wall(self, seconds: float) -> None:
        """Move the wall clock alone, either way, as an operator or a time server does."""
        self._wall += seconds
