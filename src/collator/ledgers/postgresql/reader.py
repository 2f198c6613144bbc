"""Looks at the store: connections of their own, which change nothing, so that looking never waits for a commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext

import asyncpg

from collator.errors import Unavailable
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, in_words
from collator.ledgers.postgresql.step import Statements

LOOKS = 4
"""Looks at a time; others wait for one of them."""


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
        async with self._turns, self._connected() as connection:
            snapshot = connection.transaction(isolation="repeatable_read", readonly=True)
            async with snapshot if whole else nullcontext():
                yield Statements(connection, self._statements)

    async def rows(self, name: str, *parameters: object) -> list[asyncpg.Record]:
        """The rows that the statement *name* gives, as a look of its own. `Unavailable`."""
        async with self.look() as look:
            return await look.rows(name, *parameters)

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        for connection in self._idle:
            connection.terminate()
        self._idle.clear()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        if self._closed:
            raise Unavailable("the store is closed")
        self._idle = [
            connection for connection in self._idle if not connection.is_closed()
        ]  # the server may be another
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                yield connection
            finally:
                if self._closed or connection.is_closed() or connection.is_in_transaction():
                    connection.terminate()
                else:
                    self._idle.append(connection)
        except CONNECTION_ERRORS as error:
            raise Unavailable(f"the store cannot be read at the moment: {in_words(error)}") from None
