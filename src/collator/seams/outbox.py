"""The seam to those who send: what intake, workers and janitor need of the delivery stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from collator.messages import Delivery, ReceiverAnswer
from collator.seams.capacity import Capacity


class Outbox(Protocol):
    """Whoever sends deliveries."""

    def capacity(self) -> Capacity:
        """For each endpoint, how many more deliveries it would take, leased, at this moment."""
        ...

    def take(self, deliveries: Sequence[Delivery], endpoints: Iterable[str]) -> None:
        """Send *deliveries*, which are leased to it, and look for due ones of *endpoints*. Never blocks."""
        ...

    async def try_now(self, endpoint: str) -> bool:
        """Attempt the next delivery to *endpoint* at once, whatever it waits for; whether anything is under way then.

        Nothing is sent to one that is paused, or is not configured. Raises what the ledger raises.
        """
        ...

    async def test(self, endpoint: str) -> ReceiverAnswer:
        """Send a test to the receiver of *endpoint*; what it said. It is no delivery, and nothing is changed by it.

        `Unknown` where it is not configured, `Conflict` where it is a part of this process.
        """
        ...

    async def refresh(self) -> None:
        """Look at once which endpoints are paused, and for what is due to the others."""
        ...

    def under_way(self) -> Mapping[str, int]:
        """The number of attempts under way, by endpoint; of one that was never sent to, nothing."""
        ...

    def next_try(self, endpoint: str) -> float | None:
        """Seconds until a request finds out whether the receiver of *endpoint* works again; `None` unless it fails."""
        ...

    def why(self, endpoint: str) -> str | None:
        """The reason why nothing is sent to *endpoint* now, in words behind its name; `None` if requests may pass."""
        ...
