"""The PostgreSQL ledgers of a list, among which resources are divided, opened as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from collator.clock import Clock
from collator.ledgers.postgresql.backend import PostgresqlBackend
from collator.ledgers.postgresql.division import Division
from collator.ledgers.slots.backend import SlottedBackend
from collator.rules.resource import LedgerLimits
from collator.seams.backend import LedgerBackend, Routing
from collator.settings import Settings


async def open_list(
    each: Sequence[Settings],
    *,
    ledger_limits: LedgerLimits,
    clock: Clock,
    route: Routing,
    stood_still: Callable[[], float],
) -> LedgerBackend:
    """The ledgers that *each* names, as one. Raises what `PostgresqlBackend.open` and `SlottedBackend.open` raise."""
    listed = ListedLedgers(each, clock=clock, route=route, stood_still=stood_still)
    return await SlottedBackend.open(listed, ledger_limits)


class ListedLedgers:
    """What is known of a list from those that are open; implements `collator.ledgers.slots.backend.LedgerList`."""

    def __init__(
        self, each: Sequence[Settings], *, clock: Clock, route: Routing, stood_still: Callable[[], float]
    ) -> None:
        """Nothing is open yet."""
        self._each, self._clock, self._route, self._stood_still = each, clock, route, stood_still
        self._opened: dict[int, PostgresqlBackend] = {}
        self._name = ""
        self.complete = False

    def __len__(self) -> int:
        """The number of ledgers."""
        return len(self._each)

    async def open(self, number: int, part: LedgerLimits) -> LedgerBackend:
        """Open the ledger *number* as the one that has this place in the list."""
        backend = await PostgresqlBackend.open(
            self._each[number],
            ledger_limits=part,
            clock=self._clock,
            route=self._route,
            stood_still=self._stood_still,
            division=Division(number, len(self), self._name, self.complete),
        )
        found = backend.ledger.division
        self._opened[number] = backend
        self._name, self.complete = found.name, self.complete or found.complete
        return backend

    async def make_complete(self) -> None:
        """Have all keep their places."""
        for backend in self._opened.values():
            await backend.complete_division()
        self.complete = True
