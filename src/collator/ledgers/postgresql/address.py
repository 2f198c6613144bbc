"""The address of a database, and connections to it."""

from __future__ import annotations

import asyncpg
import msgspec

from collator.errors import ConfigError
from collator.ledgers.postgresql.schema import SCHEMA
from collator.settings import Settings

TIMEOUT = 10.0
"""Seconds in which a connection has to be made."""
COMMAND_TIMEOUT = 60.0
"""Seconds after which a server that does not answer is given up: the end of a large resource takes some."""

_SESSION = f"""
set search_path to {SCHEMA};
set timezone to 'UTC';
set jit to off;
set statement_timeout to 0;
set lock_timeout to '30s';
set idle_in_transaction_session_timeout to '10s';
set tcp_keepalives_idle to 10;
set tcp_keepalives_interval to 5;
set tcp_keepalives_count to 3;
set plan_cache_mode to force_generic_plan;
"""
"""Set once connected, and not as it connects: PgBouncer lets nothing through that it does not know. A node that stands
still, or is cut off, holds no lock for longer than the timeouts say."""
_WRITER = """
set enable_seqscan to off;
set enable_hashjoin to off;
set enable_mergejoin to off;
set enable_bitmapscan to off;
set enable_material to off;
"""
"""Statements are planned once, maybe while the tables are empty: a scan of one that has grown took seconds. So each
statement of a step finds its rows by an index, and row by row."""
_READER = "set default_transaction_read_only to on;"


class Address(msgspec.Struct, frozen=True):
    """Where a database is, and how to be let in."""

    url: str
    password: str | None = None

    async def connect(self) -> asyncpg.Connection:
        """Make a connection for steps, to the server that takes changes where there are several."""
        return await self._connect("collator", _SESSION + _WRITER)

    async def connect_reader(self) -> asyncpg.Connection:
        """Make a connection for looks, which changes nothing."""
        return await self._connect("collator-reader", _SESSION + _READER)

    async def _connect(self, name: str, session: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self.url,
            password=self.password,
            timeout=TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            statement_cache_size=400,
            server_settings={"application_name": name},
            target_session_attrs="read-write",
        )
        try:
            await connection.execute(session)
        except BaseException:
            connection.terminate()
            raise
        return connection


def address_of(settings: Settings) -> Address:
    """The address that *settings* give. `ConfigError` where the password cannot be read."""
    return Address(settings.ledger, _password(settings))


def _password(settings: Settings) -> str | None:
    """The contents of the file of the password; without one, the driver looks into PGPASSFILE."""
    if settings.ledger_password_file is None:
        return None
    try:
        return settings.ledger_password_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--ledger-password-file: {settings.ledger_password_file}: {error}") from None
