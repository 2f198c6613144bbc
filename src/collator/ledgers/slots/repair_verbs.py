"""Upkeep and repair of several ledgers: of one resource where it lives, of many in one ledger after the other."""

from __future__ import annotations

from collator.errors import Unavailable, Uncertain
from collator.ledgers.slots import merger
from collator.ledgers.slots.audit_verbs import SlotAudit
from collator.ledgers.slots.places import cursor, parse_cursor, slot_of
from collator.ledgers.slots.shares import capacities, shares
from collator.ledgers.slots.slots import Slots
from collator.messages import (
    DeliveryFilter,
    Replayed,
    ResourceFilter,
    RetriedResources,
    StepResult,
)
from collator.seams.capacity import Capacity


class SlotRepairs(SlotAudit):
    """What time and people ask for. The contract of each verb is in `collator.seams.upkeep`."""

    _slots: Slots

    async def expire(self, *, accepting: bool, limit: int, capacity: Capacity, operation: str = "") -> StepResult:
        """Close what time has ended."""
        slots = self._slots
        limits = shares(limit, slots.order(operation))
        taken = capacities(capacity, slots.order(operation) if operation else [*slots.all])

        async def close(slot: int) -> StepResult:
            return await slots.ledger(slot).expire(
                accepting=accepting, limit=max(limits[slot], 1), capacity=taken[slot], operation=operation
            )

        return merger.step(await slots.ask(close, slots.all, probe=True), {}, slots.count)

    async def purge(self, *, limit: int, resource_id: str | None = None, operation: str = "") -> int:
        """Forget what may be forgotten."""
        slots = self._slots
        if resource_id is not None:
            slot = slot_of(resource_id, slots.count)
            return await slots.ledger(slot).purge(limit=limit, resource_id=resource_id, operation=operation)
        limits = shares(limit, slots.order(operation))

        async def forget(slot: int) -> int:
            return await slots.ledger(slot).purge(limit=max(limits[slot], 1), operation=operation)

        return sum(merger.there(await slots.ask(forget, slots.all)).values())

    async def complete(
        self,
        resource_id: str,
        *,
        total: int | None = None,
        force: bool = False,
        capacity: Capacity | None = None,
        operation: str = "",
    ) -> StepResult:
        """Fix the total, or close now."""
        slot = slot_of(resource_id, self._slots.count)
        answer = await self._slots.ledger(slot).complete(
            resource_id, total=total, force=force, capacity=capacity, operation=operation
        )
        return merger.step({slot: answer}, {}, self._slots.count)

    async def cancel(self, resource_id: str, *, operation: str = "") -> bool:
        """End without a webhook."""
        slot = slot_of(resource_id, self._slots.count)
        return await self._slots.ledger(slot).cancel(resource_id, operation=operation)

    async def retry(self, resource_id: str, *, operation: str = "") -> int:
        """Give failed packets a new set of attempts."""
        slot = slot_of(resource_id, self._slots.count)
        return await self._slots.ledger(slot).retry(resource_id, operation=operation)

    async def retry_all(
        self, wanted: ResourceFilter, *, after: str = "", limit: int = 256, operation: str = ""
    ) -> RetriedResources:
        """Retry many, a step in one ledger at a time."""
        resources = packets = 0
        place: str | None = after
        while place is not None and resources < limit:
            slot, behind = parse_cursor(place, self._slots.count)
            try:
                step = await self._slots.ledger(slot).retry_all(
                    wanted, after=behind, limit=limit - resources, operation=operation
                )
            except Uncertain:
                raise
            except Unavailable:
                if not resources:
                    raise
                break  # the next step begins there, and is told so
            resources, packets = resources + step.resources, packets + step.packets
            place = cursor(slot, step.after, self._slots.count)
            if step.after is not None:
                break
        return RetriedResources(resources=resources, packets=packets, after=place)

    async def replay(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 1000, operation: str = ""
    ) -> Replayed:
        """Make ended deliveries due again, a step in one ledger at a time."""
        slots = self._slots
        if wanted.id is not None or wanted.resource_id is not None:
            slot = slot_of(wanted.resource_id or "", slots.count)
            if (wanted_id := wanted.id) is not None:
                slot, _ = await slots.find(lambda ledger: ledger.delivery(wanted_id))
            return await slots.ledger(slot).replay(wanted, after=after, limit=limit, operation=operation)
        number, endpoints = 0, frozenset[str]()
        place: str | None = after
        while place is not None and number < limit:
            slot, behind = parse_cursor(place, slots.count)
            step = await slots.ledger(slot).replay(wanted, after=behind, limit=limit - number, operation=operation)
            number, endpoints = number + step.replayed, endpoints | step.endpoints
            place = cursor(slot, step.after, slots.count)
            if step.after is not None:
                break
        return Replayed(replayed=number, endpoints=endpoints, after=place)

    async def give_up(self, delivery_id: str, *, operation: str = "") -> bool:
        """Give up a delivery."""
        slot, _ = await self._slots.find(lambda ledger: ledger.delivery(delivery_id))
        return await self._slots.ledger(slot).give_up(delivery_id, operation=operation)

    async def pause(self, endpoint: str, *, reason: str, operation: str = "") -> bool:
        """Hand out nothing to an endpoint. `Unavailable` where one is away: it is to be asked again."""

        async def pause(slot: int) -> bool:
            return await self._slots.ledger(slot).pause(endpoint, reason=reason, operation=operation)

        return await self._everywhere(pause)

    async def resume(self, endpoint: str, *, operation: str = "") -> bool:
        """Go on with an endpoint. `Unavailable` where one is away: it is to be asked again."""

        async def resume(slot: int) -> bool:
            return await self._slots.ledger(slot).resume(endpoint, operation=operation)

        return await self._everywhere(resume)
