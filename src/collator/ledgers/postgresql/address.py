"""The address of a database, and connections to it."""

from __future__ import annotations

import asyncpg
import msgspec

from collator.errors import ConfigError
from collator.ledgers.postgresql.schema import SCHEMA
from collator.settings import Settings

TIMEOUT = 10.0
"""Seconds in which a connection has to be made."""

_SESSION = {
    "search_path": SCHEMA,
    "application_name": "collator",
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": "0",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
    "plan_cache_mode": "force_generic_plan",
}
_WRITER = {
    # Statements are planned once, maybe while the tables are empty: a scan of one that has grown took seconds.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class Address(msgspec.Struct, frozen=True):
    """Where a database is, and how to be let in."""

    url: str
    password: str | None = None

    async def connect(self) -> asyncpg.Connection:
        """Make a connection for steps."""
        return await self._connect({**_SESSION, **_WRITER})

    async def connect_reader(self) -> asyncpg.Connection:
        """Make a connection for looks, which changes nothing."""
        return await self._connect({**_SESSION, "default_transaction_read_only": "on"})

    async def _connect(self, session: dict[str, str]) -> asyncpg.Connection:
        return await asyncpg.connect(
            self.url,
            password=self.password,
            timeout=TIMEOUT,
            statement_cache_size=400,
            server_settings=session,
            target_session_attrs="read-write" if "default_transaction_read_only" not in session else "any",
        )


def address_of(settings: Settings) -> Address:
    """The address that *settings* give. `ConfigError` where the password cannot be read."""
    return Address(settings.ledger, _password(settings))


def _password(settings: Settings) -> str | None:
    """What the file of the password holds; without one, the driver looks into PGPASSFILE."""
    if settings.ledger_password_file is None:
        return None
    try:
        return settings.ledger_password_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--ledger-password-file: {settings.ledger_password_file}: {error}") from None
