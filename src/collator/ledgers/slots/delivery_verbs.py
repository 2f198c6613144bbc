"""Deliveries in several ledgers: handed out by turns, reported where they came from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from msgspec.structs import replace

from collator.errors import Unavailable
from collator.ledgers.slots import merger
from collator.ledgers.slots.places import inner_delivery, outer_delivery, split
from collator.ledgers.slots.slots import Slots, placed
from collator.ledgers.slots.turns import by_turns
from collator.messages import Attempt, Delivery


class DeliveryVerbs:
    """Deliveries that wait to be sent. The contract of each verb is in `collator.seams.deliveries`."""

    _slots: Slots

    async def claim_deliveries(
        self, endpoint: str, *, capacity: int, large: bool = False, probe: bool = False, operation: str = ""
    ) -> Sequence[Delivery]:
        """Lease due deliveries of each ledger, to equal shares; what one leaves, others have."""
        slots = self._slots

        async def take(slot: int, wanted: int, part: str) -> Sequence[Delivery]:
            return await slots.ledger(slot).claim_deliveries(
                endpoint, capacity=wanted, large=large, probe=probe, operation=part
            )

        taken = await by_turns(slots, slots.order(operation), take, capacity, operation, size=lambda _: 1)
        return [outer_delivery(delivery, slot, slots.count) for slot, delivery in taken]

    async def bring_forward(self, endpoint: str, *, within: float, large: bool = False) -> int:
        """Make due what waits, as far as ledgers are there: what another has keeps its time."""
        slots = self._slots

        async def bring(slot: int) -> int:
            return await slots.ledger(slot).bring_forward(endpoint, within=within, large=large)

        return sum(merger.there(await slots.ask(bring, slots.all)).values())

    def pieces(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The frozen body, piece by piece."""
        ledger = self._slots.ledger(delivery.lease.key % self._slots.count)
        return ledger.pieces(inner_delivery(delivery, self._slots.count))

    async def body(self, delivery: Delivery) -> bytes:
        """The frozen body."""
        return b"".join([piece async for piece in self.pieces(delivery)])

    async def record_attempts(self, attempts: Sequence[Attempt]) -> Sequence[bool | None]:
        """Store how attempts ended; a pause counts in all ledgers, but for those that are away."""
        slots = self._slots
        places = split(attempt.delivery.lease.key % slots.count for attempt in attempts)
        mine = placed(attempts, places)

        async def settle(slot: int) -> Sequence[bool | None]:
            found = [replace(attempt, delivery=inner_delivery(attempt.delivery, slots.count)) for attempt in mine[slot]]
            return await slots.ledger(slot).record_attempts(found)

        stored = merger.flags(await slots.ask_some(settle, places), places, away=None)
        for attempt, changed in zip(attempts, stored, strict=True):
            if attempt.pauses and changed:
                await self._pause_others(attempt)
        return stored

    async def _pause_others(self, attempt: Attempt) -> None:
        for slot in self._slots.all:
            if slot != attempt.delivery.lease.key % self._slots.count:
                with suppress(Unavailable):  # the receiver says so again, for what that ledger has
                    await self._slots.ledger(slot).pause(attempt.delivery.endpoint, reason=attempt.full_reason)
