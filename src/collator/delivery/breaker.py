"""Whether a receiver is asked at all: a breaker for each address, and one for the origin they share (R23). Pure.

Theory: Nygard's circuit breaker. *Closed*: all pass. After so many failures in a row it *opens*: nothing passes, and no
attempt is used up, for a pause. Then one request passes, the probe, and while it is under way the breaker is *half
open*: if the probe succeeds it closes, else it opens for twice as long, up to a limit.

Evidence has a scope. Where no connection came about, the origin (scheme, host, port) fails, and with it every address
there. An answer of 5xx, or none in time, says so only of the address: beside it on the same host others may do well,
and a dead one delays nobody. What was sent before a breaker opened says nothing about what came after, so it is
ignored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

FIRST_PAUSE = 1.0
"""Seconds; doubles with each probe that fails."""
PROBING = 1.0
"""Seconds after which who found the probe under way may ask again."""
_DOUBLINGS = 32


class BreakerState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Evidence(NamedTuple):
    """What one request says about its receiver; `None` where it says nothing."""

    origin: bool | None
    address: bool | None


class Breaker:
    """The breaker of one address, or of one origin. Times are readings of the monotonic clock."""

    def __init__(self, *, failures: int, longest: float) -> None:
        """Open after so many *failures* in a row, for at most *longest* seconds."""
        self._limit = failures
        self._longest = longest
        self._failures = 0
        self._opened = 0  # how often, since the last success
        self._until = 0.0
        self._probing = False
        self._era = 0  # ends when it opens
        self.reason = ""
        """How the last request failed, in words."""

    @property
    def state(self) -> BreakerState:
        """Where it stands. Once its pause is over it stays open until somebody asks."""
        if not self._opened:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._probing else BreakerState.OPEN

    def wait(self, now: float) -> float:
        """Seconds until a request may pass; 0 where one may now."""
        if not self._opened:
            return 0.0
        return PROBING if self._probing else max(0.0, self._until - now)

    def enter(self) -> int:
        """Let a request pass, which nothing has to `wait` for; what `hear` and `leave` want to know it by."""
        self._probing = self._opened > 0
        return self._era

    def hear(self, era: int, now: float, *, sound: bool, reason: str) -> None:
        """A request that passed in *era* was answered in a *sound* way, or failed for *reason*."""
        if era != self._era:
            return
        if sound:
            self._failures = self._opened = 0
            self._probing = False
            return
        self.reason = reason
        self._failures += 1
        if self._opened or self._failures >= self._limit:
            self._open(now)

    def leave(self, era: int) -> None:
        """A request that passed in *era* has ended; if nothing was heard of it, another may be the probe."""
        if era == self._era:
            self._probing = False

    def _open(self, now: float) -> None:
        self._until = now + min(FIRST_PAUSE * 2.0 ** min(self._opened, _DOUBLINGS), self._longest)
        self._opened += 1
        self._failures = 0
        self._probing = False
        self._era += 1


class Passed(NamedTuple):
    """The right to one request: the eras of both breakers."""

    origin: int
    address: int


class Circuit(NamedTuple):
    """What a request has to pass: the breaker of its origin and that of its address."""

    origin: Breaker
    address: Breaker

    def wait(self, now: float) -> float:
        """Seconds until a request may pass; 0 where one may now."""
        return max(self.origin.wait(now), self.address.wait(now))

    def room(self, now: float) -> int | None:
        """How many requests may pass at this moment; `None` for any number."""
        if self.state is BreakerState.CLOSED:
            return None
        return 0 if self.wait(now) else 1

    def enter(self, now: float) -> Passed | None:
        """Let one request pass, unless it has to wait."""
        return None if self.wait(now) else Passed(self.origin.enter(), self.address.enter())

    def hear(self, passed: Passed, evidence: Evidence, now: float, reason: str) -> None:
        """Take in what came of a request."""
        origin = evidence.origin
        if origin is None and self.origin.state is BreakerState.HALF_OPEN:
            origin = True  # a probe that was not refused: whether it is well, each address finds out for itself
        if origin is not None:
            self.origin.hear(passed.origin, now, sound=origin, reason=reason)
        if evidence.address is not None:
            self.address.hear(passed.address, now, sound=evidence.address, reason=reason)

    def leave(self, passed: Passed) -> None:
        """The request has ended, whether or not anything was heard of it."""
        self.origin.leave(passed.origin)
        self.address.leave(passed.address)

    @property
    def state(self) -> BreakerState:
        """That of the one which lets less pass."""
        states = {self.origin.state, self.address.state}
        order = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)
        return next(state for state in order if state in states)

    def why(self, now: float) -> str | None:
        """Why nothing is sent, in words; `None` where nothing is held back."""
        if self.state is BreakerState.CLOSED:
            return None
        breaker = self.origin if self.origin.state is not BreakerState.CLOSED else self.address
        when = f"for {seconds:.0f} s more" if (seconds := self.wait(now)) > PROBING else "for a moment"
        return f"paused {when}, as its receiver fails ({breaker.reason})"


class Circuits:
    """The circuits of all addresses; those of one origin share its breaker."""

    def __init__(self, *, failures: int = 5, longest: float = 60.0) -> None:
        """Breakers open after *failures* in a row, for at most *longest* seconds."""
        self._failures, self._longest = failures, longest
        self._origins: dict[str, Breaker] = {}
        self._circuits: dict[str, Circuit] = {}

    def of(self, url: str) -> Circuit:
        """The circuit that requests to *url* have to pass."""
        circuit = self._circuits.get(url)
        if circuit is None:
            origin = origin_of(url)
            if origin not in self._origins:
                self._origins[origin] = self._breaker()
            circuit = self._circuits[url] = Circuit(self._origins[origin], self._breaker())
        return circuit

    def _breaker(self) -> Breaker:
        return Breaker(failures=self._failures, longest=self._longest)


def origin_of(url: str) -> str:
    """Scheme, host and port of *url* (RFC 6454), in small letters."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.hostname}:{port}"
