"""The SQLite ledger as a backend: a data directory, and the disk that it is on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from prometheus_client import Gauge

from collator.clock import Clock
from collator.errors import CollatorError, Unavailable
from collator.ledgers.sqlite.disk import Disk
from collator.ledgers.sqlite.ledger import SqliteLedger, open_ledger
from collator.messages import Durability
from collator.metrics import Metrics
from collator.rules.resource import LedgerLimits
from collator.seams.backend import Routing
from collator.settings import Settings


class SqliteBackend:
    """A data directory that is open; implements `collator.seams.backend.LedgerBackend`."""

    def __init__(self, ledger: SqliteLedger, disk: Disk, *, risks: Sequence[str] = ()) -> None:
        """Keep *disk* from being filled by *ledger*, whose commits have *risks*."""
        self._risks = risks
        self.ledger = ledger
        self.begun = ledger.begun
        self.behind = ledger.behind
        self._disk = disk

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        ledger_limits: LedgerLimits,
        clock: Clock,
        route: Routing,
        stood_still: Callable[[], float],
    ) -> Self:
        """Open `Settings.data_dir`. Raises what `open_ledger` raises."""
        ledger = await open_ledger(
            settings.data_dir,
            ledger_limits=ledger_limits,
            clock=clock,
            route=route,
            stood_still=stood_still,
            synchronous=settings.unsafe_synchronous,
        )
        risks = () if settings.unsafe_synchronous == "full" else ("a power cut may lose the last commits: tests only",)
        return cls(ledger, Disk(settings.data_dir, keep=settings.min_free_disk), risks=risks)

    def watch(self, metrics: Metrics) -> None:
        """Count commits, and show the free space."""
        self.ledger.watch(metrics.committed)
        free = Gauge("collator_disk_free_bytes", "Free space on the disk of the store", registry=metrics.registry)
        free.set_function(self._disk.free)

    def health(self) -> str | None:
        """The trouble with the store, in words; `None` while all is well."""
        return self.ledger.health()

    def refusal(self) -> Unavailable | None:
        """The error for all packets: the disk is low, or they would wait for long; `None` otherwise."""
        return self._disk.low() or self.ledger.refusal()

    def risks(self) -> Sequence[str]:
        """Nothing, but in a test of the tests."""
        return self._risks

    async def durability(self) -> Durability:
        """A database on this machine, which no other has."""
        return Durability(store="SQLite", risks=self._risks)

    def lost(self) -> CollatorError | None:
        """Return the error to end with, where the files are gone."""
        return self.ledger.lost()

    async def aclose(self) -> None:
        """Close."""
        await self.ledger.aclose()
