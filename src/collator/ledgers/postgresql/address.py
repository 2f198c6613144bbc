"""The address of a database, and connections to one of its hosts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import asyncpg
import msgspec

from collator.errors import ConfigError
from collator.file_watch import WatchedFile
from collator.ledgers.postgresql.schema import SCHEMA
from collator.settings import Settings
from collator.settings.postgresql import FILES, DatabaseUrl, Host, parse

TIMEOUT = 5.0
"""Seconds in which a connection has to be made to a host, before the next one is tried."""
COMMAND_TIMEOUT = 30.0
"""Seconds after which a server that does not answer is given up: the end of a large resource takes some."""
LOOK_TIMEOUT = 10.0
"""The same for a look, which a page of a view or a piece of a body is."""

_SESSION = f"""
set search_path to {SCHEMA};
set timezone to 'UTC';
set jit to off;
set statement_timeout to 0;
set lock_timeout to '30s';
set idle_in_transaction_session_timeout to '10s';
set tcp_keepalives_idle to 5;
set tcp_keepalives_interval to 2;
set tcp_keepalives_count to 3;
set tcp_user_timeout to '10s';
set plan_cache_mode to force_generic_plan;
"""
"""Set once connected, and not as it connects: PgBouncer lets nothing through that it does not know. A node that stands
still, or is cut off, holds no lock for longer than the timeouts say, also where the server waits for the rest of a
statement, or for its answer to be taken."""
_BY_INDEX = """
set enable_seqscan to off;
set enable_hashjoin to off;
set enable_mergejoin to off;
set enable_bitmapscan to off;
set enable_material to off;
"""
"""Statements are planned once, maybe while the tables are empty: a scan of one that has grown took seconds. So each
finds its rows by an index, and row by row. How statements are written for that: `statements.sql`."""
_READER = "set default_transaction_read_only to on;"


class Address(msgspec.Struct, frozen=True):
    """Where a database is, and how to be let in."""

    url: str
    password: Callable[[], str] | None = None
    """The password of this moment; `None`: the driver looks into PGPASSFILE."""

    @property
    def parts(self) -> DatabaseUrl:
        """The parts of the address."""
        return parse(self.url)

    async def connect(self, host: Host | None = None) -> asyncpg.Connection:
        """Make a connection for steps, to *host*, or the first one."""
        return await self._connect(host, "collator", _SESSION + _BY_INDEX, COMMAND_TIMEOUT)

    async def connect_reader(self, host: Host | None = None, *, whole_tables: bool = False) -> asyncpg.Connection:
        """Make a connection for looks, which changes nothing; a look at *whole_tables* may last as long as it does."""
        session = _SESSION + _READER if whole_tables else _SESSION + _BY_INDEX + _READER
        return await self._connect(host, "collator-reader", session, None if whole_tables else LOOK_TIMEOUT)

    async def _connect(self, host: Host | None, name: str, session: str, timeout: float | None) -> asyncpg.Connection:
        parts = self.parts
        host = host or parts.hosts[0]
        connection = await asyncpg.connect(
            parts.without_hosts,
            host=host.name,
            port=host.port,
            password=self.password,
            timeout=TIMEOUT,
            command_timeout=timeout,
            statement_cache_size=400,
            max_cached_statement_lifetime=0,  # else each is prepared and planned again every 5 minutes
            server_settings={"application_name": name},
            target_session_attrs="any",
        )
        try:
            await connection.execute(session)
        except BaseException:
            connection.terminate()
            raise
        return connection


def address_of(settings: Settings) -> Address:
    """The address that *settings* give. `ConfigError` where a file that it names cannot be read."""
    try:
        parameters = parse(settings.ledger).parameters
    except ValueError as error:
        raise ConfigError(f"--ledger: {error}") from None
    for name in FILES:
        if name in parameters and not Path(parameters[name]).is_file():
            raise ConfigError(f"--ledger: {name}: the file {parameters[name]} does not exist or cannot be read")
    if settings.ledger_password_file is None:
        return Address(settings.ledger)
    file = WatchedFile(settings.ledger_password_file, _password, what="--ledger-password-file", secret=True)
    return Address(settings.ledger, file.current)


def _password(text: str) -> str:
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password or "\0" in password:
        raise ConfigError("it has to contain the password, and nothing else")
    return password
