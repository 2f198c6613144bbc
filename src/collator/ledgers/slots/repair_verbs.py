"""Upkeep and repair of several ledgers: of one resource where it lives, of many in one ledger after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from collator.errors import Unavailable, Uncertain
from collator.ledgers.slots import merger
from collator.ledgers.slots.audit_verbs import SlotAudit
from collator.ledgers.slots.places import cursor, parse_cursor, slot_of
from collator.ledgers.slots.shares import capacities, shares
from collator.ledgers.slots.slots import Slots
from collator.messages import DeliveryFilter, Replayed, ResourceFilter, RetriedResources, StepResult
from collator.seams.capacity import Capacity
from collator.seams.ledger import Ledger

S = TypeVar("S", RetriedResources, Replayed)
"""The result of a step, which says where the next begins."""


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

        async def forget(slot: int) -> int:
            return await slots.ledger(slot).purge(limit=limit, operation=operation)

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

        async def retry(ledger: Ledger, behind: str, left: int) -> tuple[RetriedResources, int]:
            step = await ledger.retry_all(wanted, after=behind, limit=left, operation=operation)
            return step, step.resources

        steps, place = await self._in_turn(retry, after, limit)
        resources, packets = sum(step.resources for step in steps), sum(step.packets for step in steps)
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

        async def replay(ledger: Ledger, behind: str, left: int) -> tuple[Replayed, int]:
            step = await ledger.replay(wanted, after=behind, limit=left, operation=operation)
            return step, step.replayed

        steps, place = await self._in_turn(replay, after, limit)
        endpoints = frozenset[str]().union(*[step.endpoints for step in steps])
        replayed, dead = sum(step.replayed for step in steps), sum(step.dead for step in steps)
        return Replayed(replayed=replayed, dead=dead, endpoints=endpoints, after=place)

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

    async def _in_turn(
        self, verb: Callable[[Ledger, str, int], Awaitable[tuple[S, int]]], after: str, limit: int
    ) -> tuple[list[S], str | None]:
        """The steps of *verb* in one ledger after the other, and where the next begins.

        *verb* has the place in the ledger and what is left of *limit*, and says how much of it the step took up.
        `Unavailable` where nothing was done before; else the next begins at the ledger that is away, and is told so.
        """
        steps: list[S] = []
        left = limit
        place: str | None = after
        while place is not None and left > 0:
            slot, behind = parse_cursor(place, self._slots.count)
            try:
                step, number = await verb(self._slots.ledger(slot), behind, left)
            except Uncertain:
                raise
            except Unavailable:
                if left == limit:
                    raise
                break
            steps.append(step)
            left, place = left - number, cursor(slot, step.after, self._slots.count)
            if step.after is not None:
                break
        return steps, place
