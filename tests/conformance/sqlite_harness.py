"""The ledger on SQLite under the suite: one process at a time has the directory, and its clock is given to it."""

from __future__ import annotations

from pathlib import Path

from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock
from tests.conformance.harness import Harness, Routing, drop_answer


class SqliteHarness(Harness[SqliteLedger]):
    """A data directory."""

    name = "sqlite"
    wall_jumps = True
    clock: ManualClock

    def __init__(self, directory: Path) -> None:
        """Take *directory* for the data."""
        self.clock = ManualClock()
        self._directory = directory
        self._stood_still = 0.0

    async def open(self, ledger_limits: LedgerLimits, route: Routing) -> SqliteLedger:
        """Open the directory."""
        return await open_ledger(
            self._directory,
            ledger_limits=ledger_limits,
            clock=self.clock,
            route=route,
            stood_still=lambda: self._stood_still,
            timer=self.clock.monotonic,  # a step does all that its limit allows, however busy the machine is
        )

    async def stop(self, node: SqliteLedger) -> None:
        """Close it."""
        await node.aclose()

    async def kill(self, node: SqliteLedger) -> None:
        """Leave the files as they are; the next start finds that no clean stop is marked."""
        node.abandon()

    def lose_answer(self, node: SqliteLedger, verb: str) -> None:
        """Drop the answer of the verb: within a process none is lost by itself."""
        drop_answer(node, verb)

    def stand_still(self, seconds: float) -> None:
        """Count *seconds* as time in which the process could not act."""
        self.count_standstill(seconds)
        self.clock.advance(seconds)

    def count_standstill(self, seconds: float) -> None:
        """Count *seconds*, which the clock is moved by elsewhere."""
        self._stood_still += seconds
