"""The retry of one resource, and of many, on SQLite (`collator.seams.upkeep`): in as many steps as it takes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from collator.errors import Damaged, Ended, Unknown
from collator.ledgers.sqlite import steps
from collator.ledgers.sqlite.reader import Reader
from collator.ledgers.sqlite.retry_views import Retryable
from collator.ledgers.sqlite.writer import Writer
from collator.messages import ResourceFilter, RetriedResources
from collator.rules.resource import INDEX_MASK
from collator.states import State

R = TypeVar("R")


class RetryVerbs:
    """The verbs of a retry. The contract of each verb is in `collator.seams.upkeep`."""

    _writer: Writer
    _reader: Reader

    async def retry(self, resource_id: str, *, operation: str = "") -> int:
        """New attempts for packets that have no output."""
        return await self._once(operation, lambda: self._retry(resource_id))

    async def retry_all(
        self, wanted: ResourceFilter, *, after: str = "", limit: int = 256, operation: str = ""
    ) -> RetriedResources:
        """The same for many resources."""
        return await self._once(operation, lambda: self._retry_all(wanted, after, limit))

    @abstractmethod
    async def _once(self, operation: str, steps_of_verb: Callable[[], Awaitable[R]]) -> R:
        """Take several steps as one *operation*."""

    async def _retry(self, resource_id: str) -> int:
        retried, after = 0, -1
        while after < INDEX_MASK:
            step = await self._writer.call(steps.RETRY, (resource_id, after))
            if step.ended:
                return await self._writer.call(steps.REOPEN, (resource_id,))
            retried += step.number
            after = step.after
        return retried

    async def _retry_all(self, wanted: ResourceFilter, after: str, limit: int) -> RetriedResources:
        found = await self._reader.ask(self._reader.unfinished.find, wanted, after, limit)
        return await (self._retry_open(found) if wanted.state is State.OPEN else self._reopen(found))

    async def _retry_open(self, found: Retryable) -> RetriedResources:
        numbers = []
        for one in found.resources:
            with suppress(Unknown, Ended, Damaged):  # it has gone or ended since, or its row is damaged
                numbers.append(await self._retry(one.resource_id))
        return RetriedResources(resources=len(numbers), packets=sum(numbers), after=found.after)

    async def _reopen(self, found: Retryable) -> RetriedResources:
        looked, resources, packets = 0, 0, 0
        while looked < len(found.resources):
            step = await self._writer.call(steps.REOPEN_ALL, (found.resources[looked:],))
            looked, resources, packets = looked + step.looked, resources + step.resources, packets + step.packets
            if step.refusal is not None and not resources:
                raise step.refusal
            if step.refusal is not None:
                after = found.behind(found.resources[looked - 1].resource_id)
                return RetriedResources(resources=resources, packets=packets, after=after)
        return RetriedResources(resources=resources, packets=packets, after=found.after)
