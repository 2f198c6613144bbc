"""THE SEAM to deliveries: what senders need of a ledger.

The contract that all verbs share is that of `collator.seams.ledger`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from collator.messages import (
    Attempt,
    Delivery,
    Lease,
    Pause,
)


class DeliveryQueue(Protocol):
    """Deliveries that wait to be sent."""

    async def claim_deliveries(
        self, endpoint: str, *, capacity: int, large: bool = False, probe: bool = False, operation: str = ""
    ) -> Sequence[Delivery]:
        """Lease up to *capacity* deliveries of *endpoint* that are due; none while it is paused.

        Where more are due, half of them are those that are longest due, and half those that have become due last, turn
        by turn over all calls: so a backlog gets smaller, and keeps nothing fresh waiting.

        Those that are not large, or those that are: what is *large* is handed out here alone, and takes the capacity of
        no other.

        For a *probe* of a receiver that fails: those that were tried least, and then those that will be due next,
        though their time has not come. So what fails again and again is not tried before others that may succeed, and
        something is tried as long as there is any. One that cannot be read, as what is stored of it is damaged, is
        dead.
        """
        ...

    async def bring_forward(self, endpoint: str, *, within: float, large: bool = False) -> int:
        """Make due at once what waits for *endpoint*, as its receiver is back; how many that were. It may be repeated.

        Of the 1,000 that will be due next: those that are due *within* so many seconds, and those that were put off
        without an attempt. Their places in the schedule stay.
        """
        ...

    def pieces(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The body of *delivery*, byte for byte the same at every call (P3), in pieces of some 256 KiB.

        Nothing of it beside a piece is in memory, and other looks have their turn between two of them. `Damaged` where
        a checksum differs, at the latest before the last byte of what it covers; `Unknown` where the delivery is gone.
        """
        ...

    async def body(self, delivery: Delivery) -> bytes:
        """The same as a whole, for who can do nothing with a part of it."""
        ...

    async def record_attempts(self, attempts: Sequence[Attempt]) -> Sequence[bool | None]:
        """Store how *attempts* to deliver ended. False for each that changed nothing, as its lease was lost.

        None for each that concerns a part of the store that is away: it is to be recorded again.

        Repeating it changes nothing, whatever it says then: a lease is good for one report.

        False too for one that the store could not take: it is due again when its lease ends. A delivery that
        succeeded is delivered whether or not the lease still holds (R24). The end of the last delivery of a resource
        starts its retention (R25). An attempt that `pauses` does so in the same step.
        """
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back what was not worked on, packets and deliveries alike: due at once, no attempt used up."""
        ...

    async def paused(self) -> Mapping[str, Pause]:
        """The endpoints that are paused, by name."""
        ...

    async def due_endpoints(self) -> frozenset[str]:
        """The endpoints that have a delivery due, leased ones included, and are not paused."""
        ...
