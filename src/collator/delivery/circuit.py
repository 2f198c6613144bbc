"""The circuit of an address: the breakers of its origin and of its own, and its pace (R23). Pure."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from collator.delivery.breaker import Breaker
from collator.delivery.pace import Pace

SHORTAGE_PAUSE = 1.0
"""Seconds for which nothing is sent to an address after this process lacked descriptors or memory for it."""
BREAKER_OPEN = "breaker open"
"""Why nothing was sent where its receiver fails; *paused* is what a person or a 410 does to an endpoint."""
SLOWED = "its receiver accepts fewer requests at a time"
"""Why nothing was sent where a receiver asked for less, or has just come back."""
PROBING = 1.0
"""Seconds after which a request that found a probe under way may try again."""


class BreakerState(StrEnum):
    """The state of the breakers of an address."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """The evidence of one request about its receiver; `None` where it says nothing."""

    origin: bool | None
    address: bool | None
    refused: bool = False
    """Whether the receiver asks to be sent to later, or more slowly."""
    named: float | None = None
    """Seconds for which it then wants nothing, where it says so."""
    shortage: bool = False
    """Whether this process lacked what it takes to ask."""


class Passage(msgspec.Struct, frozen=True):
    """The right to one request: its circuit, the eras in which it goes out, and whether it is a probe."""

    circuit: Circuit
    origin: int
    address: int
    pace: int
    probe: bool


class Circuit:
    """The circuit of one address. Times are readings of the monotonic clock."""

    def __init__(self, origin: Breaker, address: Breaker, pace: Pace) -> None:
        """Pass requests by the breaker of the *origin*, which others share, that of the *address* and its *pace*."""
        self._origin, self._address, self._pace = origin, address, pace
        self._probing = False
        self._openings = origin.generation  # of both breakers, up to the last time that it went on
        self._passage: Passage | None = None  # the last one: while it is calm, all are the same

    @property
    def open(self) -> bool:
        """Whether only a probe may pass."""
        return self._origin.open or self._address.open

    @property
    def calm(self) -> bool:
        """Whether it holds nothing back, and every answer of late was good: then another success says nothing new.

        Nearly every request meets it so, and needs 2 calls of its breakers and pace instead of 30.
        """
        origin, address = self._origin, self._address
        sound = self._pace.free and origin.sound and address.sound
        return sound and origin.generation + address.generation == self._openings

    @property
    def openings(self) -> int:
        """The number of times that its breakers have opened, ever."""
        return self._origin.generation + self._address.generation

    @property
    def state(self) -> BreakerState:
        """The state of its breakers together."""
        if not self.open:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._probing else BreakerState.OPEN

    def wait(self, now: float) -> float:
        """Seconds until a request may pass; 0 where one may now, if there is a place for it."""
        if not self.open:
            return self._pace.wait(now)
        held = PROBING if self._probing else 0.0
        return max(held, self._origin.wait(now), self._address.wait(now), self._pace.wait(now))

    def capacity(self, now: float) -> int | None:
        """The number of requests that may pass now; `None` for any number."""
        if self.calm:
            return None
        if self.open:
            return 0 if self.wait(now) else 1
        if self.openings != self._openings:  # a breaker was open since the last time
            self._openings = self.openings
            self._pace.begin_gently()
        return self._pace.capacity(now)

    def enter(self, now: float) -> Passage | None:
        """Let one request pass, unless it has to wait."""
        if self.calm:
            return self._passage
        if self.capacity(now) == 0:
            return None
        probe = self.open
        self._probing = self._probing or probe
        origin, address = self._origin.generation, self._address.generation
        self._passage = Passage(self, origin, address, self._pace.enter(now), probe)
        return self._passage

    def report(self, passage: Passage, evidence: Evidence, now: float, reason: str) -> None:
        """Take in what came of a request."""
        if evidence.origin is not None:
            self._origin.report(passage.origin, now, ok=evidence.origin, reason=reason)
        if evidence.address is not None:
            self._address.report(passage.address, now, ok=evidence.address, reason=reason, probe=passage.probe)
        if evidence.refused:
            self._pace.refuse(
                passage.pace, now, named=evidence.named, because=f"as requested by its receiver ({reason})"
            )
        elif evidence.address:
            self._pace.succeed(passage.pace)
        elif evidence.shortage:
            self._pace.begin_gently()
            self._pace.hold(now + SHORTAGE_PAUSE, f"because this service lacks resources ({reason})")

    def end_wait(self) -> None:
        """Let a request pass at once, as a person wants it; of an open breaker it is the probe."""
        for one in (self._origin, self._address, self._pace):
            one.end_wait()

    def begin_gently(self) -> None:
        """Begin with one request, as after a pause by a person."""
        self._pace.begin_gently()

    def leave(self, passage: Passage) -> None:
        """The request has ended, whether or not anything was heard of it."""
        if not self._pace.free:
            self._pace.leave(passage.pace)
        if passage.probe:
            self._probing = False

    def asked(self, now: float) -> float:
        """Seconds for which nothing is sent, as its receiver asked or this service lacks something; 0 for none."""
        return self._pace.held(now)

    def why(self, now: float) -> str | None:
        """The reason why nothing is sent, in words; `None` while requests may pass."""
        if not self.open:
            return self._pace.why(now)
        breaker = self._origin if self._origin.open else self._address
        when = f"in {seconds:.0f} s" if (seconds := self.wait(now)) > PROBING else "within a second"
        return f"{BREAKER_OPEN}, next try {when} ({breaker.reason})"


class Circuits:
    """The circuits of all addresses; those of one origin share its breaker."""

    def __init__(self, *, failures: int = 4, longest: float = 60.0) -> None:
        """Breakers open after *failures* in a row; nothing waits for more than *longest* seconds that nobody named."""
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
            pace = Pace(longest=self._longest)
            circuit = self._circuits[url] = Circuit(self._origins[origin], self._breaker(), pace)
        return circuit

    def _breaker(self) -> Breaker:
        return Breaker(failures=self._failures, longest=self._longest)


def origin_of(url: str) -> str:
    """Scheme, host and port of *url* (RFC 6454), in small letters."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.hostname}:{port}"
