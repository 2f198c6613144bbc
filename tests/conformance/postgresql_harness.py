"""The ledger on PostgreSQL under the suite: a database of its own for each test, whose clock only the test moves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from collator.messages.checks import Complaint
from collator.rules.resource import LedgerLimits
from tests.conformance.harness import Harness, Routing
from tests.servers import postgresql
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    import asyncpg

    from collator.ledgers.postgresql import PostgresqlLedger

T = TypeVar("T")

BEFORE = {"expire": 1}
"""Verbs that have other commits before the one that counts, and how many."""

START = 1_790_000_000.0
PATIENCE = 300.0
"""Seconds for a step; a check of a large store took more than 60 where others took both processors."""
_PREPARE = """
create table test_clock (at float8 not null);
create or replace function wall() returns float8 language sql volatile as 'select at from collator.test_clock';
create or replace function most_between_beats() returns float8 language sql immutable as 'select 0::float8';
"""
_EMPTY = """
do $$ declare name regclass; begin
  foreach name in array array[
    'node', 'writer', 'resource', 'superseded', 'packet', 'outcome', 'waiting', 'lease', 'attempt', 'delivery',
    'delivery_log', 'paused_endpoint', 'tombstone', 'audit', 'share', 'ledger', 'move', 'division', 'test_clock'
  ]::regclass[]
  loop
    if pg_relation_size(name) > 65536 then execute format('truncate %s', name);
    else execute format('delete from %s', name); end if;  -- 0.15 s less for all
  end loop;
end $$;
insert into test_clock values (START);
insert into ledger values (1, START, START, 0, 0, START, false);
select setval('turn', 0);
""".replace("START", str(START))
"""A store in which nothing ever was."""
_PASS = """
with c as (update test_clock set at = $1::float8), b as (update ledger set beat_at = beat_at + $2::float8)
update node set seen = seen + $2::float8
"""
"""It is $1, and all have beaten for $2 seconds."""


class Admin:
    """What tests do to the server beside the ledger, from outside of any event loop."""

    def __init__(self) -> None:
        """Start the server, if it is not there, and make a database to copy."""
        self.url = postgresql.server_url()
        self.port = urlsplit(self.url).port or 5432
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="postgresql-admin").start()
        self._number = 0
        self._free: list[asyncpg.Connection] = []
        self.prefix = f"collator_test_{threading.get_native_id()}"
        self.connection = self.run(self._begin())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for *work*."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def lend_database(self) -> asyncpg.Connection:
        """Connect to a database that is empty: one that was given back, or a copy of the template."""
        return self._free.pop() if self._free else self.run(self._copy())

    def take_back(self, database: asyncpg.Connection) -> None:
        """Check the database that was lent, and empty it."""
        try:
            assert not self.run(self._check(database))
        finally:
            self.run(database.execute(_EMPTY))
            self._free.append(database)

    async def _check(self, database: asyncpg.Connection) -> Sequence[Complaint]:
        from collator.ledgers.postgresql.check import check

        async with database.transaction(isolation="repeatable_read"):
            return (await check(database, "test")).complaints

    async def _copy(self) -> asyncpg.Connection:
        import asyncpg

        self._number += 1
        name = f"{self.prefix}_{self._number}"
        await self.connection.execute(f"create database {name} template {self.prefix}")
        return await asyncpg.connect(f"{self.url}/{name}", server_settings={"search_path": "collator"})

    async def _begin(self) -> asyncpg.Connection:
        import asyncpg

        from collator.ledgers.postgresql.schema import migrate

        connection = await asyncpg.connect(f"{self.url}/postgres")
        await connection.execute(f"create database {self.prefix}")
        other = await asyncpg.connect(f"{self.url}/{self.prefix}", server_settings={"search_path": "collator"})
        await migrate(other)
        await other.execute(_PREPARE + _EMPTY)
        await other.close()
        return connection


@cache
def admin() -> Admin:
    """The one of this run."""
    return Admin()


class ServerClock:
    """The clock of the server, as the ledger asks it."""

    def __init__(self, database: asyncpg.Connection) -> None:
        """Begin at a time of its own, in *database*."""
        self.at = START
        self._database = database

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Let time pass in which nodes beat, as the living do."""
        self._pass(seconds, beating=seconds)

    def stand_still(self, seconds: float) -> None:
        """Let time pass without a beat."""
        self._pass(seconds, beating=0.0)

    def jump_wall(self, seconds: float) -> None:
        """Never called: the server's clock is not the test's to set."""
        raise NotImplementedError

    def _pass(self, seconds: float, *, beating: float) -> None:
        self.at += seconds
        admin().run(self._database.execute(_PASS, self.at, beating))


class PostgresqlHarness(Harness["PostgresqlLedger"]):
    """A database."""

    name = "postgresql"
    max_nodes = 2
    brief = True
    clock: ServerClock

    def __init__(self, directory: Path) -> None:
        """Take a database that is empty."""
        self._database = admin().lend_database()
        self.clock = ServerClock(self._database)
        self._name = admin().run(self._database.fetchval("select current_database()"))
        self._proxies: dict[int, Proxy] = {}

    @property
    def url(self) -> str:
        """The address of the database."""
        return f"{admin().url}/{self._name}"

    @classmethod
    def needs(cls) -> str | None:
        """Return what is missing."""
        return postgresql.missing()

    async def open(self, ledger_limits: LedgerLimits, route: Routing) -> PostgresqlLedger:
        """Open the database as one more node."""
        from collator.ledgers.postgresql import open_ledger
        from collator.ledgers.postgresql.address import Address

        proxy = await Proxy.start(admin().port)
        address = Address(f"postgresql://collator@127.0.0.1:{proxy.port}/{self._name}")
        try:
            node = await open_ledger(address, ledger_limits=ledger_limits, route=route)
        except BaseException:
            await proxy.stop()
            raise
        self._proxies[node.node] = proxy
        return node

    async def stop(self, node: PostgresqlLedger) -> None:
        """Stop it in order."""
        await node.aclose()
        await self._proxies.pop(node.node).stop()

    async def kill(self, node: PostgresqlLedger) -> None:
        """Cut its connections; that it has not been heard of for long is known at once."""
        node.abandon()
        await self._proxies.pop(node.node).stop()
        admin().run(self._database.execute("update node set seen = '-infinity' where node = $1", node.node))

    def lose_answer(self, node: PostgresqlLedger, verb: str) -> None:
        """Cut the connection behind its commit, before the answer comes."""
        self._proxies[node.node].cut_after(BEFORE.get(verb, 0))

    def stand_still(self, seconds: float) -> None:
        """Let time pass without a beat."""
        self.clock.stand_still(seconds)

    def settings(self) -> Mapping[str, Any]:
        """Name the database, of a server that does not wait for its disk."""
        return {"ledger": f"{admin().url}/{self._name}", "ledger_durability": "relaxed"}

    async def connect(self) -> asyncpg.Connection:
        """Connect to the database, beside its nodes."""
        from collator.ledgers.postgresql.address import Address

        return await Address(self.url).connect()

    async def close(self) -> None:
        """See that the store is sound, and give it back."""
        admin().take_back(self._database)
