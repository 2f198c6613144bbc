"""THE SEAM to packets: what takes them in, and what hands them out to be processed.

The contract that all verbs share is that of `collator.seams.ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collator.messages import (
    Accepted,
    AnyResult,
    Counts,
    Group,
    Lease,
    Run,
    StepResult,
)
from collator.seams.capacity import Capacity


class PacketIntake(Protocol):
    """The way in: what the intake needs of a ledger."""

    async def accept(self, groups: Sequence[Group], *, capacity: int, operation: str = "") -> Accepted:
        """Store the packets of *groups* that the rules accept, each once; say which were not, and why (R4-R9).

        The first packet of an id that is unknown, and not remembered, opens a new generation of it. Packets of one
        group count one by one in order; between groups and between concurrent calls any order is right. At most
        *capacity* packets are handed out, and none while others wait for a worker: those come first.
        """
        ...

    async def counts(self) -> Counts:
        """The counts of the store."""
        ...


class WorkQueue(Protocol):
    """Packets that wait for the processor: what workers need of a ledger."""

    async def claim(self, *, capacity: int, operation: str = "") -> Sequence[Run]:
        """Lease up to *capacity* due packets of open resources, those of one resource as runs.

        Due is a packet that waits and whose time has come, or that was leased and whose lease has ended, which uses up
        an attempt. Fair: resources take turns, so that a resource of one packet never waits for the whole of another.
        A call may give fewer packets than *capacity*, though more are due: those that are handed out at any one time
        have up to `LedgerLimits.max_leased` bytes together. Where `LedgerLimits.hand_out_metadata` says so, a run, also
        one of `accept`, carries the metadata of its resource, as far as it is known.

        Suspects (`rules/suspects.py`) come first: packets that were leased, to be processed, when their node ended
        without a clean stop. One that was a suspect at more than `LedgerLimits.side_by_side` such ends comes alone:
        nothing is handed out beside it until it has ended, or was in work for `LedgerLimits.alone`, four times as long
        after each further end. One that was in work alone at `LedgerLimits.max_deaths` such ends has failed.
        """
        ...

    async def record(self, reports: Sequence[AnyResult], *, capacity: Capacity, operation: str = "") -> StepResult:
        """Store one outcome for each packet, and close what is now finished, all in the same step.

        `RunOutputs` are no more than an `Output` for each of their packets, and may be stored in part.

        An outcome counts once: who has lost the lease changes nothing and is told `LOST`; one for a resource that
        has ended is dropped and told `CLOSED` (R12). `Retry` makes the packet due again after its delay; where it is
        not `counted`, the next attempt has the number of this one, and the packet its place in order (R27). An output
        that would make the body larger than `LedgerLimits.max_body` fails its packet with that reason (R19). A resource
        that finishes (R10, R16) gets its closing time, its frozen body and one delivery for each endpoint.

        Where only a part of the store is away, results that concern it are told `UNAVAILABLE`: they are to be recorded
        again, by themselves and as the same operation.
        """
        ...

    async def renew(self, leases: Sequence[Lease]) -> Sequence[bool]:
        """Prolong *leases* on packets by `LedgerLimits.task_lease` from now. False for each that is no longer held."""
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back what was not worked on, packets and deliveries alike: due at once, no attempt used up."""
        ...
