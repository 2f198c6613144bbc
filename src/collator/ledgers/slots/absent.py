"""A ledger of a list that could not be opened yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from collator.errors import CollatorError, Unavailable
from collator.messages import Durability
from collator.metrics import Metrics
from collator.seams.ledger import Ledger


class AbsentBackend:
    """It answers that it is away, and why; implements `collator.seams.backend.LedgerBackend`."""

    begun, behind = False, 0.0

    def __init__(self, error: CollatorError) -> None:
        """It could not be opened because of *error*."""
        self.error = error

    @property
    def ledger(self) -> Ledger:
        """There is none: `Unavailable`."""
        self._refuse()

    def watch(self, metrics: Metrics) -> None:
        """There is nothing to count."""

    def health(self) -> str | None:
        """The reason why it is not open."""
        return self.error.detail

    def refusal(self) -> Unavailable | None:
        """The same."""
        return Unavailable(self.error.detail, retry_after=2.0)

    def risks(self) -> Sequence[str]:
        """None are known."""
        return ()

    async def durability(self) -> Durability:
        """It is not known: `Unavailable`."""
        self._refuse()

    def lost(self) -> CollatorError | None:
        """It may be opened later."""
        return None

    async def aclose(self) -> None:
        """There is nothing to close."""

    def _refuse(self) -> NoReturn:
        raise Unavailable(self.error.detail, retry_after=2.0)
