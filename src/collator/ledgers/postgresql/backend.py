"""The ledger on PostgreSQL as a backend: a database, and the server that it is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import structlog
from prometheus_client import Gauge

from collator.clock import Clock
from collator.errors import CollatorError, Unavailable
from collator.ledgers.postgresql import server
from collator.ledgers.postgresql.address import address_of
from collator.ledgers.postgresql.ledger import PostgresqlLedger, open_ledger
from collator.metrics import Metrics
from collator.rules.resource import LedgerLimits
from collator.seams.backend import Routing
from collator.settings import Settings

log = structlog.get_logger("collator.ledger")


class PostgresqlBackend:
    """A database that is open; implements `collator.seams.backend.LedgerBackend`."""

    def __init__(self, ledger: PostgresqlLedger) -> None:
        """Use `open`."""
        self.ledger = ledger
        self.begun = ledger.begun
        self.behind = 0.0  # the server's clock is the one that counts

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
        """Open `Settings.ledger`. Raises what `address_of`, `server.examine` and `open_ledger` raise."""
        del clock, stood_still  # time is the server's, and what it is without a beat it finds itself
        address = address_of(settings)
        found = await server.examine(address)
        server.refuse_unfit(found, relaxed=settings.ledger_durability == "relaxed")
        log.info("opened the ledger on PostgreSQL", server=found.version, standby=found.standby)
        if settings.webhook is not None and settings.webhook_secret_file is None:
            log.warning("other nodes need the secret of this one: give all of them --webhook-secret-file")
        return cls(await open_ledger(address, ledger_limits=ledger_limits, route=route))

    def watch(self, metrics: Metrics) -> None:
        """Count commits, and show whether the server can be used."""
        self.ledger.watch(metrics.committed)
        usable = Gauge("collator_ledger_usable", "1 while the database can be used", registry=metrics.registry)
        usable.set_function(lambda: float(self.ledger.health() is None))

    def health(self) -> str | None:
        """The trouble with the server, in words; `None` while all is well."""
        return self.ledger.health()

    def refusal(self) -> Unavailable | None:
        """The error for all packets: they would wait for long; `None` otherwise."""
        return self.ledger.refusal()

    def lost(self) -> CollatorError | None:
        """Return nothing: a server that is away may come back."""
        return None

    async def aclose(self) -> None:
        """Close."""
        await self.ledger.aclose()
