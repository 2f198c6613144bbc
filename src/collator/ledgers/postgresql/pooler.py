"""Poolers: one that gives a session to clients for a transaction at a time is refused.

Statements are prepared and settings are made once a connection. With such a pooler they would be there for others, and
gone for who made them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg

from collator.errors import ConfigError
from collator.ledgers.postgresql.failures import SHARED

_ROUNDS = 3
"""Comparisons: another client may take the session that two of ours would have got."""


async def refuse_pooled_transactions(
    connection: asyncpg.Connection, connect: Callable[[], Awaitable[asyncpg.Connection]]
) -> None:
    """Raise `ConfigError` where *connection*, and another that *connect* makes, are not to a session each."""
    first = await _session(connection)
    other = await connect()
    try:
        for _ in range(_ROUNDS):
            if await _session(other) == first or await _session(connection) != first:
                raise ConfigError(SHARED)
    finally:
        other.terminate()


async def _session(connection: asyncpg.Connection) -> int:
    """The process of the server that works for *connection*, asked in a transaction: it is one for all of that."""
    async with connection.transaction(readonly=True):
        return int(await connection.fetchval("select pg_backend_pid()"))
