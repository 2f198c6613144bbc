"""What people ask of a ledger (`collator.seams.upkeep`, `collator.seams.audit`), in as many steps as it takes.

A verb that takes several steps gives each of them an operation of its own, so that it goes on where an answer was lost.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar, cast

from collator.errors import Damaged, Ended, Unknown
from collator.ledgers import acts
from collator.ledgers.batching.answers import Answers, operations_of_steps
from collator.ledgers.batching.calls import Verb
from collator.ledgers.repair_steps import FoundResources
from collator.ledgers.steps import LedgerSteps
from collator.messages import Act, DeliveryFilter, Replayed, ResourceFilter, RetriedResources, StepResult
from collator.rules.resource import INDEX_MASK
from collator.seams.ledger import Capacity
from collator.states import State

R = TypeVar("R")


class RepairVerbs:
    """The verbs of people. The contract of each is in the seams."""

    _steps: LedgerSteps
    _answers: Answers

    @abstractmethod
    async def _repair(self, verb: Verb[Any, R], arguments: tuple[Any, ...], operation: str = "") -> R:
        """Execute *verb* as a step."""

    @abstractmethod
    async def _find_resources(self, wanted: ResourceFilter, after: str, limit: int) -> FoundResources:
        """Of up to *limit* resources, from the cursor *after* on, those that are *wanted*. `Malformed`."""

    @abstractmethod
    async def _find_deliveries(
        self, wanted: DeliveryFilter, after: str, limit: int
    ) -> tuple[Sequence[int], str | None]:
        """The handles of up to *limit* that are *wanted*, and the cursor behind them. `Malformed`, `Unknown`."""

    @abstractmethod
    async def _find_delivery(self, delivery_id: str) -> int:
        """The handle of a delivery. `Unknown`."""

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
        verb = self._steps.COMPLETE_EMPTY if total == 0 else self._steps.COMPLETE
        return await self._repair(verb, (resource_id, total, force, capacity or {}), operation)

    async def cancel(self, resource_id: str, *, operation: str = "") -> bool:
        """End without a webhook."""
        return await self._repair(self._steps.CANCEL, (resource_id,), operation)

    async def retry(self, resource_id: str, *, operation: str = "") -> int:
        """New attempts for packets that have no output."""
        return await self._once(operation, lambda: self._retry(resource_id, operation))

    async def retry_all(
        self, wanted: ResourceFilter, *, after: str = "", limit: int = 256, operation: str = ""
    ) -> RetriedResources:
        """The same for many resources."""
        return await self._once(operation, lambda: self._retry_all(wanted, after, limit, operation))

    async def replay(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 1000, operation: str = ""
    ) -> Replayed:
        """Make ended deliveries due again."""
        return await self._once(operation, lambda: self._replay(wanted, after, limit, operation))

    async def give_up(self, delivery_id: str, *, operation: str = "") -> bool:
        """Give up a delivery."""
        return await self._repair(self._steps.STOP, (await self._find_delivery(delivery_id),), operation)

    async def pause(self, endpoint: str, *, reason: str, operation: str = "") -> bool:
        """Hand out nothing to an endpoint."""
        return await self._repair(self._steps.PAUSE, (endpoint, reason), operation)

    async def resume(self, endpoint: str, *, operation: str = "") -> bool:
        """Go on with an endpoint."""
        return await self._repair(self._steps.RESUME, (endpoint,), operation)

    async def purge(self, *, limit: int, resource_id: str | None = None, operation: str = "") -> int:
        """Forget what may be forgotten."""
        return await self._once(operation, lambda: self._purge(limit, resource_id, operation))

    def audited(self, act: Act) -> AbstractContextManager[None]:
        """Record what is done within the context as one act."""
        return acts.audited(act)

    async def note(self, act: Act) -> None:
        """Record an act that no verb does."""
        await self._repair(self._steps.NOTE, (act,))

    async def _once(self, operation: str, steps_of_verb: Callable[[], Awaitable[R]]) -> R:
        """Take several steps as one *operation*: the first answer to it, where there is one."""
        if operation in self._answers:
            return cast("R", self._answers.get(operation))
        answer = await steps_of_verb()
        if operation:
            self._answers.keep(operation, answer, 0)
        return answer

    async def _retry(self, resource_id: str, operation: str) -> int:
        retried, after = 0, -1
        for part in operations_of_steps(operation):
            step = await self._repair(self._steps.RETRY, (resource_id, after), part)
            if step.ended:
                reopening = operation and f"{operation}/reopen"
                return await self._repair(self._steps.REOPEN, (resource_id,), reopening)
            retried += step.number
            after = step.after
            if after >= INDEX_MASK:
                break
        return retried

    async def _retry_all(self, wanted: ResourceFilter, after: str, limit: int, operation: str) -> RetriedResources:
        looking = operation and f"{operation}/found"
        found = await self._once(looking, lambda: self._find_resources(wanted, after, limit))
        return await (self._retry_open if wanted.state is State.OPEN else self._reopen)(found, operation)

    async def _retry_open(self, found: FoundResources, operation: str) -> RetriedResources:
        numbers = []
        for one, part in zip(found.resources, operations_of_steps(operation), strict=False):
            with suppress(Unknown, Ended, Damaged):  # it has gone or ended since, or its row is damaged
                numbers.append(await self._retry(one.resource_id, part))
        return RetriedResources(resources=len(numbers), packets=sum(numbers), after=found.after)

    async def _reopen(self, found: FoundResources, operation: str) -> RetriedResources:
        looked, resources, packets = 0, 0, 0
        for part in operations_of_steps(operation):
            if looked >= len(found.resources):
                break
            step = await self._repair(self._steps.REOPEN_ALL, (found.resources[looked:],), part)
            looked, resources, packets = looked + step.looked, resources + step.resources, packets + step.packets
            if step.refusal is not None and not resources:
                raise step.refusal
            if step.refusal is not None:
                after = found.behind(found.resources[looked - 1].resource_id)
                return RetriedResources(resources=resources, packets=packets, after=after)
        return RetriedResources(resources=resources, packets=packets, after=found.after)

    async def _replay(self, wanted: DeliveryFilter, after: str, limit: int, operation: str) -> Replayed:
        looking = operation and f"{operation}/found"
        delivery_rows, behind = await self._once(looking, lambda: self._find_deliveries(wanted, after, limit))
        number, dead, endpoints = 0, 0, frozenset[str]()
        for part in operations_of_steps(operation):
            if not delivery_rows:
                break
            step = await self._repair(self._steps.REPLAY, (delivery_rows, wanted.state), part)
            delivery_rows, number, dead = delivery_rows[step.looked :], number + step.number, dead + step.dead
            endpoints |= step.endpoints
        return Replayed(replayed=number, dead=dead, endpoints=endpoints, after=behind)

    async def _purge(self, limit: int, resource_id: str | None, operation: str) -> int:
        removed = 0
        for part in operations_of_steps(operation):  # what a person wants to be gone goes first
            step = await self._repair(self._steps.PURGE, (limit - removed, resource_id), part)
            removed, resource_id = removed + step.rows, None
            if not step.more or removed >= limit:
                break
        return removed
