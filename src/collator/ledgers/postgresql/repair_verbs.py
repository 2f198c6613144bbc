"""What people ask of the ledger on PostgreSQL (`collator.seams.upkeep`, `collator.seams.audit`), and who did it.

A verb that takes several steps gives each of them an operation of its own, so that it goes on where an answer was lost.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from collator.ledgers import acts
from collator.ledgers.postgresql import deliveries, steps
from collator.ledgers.postgresql.retry_verbs import RetryVerbs, parts_of
from collator.messages import Act, DeliveryFilter, Replayed, StepResult
from collator.seams.ledger import Capacity


class RepairVerbs(RetryVerbs):
    """The verbs of people. The contract of each is in the seams."""

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
        arguments = (resource_id, total, force, capacity or {})
        return await self._upkeep.call(steps.COMPLETE, arguments, operation=operation)

    async def cancel(self, resource_id: str, *, operation: str = "") -> bool:
        """End without a webhook."""
        return await self._upkeep.call(steps.CANCEL, (resource_id,), operation=operation)

    async def replay(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 1000, operation: str = ""
    ) -> Replayed:
        """Make ended deliveries due again."""
        return await self._once(operation, lambda: self._replay(wanted, after, limit, operation))

    async def give_up(self, delivery_id: str, *, operation: str = "") -> bool:
        """Give up a delivery."""
        async with self._reader.look() as look:
            delivery_row, _ = await deliveries.locate(look, delivery_id)
        return await self._upkeep.call(steps.STOP, (delivery_row,), operation=operation)

    async def pause(self, endpoint: str, *, reason: str, operation: str = "") -> bool:
        """Hand out nothing to an endpoint."""
        return await self._upkeep.call(steps.PAUSE, (endpoint, reason), operation=operation)

    async def resume(self, endpoint: str, *, operation: str = "") -> bool:
        """Go on with an endpoint."""
        return await self._upkeep.call(steps.RESUME, (endpoint,), operation=operation)

    async def purge(self, *, limit: int, resource_id: str | None = None, operation: str = "") -> int:
        """Forget what may be forgotten."""
        return await self._once(operation, lambda: self._purge(limit, resource_id, operation))

    def audited(self, act: Act) -> AbstractContextManager[None]:
        """Record what is done within the context as one act."""
        return acts.audited(act)

    async def note(self, act: Act) -> None:
        """Record an act that no verb does."""
        await self._upkeep.call(steps.NOTE, (act,))

    async def _replay(self, wanted: DeliveryFilter, after: str, limit: int, operation: str) -> Replayed:
        found = await self._once(operation and f"{operation}/found", lambda: self._find_to_replay(wanted, after, limit))
        delivery_rows, number, endpoints = found.delivery_rows(), 0, frozenset[str]()
        for part in parts_of(operation):
            if not delivery_rows:
                break
            step = await self._upkeep.call(steps.REPLAY, (delivery_rows, wanted.state), operation=part)
            delivery_rows, number = delivery_rows[step.looked :], number + step.number
            endpoints |= step.endpoints
        return Replayed(replayed=number, endpoints=endpoints, after=found.after)

    async def _find_to_replay(self, wanted: DeliveryFilter, after: str, limit: int) -> deliveries.Found:
        async with self._reader.look(whole=True) as look:
            return await deliveries.find_to_replay(look, wanted, after, limit)

    async def _purge(self, limit: int, resource_id: str | None, operation: str) -> int:
        removed = 0
        for part in parts_of(operation):  # what a person wants to be gone goes first
            step = await self._upkeep.call(steps.PURGE, (limit - removed, resource_id), operation=part)
            removed, resource_id = removed + step.rows, None
            if not step.more or removed >= limit:
                break
        return removed
