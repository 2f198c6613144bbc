"""The pace for a receiver that asked for less, or that has just come back (R23). Pure.

Theory. 429, and 502, 503 or 504 with ``Retry-After``, are about the receiver and not about the delivery: nothing is
sent to it until the time that it names. Then it gets one request, and each success allows one more at a time (the slow
start of TCP, RFC 5681). If it asks for less again, what it took since the last time is a rate that it can take: from
then on requests go out evenly, spaced by that rate. Each success moves them a little closer together, each refusal
moves them apart, so that the rate stays near what the receiver takes and few are refused.
"""

from __future__ import annotations

FIRST_WAIT = 1.0
"""Seconds to wait where the receiver names none; doubles with each refusal that follows without a success."""
CLOSER_AT_FIRST = 0.95
"""What a success makes of the interval between two requests, until one at such an interval is refused …"""
CLOSER = 0.985
"""… and from then on, as the rate is known better."""
SPACING = 1.75
"""What a refusal makes of it."""
NO_INTERVAL = 0.004
"""Seconds between two requests below which they need not be held apart."""
IDLE = 1.0
"""Seconds between two requests beyond which there was nothing to send, which says nothing about the receiver."""
ANY = 256
"""Requests under way at a time from which on the concurrency of the endpoint is limit enough."""
_DOUBLINGS = 32


class Pace:
    """The pace of one address. Times are readings of the monotonic clock."""

    def __init__(self, *, longest: float) -> None:
        """Wait at most *longest* seconds where the receiver names no time."""
        self._longest = longest
        self.free = False
        """Whether nothing was held back up to the last request, and none was ever refused: then nothing is counted."""
        self._until, self._because = 0.0, ""
        self._limit: int | None = None  # requests under way; `None`: any number
        self._under_way = 0  # of this era, while there is a limit
        self._interval = self._next = 0.0
        self._closer = CLOSER_AT_FIRST
        self._refusals = 0  # in a row
        self._taken = 0  # since it was last refused
        self._busy: float | None = None  # seconds since then in which it was sent to, or waited; `None`: it never was
        self._last = 0.0  # when a request last went out
        self._generation = 0  # ends when it slows down: what was sent before says nothing about the pace since

    def wait(self, now: float) -> float:
        """Seconds until another request may go out; 0 where one may now, if there is a place for it."""
        return max(self._until, self._next, now) - now

    def held(self, now: float) -> float:
        """Seconds until the time that was named; 0 where none is left."""
        return max(0.0, self._until - now)

    def capacity(self, now: float) -> int | None:
        """The number of requests that may go out now; `None` for any number."""
        if self.wait(now):
            return 0
        free = None if self._limit is None else max(0, self._limit - self._under_way)
        return free if not self._interval else 1 if free is None else min(1, free)

    def enter(self, now: float) -> int:
        """Let a request go out; what the others want to know it by."""
        self._under_way += self._limit is not None
        if self._busy is not None:
            self._busy += min(now - self._last, max(self._interval, IDLE))
        self._last = now
        if self._interval:
            self._next = now + self._interval
        self.free = self._limit is None and self._busy is None
        return self._generation

    def leave(self, generation: int) -> None:
        """A request that went out in *generation* has ended, however it did."""
        if generation == self._generation and self._limit is not None:
            self._under_way -= 1

    def succeed(self, generation: int) -> None:
        """A request that went out in *generation* was taken."""
        if generation != self._generation:
            return
        self._refusals = 0
        self._taken += 1
        if self._limit is not None:
            self._limit = self._limit + 1 if self._limit < ANY else None
        self._interval *= self._closer
        if self._interval < NO_INTERVAL:
            self._interval = 0.0

    def refuse(self, generation: int, now: float, *, named: float | None, because: str) -> None:
        """The receiver asked, for a request of *generation*, to wait for *named* seconds; then go on gently."""
        if generation == self._generation:
            self._refusals += 1
            self._closer = CLOSER if self._interval else CLOSER_AT_FIRST
            self._interval = self._spacing()
            self.begin_gently()
            named = named or min(FIRST_WAIT * 2.0 ** min(self._refusals - 1, _DOUBLINGS), self._longest)
            self._taken, self._busy, self._last = 0, named, now + named
        self.hold(now + (named or 0.0), because)

    def hold(self, until: float, because: str) -> None:
        """Let nothing go out before *until*."""
        self.free = False
        if until > self._until:
            self._until, self._because = until, because

    def end_wait(self) -> None:
        """Let a request go out at once; those behind it at the pace as it is."""
        self._until = self._next = 0.0

    def begin_gently(self) -> None:
        """Begin with one request; each that is taken makes place for one more."""
        self.free = False
        self._limit = 1
        self._under_way = 0  # what went out before may hang for long, and holds no place
        self._generation += 1

    def why(self, now: float) -> str | None:
        """The reason why nothing is sent, in words; `None` while requests go out, however slowly."""
        left = self.held(now)
        if not left:
            return None
        when = f"for {left:.0f} s more" if left > 1 else "for less than a second"
        return f"waiting {when}, {self._because}"

    def _spacing(self) -> float:
        """Seconds between two requests from now on, by what the receiver took since it last refused one."""
        if self._busy is None or not (self._interval or self._taken):
            return 0.0
        measured = min(self._busy / self._taken, self._longest) if self._taken else self._longest
        return min(self._interval * SPACING, measured) if self._interval else measured
