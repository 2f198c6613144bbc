"""The limit of calls under way to a service: how many, and when. Pure; times are readings of one clock (R27).

Theory. Nobody knows how many calls a service takes at a time, and it changes. What it says is enough. *A refusal with n
others under way* says that it takes n: so that is the limit from then on, at least one. (Halving, as TCP does where a
loss says nothing of the number, would leave a quarter of the service idle.) *A round*, as many answers as there are
calls under way, in which nothing is refused lets the limit grow by one, up to the ceiling. Where such a step is
refused, the next one waits twice as many rounds, up to `PROBE` answers: so a service whose limit stays refuses one call
in fifty, and one whose limit has risen is found out, and then grown into round by round. The number of answers varies:
else, with as many resources in turn, the same packet would be refused each time.

Where nothing of ours was under way, and it refused all the same, others fill it or it counts by time. Then there is a
pause, which doubles with each such refusal and halves with each answer. ``Retry-After`` makes one of its length, in
which nothing is begun.

*A breaker* (Nygard) opens where no connection comes about, and where several connections in a row broke before an
answer, or several answers in a row were about the configuration; one alone may be the doing of its packet. While it is
open one call at a time goes out as a probe, after a pause that doubles with each that fails. An answer closes it; then
the limit is one, and each answer lets it grow by one, until a call is refused. What was begun before it opened says
nothing of the time after, holds no place, and is not listened to.
"""

from __future__ import annotations

from collator.processor.endings import Sign

FIRST_PAUSE = 1.0
"""Seconds until the first probe; doubles with each that fails."""
LONGEST_PAUSE = 30.0
"""Seconds that doubling ends at."""
SHORT_PAUSE = 0.25
"""Seconds after the first refusal with nothing of ours under way."""
PROBE = 48
"""Answers after which the limit may always grow by one; up to `SPREAD` more."""
SPREAD = 7
IN_A_ROW = 3
"""Calls that get nothing from the service, one after the other, from which on it is the service."""
TROUBLE = 10.0
"""Seconds from which on a pause that the service asks for is worth a word."""
_DOUBLINGS = 16


class CallLimit:
    """How many calls to one service may be under way."""

    def __init__(self, ceiling: int, *, longest: float) -> None:
        """At most *ceiling* calls; a service may ask to be left alone for *longest* seconds."""
        self.trouble = ""
        """Why nothing gets through, in words; empty while calls do."""
        self.limit = ceiling
        """How many calls the service takes, as far as is known."""
        self._ceiling = ceiling
        self._longest = longest
        self._under_way = 0  # of this generation
        self._peak = 0  # calls under way, at most, since the limit changed
        self._generation = 0  # ends when the breaker opens
        self._until = 0.0  # nothing is begun before
        self._pause = 0.0
        self._opened = 0  # pauses of the breaker since the last answer
        self._misses = 0  # in a row
        self._starting = False  # each answer lets the limit grow
        self._grown = False  # the limit has grown, and nothing was refused since
        self._rounds = 1
        self._needed = 0  # answers until it grows
        self._refusals = 0

    def capacity(self, now: float) -> int:
        """The number of calls that may begin at this moment."""
        if now < self._until:
            return 0
        return max(0, (1 if self._opened else self.limit) - self._under_way)

    def wait(self, now: float) -> float:
        """Seconds until the pause ends; 0 where there is none."""
        return max(0.0, self._until - now)

    def begin(self, count: int = 1) -> int:
        """*count* calls begin; the generation to end each by."""
        self._under_way += count
        self._peak = max(self._peak, self._under_way)
        return self._generation

    def end(self, generation: int, sign: Sign, now: float, *, reason: str = "", after: float = 0.0) -> None:
        """A call of *generation* has ended, which says *sign* of the service, that asks for *after* seconds of rest.

        `Sign.UNSENT` says nothing of it.
        """
        if generation != self._generation:
            return
        self._under_way -= 1
        match sign:
            case Sign.ANSWERED:
                self._take(now)
            case Sign.OVERLOADED:
                self._refuse(now, min(after, self._longest), reason)
            case Sign.SHORTAGE:
                self._until = max(self._until, now + FIRST_PAUSE)
            case Sign.AWAY:
                self._open(now, reason)
            case Sign.BROKEN | Sign.MISCONFIGURED:
                self._misses += 1
                if self._opened or self._misses >= IN_A_ROW:
                    self._open(now, reason)
            case Sign.NOTHING:
                if self._opened:  # no answer proves nothing
                    self._open(now, self.trouble)

    def _take(self, now: float) -> None:
        self._misses = 0
        if now >= self._until:  # else the service still asks to be left alone
            self.trouble = ""
        self._pause = self._pause / 2 if self._pause > SHORT_PAUSE else 0.0
        if self._opened:
            self._close()
        elif self.limit < self._ceiling:
            self._grow()

    def _grow(self) -> None:
        """Let the limit grow, if it is time, and if it was put to use."""
        if self._starting:
            self.limit += self.limit < 2 * self._peak
            return
        self._needed -= 1
        if self._needed <= 0 and self._peak >= self.limit:
            self._rounds = 1 if self._grown else self._rounds
            self.limit += 1
            self._grown, self._needed, self._peak = True, self.limit, self._under_way

    def _refuse(self, now: float, after: float, reason: str) -> None:
        self._misses = 0
        if self._opened:
            self._close()
        others = self._under_way
        if others < self.limit:
            self._rounds = min(2 * self._rounds, PROBE) if self._grown else 1
            self.limit = max(1, others)
            self._starting, self._grown, self._peak = False, False, others
            self._refusals += 1
            self._needed = min(self._rounds * self.limit, max(self.limit, PROBE + self._refusals % SPREAD))
        if not others:
            self._pause = min(max(SHORT_PAUSE, 2 * self._pause), LONGEST_PAUSE)
            after = max(after, self._pause)
        self._until = max(self._until, now + after)
        self.trouble = reason if self._until - now >= TROUBLE else ""

    def _open(self, now: float, reason: str) -> None:
        self.trouble = reason
        pause = min(FIRST_PAUSE * 2.0 ** min(self._opened, _DOUBLINGS), LONGEST_PAUSE)
        self._until = max(self._until, now + pause)
        self._opened += 1
        self._generation += 1
        self._under_way = self._peak = 0

    def _close(self) -> None:
        """The service is there: begin gently."""
        self.trouble, self._opened, self.limit = "", 0, 1
        self._starting, self._grown, self._rounds, self._needed = self._ceiling > 1, False, 1, 0
