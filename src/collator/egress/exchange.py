"""One exchange, as a connection sees it: a request, how long its answer may take, and who is told what came of it."""

from __future__ import annotations

from typing import Protocol

from collator.egress.answer import Answer, NoAnswer
from collator.egress.body import Body

Outcome = Answer | NoAnswer | Exception | None
"""An exception: reading the body raised it. `None`: the connection had been kept, and was closed before any byte of the
answer."""


class WireExchange(Protocol):
    """A request that has to be answered in time."""

    head: bytes
    body: Body
    keep: int
    """Bytes of the answer's body that are wanted."""
    timeout: float
    """Seconds that it may take."""
    deadline: float
    """A time of the loop, *timeout* after the beginning."""

    def prolong(self) -> bool:
        """Put behind the deadline what this process stood still since the last time; whether it did."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """Take what came of it. Called once, and not at all where it is cut; the connection can be used again then."""
        ...
