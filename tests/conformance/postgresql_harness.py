"""The ledger on PostgreSQL under the suite: a database of its own for each test, whose clock only the test moves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from collator.errors import Uncertain
from collator.rules.resource import LedgerLimits
from tests.conformance.harness import Harness, Routing
from tests.servers import postgresql

if TYPE_CHECKING:
    import asyncpg

    from collator.ledgers.postgresql import PostgresqlLedger

T = TypeVar("T")

START = 1_800_000_000.0
TEMPLATE = "collator_template"
_PREPARE = f"""
create table test_clock (at float8 not null);
insert into test_clock values ({START});
create or replace function wall() returns float8 language sql volatile as 'select at from collator.test_clock';
create or replace function most_between_beats() returns float8 language sql immutable as 'select 0::float8';
update ledger set clock = {START}, beat_at = {START}, ticked_at = {START};
"""


class Admin:
    """What tests do to the server beside the ledger, from outside of any event loop."""

    def __init__(self) -> None:
        """Start the server, if it is not there, and make a database to copy."""
        self.url = postgresql.server_url()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="postgresql-admin").start()
        self._number = 0
        self.prefix = f"collator_test_{threading.get_native_id()}"
        self.connection = self.run(self._begin())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for *work*."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def new_database(self) -> str:
        """Copy the template."""
        self._number += 1
        name = f"{self.prefix}_{self._number}"
        self.run(self.connection.execute(f"create database {name} template {self.prefix}"))
        return name

    async def _begin(self) -> asyncpg.Connection:
        import asyncpg

        from collator.ledgers.postgresql.schema import migrate

        connection = await asyncpg.connect(f"{self.url}/postgres")
        await connection.execute(f"create database {self.prefix}")
        other = await asyncpg.connect(f"{self.url}/{self.prefix}", server_settings={"search_path": "collator"})
        await migrate(other)
        await other.execute(_PREPARE)
        await other.close()
        return connection


@cache
def admin() -> Admin:
    """The one of this run."""
    return Admin()


class ServerClock:
    """The clock of the server, as the ledger asks it."""

    def __init__(self) -> None:
        """Begin at a time of its own."""
        self.at = START
        self.database: asyncpg.Connection | None = None

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Let time pass in which nodes beat, as the living do."""
        self.stand_still(seconds)
        self._execute(f"update ledger set beat_at = beat_at + {seconds}")
        self._execute(f"update node set seen = seen + {seconds}")

    def stand_still(self, seconds: float) -> None:
        """Let time pass without a beat."""
        self.at += seconds
        self._execute(f"update test_clock set at = {self.at!r}")

    def jump_wall(self, seconds: float) -> None:
        """Never called: the server's clock is not the test's to set."""
        raise NotImplementedError

    def _execute(self, statement: str) -> None:
        if self.database is not None:
            admin().run(self.database.execute(statement))


class PostgresqlHarness(Harness["PostgresqlLedger"]):
    """A database."""

    name = "postgresql"
    max_nodes = 2
    clock: ServerClock

    def __init__(self, directory: Path) -> None:
        """Copy a database that is empty."""
        import asyncpg

        self.clock = ServerClock()
        self._name = admin().new_database()
        self._url = f"{admin().url}/{self._name}"
        self.clock.database = admin().run(asyncpg.connect(self._url, server_settings={"search_path": "collator"}))
        self._nodes: list[PostgresqlLedger] = []

    @classmethod
    def needs(cls) -> str | None:
        """Return what is missing."""
        return postgresql.missing()

    async def open(self, ledger_limits: LedgerLimits, route: Routing) -> PostgresqlLedger:
        """Open the database as one more node."""
        from collator.ledgers.postgresql import open_ledger
        from collator.ledgers.postgresql.address import Address

        node = await open_ledger(Address(self._url), ledger_limits=ledger_limits, route=route)
        self._nodes.append(node)
        return node

    async def stop(self, node: PostgresqlLedger) -> None:
        """Stop it in order."""
        self._nodes.remove(node)
        await node.aclose()

    async def kill(self, node: PostgresqlLedger) -> None:
        """Cut its connections; that it has not been heard of for long is known at once."""
        self._nodes.remove(node)
        node.abandon()
        database = self.clock.database
        assert database is not None
        admin().run(database.execute("update node set seen = '-infinity' where node = $1", node.node))

    def lose_answer(self, node: PostgresqlLedger, verb: str) -> None:
        """Drop the answer of the verb."""
        answered = getattr(node, verb)

        async def unanswered(*given: Any, **options: Any) -> None:  # noqa: ANN401 - as the verb has it
            delattr(node, verb)
            await answered(*given, **options)
            raise Uncertain

        setattr(node, verb, unanswered)

    def stand_still(self, seconds: float) -> None:
        """Let time pass without a beat."""
        self.clock.stand_still(seconds)

    async def close(self) -> None:
        """Remove the database."""
        database = self.clock.database
        assert database is not None
        admin().run(database.close())
        admin().run(admin().connection.execute(f"drop database {self._name} with (force)"))
