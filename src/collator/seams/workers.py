"""THE SEAM to those who work: workers call the processor for leased packets and record what comes of it.

It keeps nothing that has to survive. What it is told is a hint: a lost hint costs time, never a packet, since
`Ledger.overdue` finds what was left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collator.messages import Key, Task


class Workers(Protocol):
    """Whoever processes packets."""

    def capacity(self) -> int:
        """Return how many more tasks it would take, leased, at this moment; 0 where it claims for itself."""
        ...

    def submit(self, tasks: Sequence[Task], keys: Sequence[Key] = ()) -> None:
        """Take *tasks*, which are leased to it, and the hint that the packets of *keys* are due. Never blocks."""
        ...

    def health(self) -> str | None:
        """Return why nothing is processed at the moment, in words; `None` while all is well."""
        ...

    async def run(self) -> None:
        """Work until cancelled."""
        ...

    async def drain(self, timeout: float) -> None:
        """Stop claiming; finish what can be finished within *timeout* seconds, and release the rest."""
        ...
