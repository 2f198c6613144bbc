"""Packets and deliveries (`collator.seams.packets`, `collator.seams.deliveries`), each verb a step of the writer.

Not here are the verbs that differ: what claims packets, and what reads a body.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from typing import Generic, TypeVar

from collator.ledgers.batching.answers import handed_out
from collator.ledgers.repair_verbs import RepairVerbs
from collator.ledgers.steps import StepWriter
from collator.messages import (
    Accepted,
    AnyResult,
    Attempt,
    Delivery,
    Group,
    Lease,
    Run,
    StepResult,
    output_size,
    packets_of,
)
from collator.seams.ledger import Capacity

W = TypeVar("W", bound=StepWriter)


class WorkVerbs(RepairVerbs, Generic[W]):
    """The verbs of the stages, and those of people. The contract of each is in the seams."""

    _writer: W
    """Of what packets and deliveries need."""

    @abstractmethod
    def pieces(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The frozen body, piece by piece."""

    async def accept(self, groups: Sequence[Group], *, capacity: int, operation: str = "") -> Accepted:
        """Store what the rules accept."""
        sizes = [len(packet.payload) for group in groups for packet in group]
        return await self._writer.call(
            self._steps.ACCEPT, (groups, capacity), size=len(sizes), weight=sum(sizes), operation=operation
        )

    async def record(self, reports: Sequence[AnyResult], *, capacity: Capacity, operation: str = "") -> StepResult:
        """Store outcomes; close what is finished."""
        return await self._writer.call(
            self._steps.RECORD,
            (reports, capacity),
            size=sum(map(packets_of, reports)),
            weight=output_size(reports),
            operation=operation,
        )

    async def renew(self, leases: Sequence[Lease]) -> Sequence[bool]:
        """Prolong leases."""
        return await self._writer.call(self._steps.RENEW, (leases,))

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back."""
        await self._writer.call(self._steps.RELEASE, (leases,))

    async def work_due(self) -> bool:
        """Return whether packets are due that nobody holds."""
        return await self._writer.call(self._steps.WORK_DUE, ())

    async def claim_deliveries(
        self, endpoint: str, *, capacity: int, large: bool = False, probe: bool = False, operation: str = ""
    ) -> Sequence[Delivery]:
        """Lease due deliveries."""
        arguments = (endpoint, capacity, large, probe)
        return await self._writer.call(self._steps.CLAIM_DELIVERIES, arguments, operation=operation)

    async def bring_forward(self, endpoint: str, *, within: float, large: bool = False) -> int:
        """Make due what waits."""
        return await self._writer.call(self._steps.BRING_FORWARD, (endpoint, within, large))

    async def body(self, delivery: Delivery) -> bytes:
        """The frozen body."""
        return b"".join([piece async for piece in self.pieces(delivery)])

    async def record_attempts(self, attempts: Sequence[Attempt]) -> Sequence[bool]:
        """Store how attempts ended."""
        return await self._writer.call(self._steps.SETTLE, attempts, size=len(attempts))

    def _take_back_orphaned(self, result: object) -> None:
        """Take back what was handed to a caller who has gone."""
        handed = handed_out(result)
        leases = [lease for item in handed for lease in (item.leases() if isinstance(item, Run) else [item.lease])]
        if leases:
            self._writer.post(self._steps.RELEASE, (leases,))
