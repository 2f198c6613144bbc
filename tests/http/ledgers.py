"""The stores of a test of the wire: on each ledger where the test has the fixture ``each_ledger``, else on SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from collator.testing import ManualClock
from tests.conformance.harness import Harness, LedgerClock
from tests.conformance.sqlite_harness import SqliteHarness


class Stores:
    """The stores of the test that runs, by the directory that the test names."""

    def __init__(self) -> None:
        self._opened: dict[Path, Harness[Any]] = {}
        self.kind: type[Harness[Any]] = SqliteHarness

    def at(self, directory: Path) -> Harness[Any]:
        """The store of *directory*, which a service may leave and the next find."""
        if directory not in self._opened:
            self._opened[directory] = self.kind(directory)
        return self._opened[directory]

    async def leave(self, directory: Path) -> None:
        """Remove that of *directory*, which no service has open."""
        await self._opened.pop(directory).close()

    async def close(self) -> None:
        """Remove all; the next test begins with SQLite."""
        opened, self._opened, self.kind = self._opened, {}, SqliteHarness
        for store in opened.values():
            await store.close()


STORES = Stores()


class ClockOfBoth(ManualClock):
    """The clock of a service, and that of its store, which go together."""

    def __init__(self, store: LedgerClock, *, wall: float | None = None) -> None:
        """Begin at the time of *store*, or at *wall*."""
        super().__init__(wall=store.wall() if wall is None else wall)
        self._store = store

    def advance(self, seconds: float) -> None:
        """Let time pass, for both."""
        super().advance(seconds)
        self._store.advance(seconds)
