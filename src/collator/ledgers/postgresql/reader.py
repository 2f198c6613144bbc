"""Looks at the store: connections of their own, which change nothing, so that looking never waits for a commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from collator.errors import Unavailable
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, in_words
from collator.ledgers.postgresql.step import Statements

LOOKS = 4
"""Looks at a time; others wait for one of them."""
TIMEOUT = 30.0
"""Seconds after which a look is given up."""


class Reader:
    """Connections that read."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], statements: dict[str, str]) -> None:
        """Open connections as they are needed."""
        self._connect, self._statements = connect, statements
        self._idle: list[asyncpg.Connection] = []
        self._turns = asyncio.Semaphore(LOOKS)
        self._closed = False

    @asynccontextmanager
    async def look(self, *, whole: bool = False) -> AsyncIterator[Statements]:
        """Give the statements of one look; all of them see the same commit where it is to be *whole*. `Unavailable`."""
        if self._closed:
            raise Unavailable("the store is closed")
        async with self._turns:
            try:
                connection = await self._open()
                try:
                    if whole:
                        async with connection.transaction(isolation="repeatable_read", readonly=True):
                            yield Statements(connection, self._statements)
                    else:
                        yield Statements(connection, self._statements)
                except BaseException:
                    if connection.is_in_transaction():
                        connection.terminate()
                    raise
                finally:
                    self._give_back(connection)
            except CONNECTION_ERRORS as error:
                raise Unavailable(f"the store cannot be read at the moment: {in_words(error)}") from None

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        for connection in self._idle:
            connection.terminate()
        self._idle.clear()

    async def _open(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self._connect()

    def _give_back(self, connection: asyncpg.Connection) -> None:
        if self._closed:
            connection.terminate()
        elif not connection.is_closed():
            self._idle.append(connection)
