"""A store under test, and one process after another that has it open.

No test names a ledger: what it drives is the `Ledger` protocol, opened by the table below. A new ledger is one more
line of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from collator.clock import Clock
from collator.ledgers.sqlite import open_ledger
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.testing import ManualClock

Route = Callable[[str], Sequence[str]]


class Opened(Ledger, Protocol):
    """A ledger of a process that can be killed."""

    def abandon(self) -> None:
        """Leave the store as a killed process leaves it: nothing of memory is written, no clean stop is marked."""
        ...


class Opener(Protocol):
    """Opens the ledger in a directory of its own."""

    async def __call__(
        self,
        data_dir: Path,
        *,
        ledger_limits: LedgerLimits,
        clock: Clock,
        route: Route,
        stood_still: Callable[[], float],
    ) -> Opened: ...


OPENERS: Mapping[str, Opener] = MappingProxyType({"sqlite": open_ledger})


class Store:
    """A store, and the one process at a time that has it open."""

    def __init__(self, opener: Opener, data_dir: Path) -> None:
        self.clock = ManualClock()
        self._opener = opener
        self._data_dir = data_dir
        self._ledger_limits = LedgerLimits()
        self._route: Route = default_route
        self._ledger: Opened | None = None
        self._stood_still = 0.0

    async def open(self, ledger_limits: LedgerLimits | None = None, *, route: Route | None = None) -> Ledger:
        """Open the ledger; limits and route stay for the processes to come."""
        self._ledger_limits, self._route = ledger_limits or self._ledger_limits, route or self._route
        self._ledger = await self._opener(
            self._data_dir,
            ledger_limits=self._ledger_limits,
            clock=self.clock,
            route=self._route,
            stood_still=lambda: self._stood_still,
        )
        return self._ledger

    def stand_still(self, seconds: float) -> None:
        """Let *seconds* pass in which nobody could act: the process was stopped, or the store took nothing."""
        self._stood_still += seconds
        self.clock.advance(seconds)

    async def reopen(self, *, down: float = 0.0) -> Ledger:
        """A clean stop, *down* seconds of rest, and a start."""
        await self.close()
        self.clock.advance(down)
        return await self.open()

    async def crash(self, *, down: float = 0.0) -> Ledger:
        """The process is gone with its memory; *down* seconds later another starts."""
        assert self._ledger is not None, "nothing is open"
        self._ledger.abandon()
        self._ledger = None
        self.clock.advance(down)
        return await self.open()

    async def close(self) -> None:
        """A clean stop."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            await ledger.aclose()


def default_route(_resource_id: str) -> Sequence[str]:
    """One endpoint for every resource."""
    return ["default"]
