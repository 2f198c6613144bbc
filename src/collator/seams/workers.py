"""THE SEAM to those who work: workers have the processor called for leased packets, and record what comes of it.

Contract, wherever the calls are made: in this process, in its children, or on machines behind a broker.

- *Nothing here survives.* The ledger is the truth and all else a hint. Workers also ask it without one, now and then: a
  lost hint costs time, never a packet.
- *Every packet that is taken* ends in one of three ways: its outcome is recorded, it is given back by
  `Ledger.release`, or its lease ends with these workers.
- *An outcome is kept* until the ledger has answered for it. Where the ledger is unavailable, or its answer is lost, the
  same outcome goes in again under the same lease.
- *A lease is renewed* by the workers that took it, in the process that has the ledger, until the outcome is recorded.
  No call outlasts its time limit, so none is renewed for ever.
- *A lost lease* (`renew` says so, or `LOST`), or a resource that has ended (`CLOSED`): the outcome changes nothing and
  is counted. Where the packet was not begun, and is within reach, it never is.
- *What comes late, twice or from elsewhere* changes nothing. An outcome counts for the call that is under way for its
  lease and, where calls are made in another process, only from the one that has the job (R30).
- *A worker that dies, or a call that outlasts its time,* has used up an attempt of the packet that it was in, and of no
  other; the others are called again. So a packet that kills its workers has failed at last.

The suite in `tests/workers` asks this of every kind. All methods are called on the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collator.messages import FailureReport, Run, WorkerReport


class Workers(Protocol):
    """Whoever processes packets: in this process, or on other machines."""

    def capacity(self) -> int:
        """The number of further packets, leased, that it would take now; 0 while full, blocked or drained.

        An answer reserves nothing: those who ask at the same time may each be given as much, so up to twice as much
        as there is capacity for may be handed out, and is taken.
        """
        ...

    def submit(self, runs: Sequence[Run]) -> None:
        """Take *runs*, which are leased to it. Never blocks.

        From here on the leases are the workers' to renew and to give back. Resources take turns: a packet does not
        wait for all that came before it of another resource. After `drain` they are still taken, and not begun.
        """
        ...

    def notify(self) -> None:
        """Take the hint that packets are due. Never blocks."""
        ...

    def health(self) -> str | None:
        """The reason why nothing is processed now, in words; `None` while all is well.

        It is told to those who ask without a token, and logged: nothing of a payload is in it.
        """
        ...

    def failures(self) -> Sequence[FailureReport]:
        """The attempts that failed of late, those with one cause as one, the latest first: a few at most."""
        ...

    def in_hand(self) -> int:
        """The number of packets for which the processor is being called, or which were sent to workers elsewhere."""
        ...

    def reports(self) -> Sequence[WorkerReport]:
        """The workers outside this process that are known, as they last described themselves; none for local ones."""
        ...

    async def run(self) -> None:
        """Work until cancelled. Without a `drain` before, what was taken is due again when its leases end."""
        ...

    async def drain(self, timeout: float) -> None:
        """Claim and begin nothing more; finish what runs within *timeout* seconds, record it, and release the rest.

        What was not begun is released at once, and has used up no attempt; nor has what still runs at the end, of
        which a late outcome changes nothing. It returns a moment behind *timeout* at the latest, though the ledger is
        unavailable: what it could not record or release is due again when its lease ends. `run` still runs meanwhile.
        """
        ...
