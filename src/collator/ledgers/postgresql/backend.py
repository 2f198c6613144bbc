"""The ledger on PostgreSQL as a backend: a database, and the server that it is on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import asyncpg
import structlog

from collator.clock import Clock
from collator.errors import CollatorError, Unavailable
from collator.ledgers.postgresql import replication
from collator.ledgers.postgresql.address import address_of
from collator.ledgers.postgresql.division import ALONE, Division, complete
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, translated
from collator.ledgers.postgresql.ledger import PostgresqlLedger, open_ledger
from collator.ledgers.postgresql.server import Server
from collator.messages import Durability
from collator.metrics import Metrics
from collator.rules.resource import LedgerLimits
from collator.seams.backend import Routing
from collator.settings import Settings

log = structlog.get_logger("collator.ledger")


class PostgresqlBackend:
    """A database that is open; implements `collator.seams.backend.LedgerBackend`."""

    def __init__(self, ledger: PostgresqlLedger, server: Server) -> None:
        """Use `open`."""
        self._server = server
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
        division: Division = ALONE,
    ) -> Self:
        """Open `Settings.ledger`. Raises what `address_of`, `Server.examine` and `open_ledger` raise."""
        del clock, stood_still  # time is the server's, and what it is without a beat it finds itself
        server = Server(address_of(settings), relaxed=settings.ledger_durability == "relaxed")
        found = await server.examine()
        if settings.webhook is not None and settings.webhook_secret_file is None:
            log.warning("other nodes need the secret of this one: give all of them --webhook-secret-file")
        ledger = await open_ledger(server, ledger_limits=ledger_limits, route=route, division=division)
        backend = cls(ledger, server)
        durability = await backend.durability()
        log.info(
            "opened the ledger on PostgreSQL",
            server=found.version,
            replication=durability.replication,
            standbys=[standby.name for standby in durability.standbys],
        )
        return backend

    async def complete_division(self) -> None:
        """Make the place in the list final: all that are in it are open. Raises what `connect` raises."""
        connection = await self._server.connect()
        try:
            await complete(connection, self.ledger.division)
        except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            raise translated(error) from error
        finally:
            connection.terminate()

    def watch(self, metrics: Metrics) -> None:
        """Count commits."""
        self.ledger.watch(metrics.committed)

    def health(self) -> str | None:
        """The trouble with the server, in words; `None` while all is well."""
        return self.ledger.health()

    def refusal(self) -> Unavailable | None:
        """The error for all packets: they would wait for long; `None` otherwise."""
        return self.ledger.refusal()

    def risks(self) -> Sequence[str]:
        """The losses that were accepted, of the server as it answered last."""
        return self._server.risks()

    async def durability(self) -> Durability:
        """Ask the server, whichever it is at the moment."""
        async with self.ledger.look() as look:
            return await replication.durability(look, await self._server.look(look.connection))

    def lost(self) -> CollatorError | None:
        """Return nothing: a server that is away may come back."""
        return None

    async def aclose(self) -> None:
        """Close."""
        await self.ledger.aclose()
