"""The retry of one resource, and of many, on PostgreSQL (`collator.seams.upkeep`): in as many steps as it takes.

A verb that takes several steps gives each of them an operation of its own, so that it goes on where an answer was lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import TypeVar, cast

from collator.errors import Damaged, Ended, Unknown
from collator.ledgers.batching.answers import Answers
from collator.ledgers.postgresql import retry_views, steps
from collator.ledgers.postgresql.reader import Reader
from collator.ledgers.postgresql.writer import Writer
from collator.messages import ResourceFilter, RetriedResources
from collator.rules.resource import INDEX_MASK
from collator.states import State

R = TypeVar("R")


class RetryVerbs:
    """The verbs of a retry. The contract of each verb is in `collator.seams.upkeep`."""

    _answers: Answers
    _reader: Reader
    _upkeep: Writer

    async def retry(self, resource_id: str, *, operation: str = "") -> int:
        """New attempts for packets that have no output."""
        return await self._once(operation, lambda: self._retry(resource_id, operation))

    async def retry_all(
        self, wanted: ResourceFilter, *, after: str = "", limit: int = 256, operation: str = ""
    ) -> RetriedResources:
        """The same for many resources."""
        return await self._once(operation, lambda: self._retry_all(wanted, after, limit, operation))

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
        for part in parts_of(operation):
            step = await self._upkeep.call(steps.RETRY, (resource_id, after), operation=part)
            if step.ended:
                reopening = operation and f"{operation}/reopen"
                return await self._upkeep.call(steps.REOPEN, (resource_id,), operation=reopening)
            retried += step.number
            after = step.after
            if after == INDEX_MASK:
                break
        return retried

    async def _retry_all(self, wanted: ResourceFilter, after: str, limit: int, operation: str) -> RetriedResources:
        found = await self._once(operation and f"{operation}/found", lambda: self._find(wanted, after, limit))
        return await (self._retry_open if wanted.state is State.OPEN else self._reopen)(found, operation)

    async def _find(self, wanted: ResourceFilter, after: str, limit: int) -> retry_views.FoundResources:
        async with self._reader.look(whole=True) as look:
            return await retry_views.find(look, wanted, after, limit)

    async def _retry_open(self, found: retry_views.FoundResources, operation: str) -> RetriedResources:
        numbers = []
        for one, part in zip(found.resources, parts_of(operation), strict=False):
            with suppress(Unknown, Ended, Damaged):  # it has gone or ended since
                numbers.append(await self._retry(one.resource_id, part))
        return RetriedResources(resources=len(numbers), packets=sum(numbers), after=found.after)

    async def _reopen(self, found: retry_views.FoundResources, operation: str) -> RetriedResources:
        looked, resources, packets = 0, 0, 0
        for part in parts_of(operation):
            if looked >= len(found.resources):
                break
            step = await self._upkeep.call(steps.REOPEN_ALL, (found.resources[looked:],), operation=part)
            looked, resources, packets = looked + step.looked, resources + step.resources, packets + step.packets
            if step.refusal is not None and not resources:
                raise step.refusal
            if step.refusal is not None:
                after = found.behind(found.resources[looked - 1].resource_id)
                return RetriedResources(resources=resources, packets=packets, after=after)
        return RetriedResources(resources=resources, packets=packets, after=found.after)


def parts_of(operation: str) -> Iterator[str]:
    """Give the operations of the steps of a verb that takes several: none where it is none."""
    return (operation and f"{operation}/{number}" for number in count())
