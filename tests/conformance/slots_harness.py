"""Two ledgers as one under the suite: two data directories of SQLite, which have one clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from collator.errors import Unavailable
from collator.ledgers.slots import SlottedLedger
from collator.ledgers.sqlite import SqliteLedger
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock
from tests.conformance.harness import Harness, Routing, drop_answer
from tests.conformance.sqlite_harness import SqliteHarness


class OnePart(NamedTuple):
    """One of the ledgers."""

    ledger: SqliteLedger
    refusal: Callable[[], Unavailable | None]


class SlotsNode(SlottedLedger):
    """The two ledgers as one, and each for itself."""

    def __init__(self, ledgers: list[SqliteLedger], *, task_lease: float, clock: ManualClock) -> None:
        """Divide among *ledgers*."""
        super().__init__(
            [OnePart(ledger, ledger.refusal) for ledger in ledgers], task_lease=task_lease, now=clock.monotonic
        )
        self.opened = ledgers


class SlotsHarness(Harness[SlotsNode]):
    """Two data directories."""

    name = "slots"
    wall_jumps = True
    brief = True
    divided = True
    chosen = frozenset({"test_endpoints", "test_lost_answers", "test_machine", "test_suspects", "test_views"})
    clock: ManualClock

    def __init__(self, directory: Path) -> None:
        """Take two directories in *directory*."""
        self._stores = [SqliteHarness(directory / str(number)) for number in range(2)]
        self.clock = self._stores[0].clock
        self._stores[1].clock = self.clock

    async def open(self, ledger_limits: LedgerLimits, route: Routing) -> SlotsNode:
        """Open both."""
        opened: list[SqliteLedger] = []
        try:
            for store in self._stores:
                opened += [await store.open(ledger_limits, route)]
        except BaseException:
            for ledger in opened:
                await ledger.aclose()
            raise
        return SlotsNode(opened, task_lease=ledger_limits.task_lease, clock=self.clock)

    async def stop(self, node: SlotsNode) -> None:
        """Close both."""
        for ledger in node.opened:
            await ledger.aclose()

    async def kill(self, node: SlotsNode) -> None:
        """Leave the files of both as they are."""
        for ledger in node.opened:
            ledger.abandon()

    def lose_answer(self, node: SlotsNode, verb: str) -> None:
        """Drop the answer of the verb: that of the ledger that is asked last, or of any that is asked at all."""
        drop_answer(node, verb)

    def stand_still(self, seconds: float) -> None:
        """Count *seconds* as time in which the process could not act."""
        for store in self._stores:
            store.count_standstill(seconds)
        self.clock.advance(seconds)
