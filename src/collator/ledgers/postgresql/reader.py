"""Looks at the store: connections of their own, which change nothing, so that looking never waits for a commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext

import asyncpg

from collator.errors import Unavailable
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, PASSING, in_words
from collator.ledgers.postgresql.step import Statements

LOOKS = 4
"""Looks at a time; others wait for one of them."""


class Reader:
    """Connections that read."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        statements: dict[str, str],
        *,
        away: Callable[[], str | None],
    ) -> None:
        """Open connections as they are needed, unless *away* says why the server cannot be reached."""
        self._connect, self._statements, self._away = connect, statements, away
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
        if (reason := self._away()) is not None:  # nobody waits in vain
            raise Unavailable(reason)
        try:
            connection = await self._take()
            try:
                yield connection
            except CONNECTION_ERRORS:
                connection.terminate()  # it may still wait for an answer
                raise
            finally:
                if self._closed or connection.is_closed() or connection.is_in_transaction():
                    connection.terminate()
                else:
                    self._idle.append(connection)
        except PASSING as error:
            raise Unavailable(f"the store cannot be read at the moment: {in_words(error)}") from None

    async def _take(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self._connect()
