"""The ledger on SQLite under the suite: one process at a time has the directory, and its clock is given to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.ledgers.sqlite.bodies import Frame, assemble, framed_crc, inline_bodies
from collator.ledgers.sqlite.store import Store
from collator.rules.resource import LedgerLimits
from collator.states import State
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
        ledger = await open_ledger(
            self._directory,
            ledger_limits=ledger_limits,
            clock=self.clock,
            route=route,
            stood_still=lambda: self._stood_still,
            timer=self.clock.monotonic,  # a step does all that its limit allows, however busy the machine is
        )
        compare_after_commits(ledger._store)
        return ledger

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


def compare_after_commits(store: Store) -> None:
    """Have each commit of *store* followed by a look whether what is in memory of resources is what is stored."""
    transaction = store.transaction

    @contextmanager
    def compared() -> Iterator[None]:
        with transaction():
            yield
        cached = {one.key: one for one in store.resources}
        without_outputs = [msgspec.structs.replace(one, outputs=None) for one in cached.values()]
        assert without_outputs == store.snapshots("find_handles", [*cached])
        frames = {
            one.key: Frame(one.key, State.OPEN, b"", b"", framed_crc(b"", b""), one.done) for one in cached.values()
        }
        stored = inline_bodies(store, [*frames.values()])
        for key, one in cached.items():
            assert one.outputs is None or assemble(frames[key], *one.outputs) == stored[key]

    store.transaction = compared  # type: ignore[method-assign]
