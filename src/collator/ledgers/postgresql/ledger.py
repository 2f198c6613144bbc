"""The ledger on PostgreSQL (`collator.seams.ledger`): verbs are steps of a writer, views looks of the reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from itertools import islice
from typing import Any, Protocol, TypeVar

import asyncpg

from collator import __version__
from collator.errors import ConfigError, StorageFull, Unavailable, Uncertain
from collator.ledgers.batching.answers import Answers, operations_of_steps
from collator.ledgers.batching.calls import Verb
from collator.ledgers.hints import Hints
from collator.ledgers.node_name import node_name
from collator.ledgers.postgresql import deliveries, retry_views, steps
from collator.ledgers.postgresql.division import ALONE, Division, settle
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, translated
from collator.ledgers.postgresql.pieces import pieces_of
from collator.ledgers.postgresql.reader import Reader
from collator.ledgers.postgresql.schema import migrate
from collator.ledgers.postgresql.step import Statements, Step, load_statements
from collator.ledgers.postgresql.views import PostgresqlViews
from collator.ledgers.postgresql.writer import PATIENCE_IN_LIST, Committed, Writer
from collator.ledgers.repair_steps import FoundResources
from collator.ledgers.work_verbs import WorkVerbs
from collator.messages import Delivery, DeliveryFilter, ResourceFilter, Run, StepResult
from collator.rules.resource import LedgerLimits
from collator.seams.backend import Routing
from collator.seams.ledger import Capacity

R = TypeVar("R")

WORK, UPKEEP = 0, 1
"""The writers: what packets and deliveries need; and what time and people ask for, which holds up none of them."""

CLAIMS = 5
"""Claims of one call, where other nodes are just claiming all that wait."""
PAUSE = 0.005
"""Seconds between two of them: about as long as a commit takes."""


class Database(Protocol):
    """Makes connections: a `Server`, or in a test an `Address`."""

    async def connect(self) -> asyncpg.Connection:
        """Make a connection for steps."""
        ...

    async def connect_reader(self) -> asyncpg.Connection:
        """Make a connection for looks, which changes nothing."""
        ...


async def open_ledger(
    database: Database, *, ledger_limits: LedgerLimits, route: Routing, division: Division = ALONE
) -> PostgresqlLedger:
    """The ledger in *database*, as a new node. Raises `Unavailable`, `ConfigError` and `SchemaTooNew`.

    *route* gives the endpoints of a resource by its id, *division* its place among others.
    """
    try:
        connection = await database.connect()
        try:
            begun = await migrate(connection) == 0
            division = await settle(connection, division)
            statements = load_statements()
            if (directory := await connection.fetchval(statements["unfinished_move"])) is not None:
                raise ConfigError(
                    f"the move of {directory} into this ledger is not finished: run collator move again, or give it up "
                    "with collator move --give-up"
                )
            node = await connection.fetchval(statements["register_node"], node_name(), __version__)
        finally:
            connection.terminate()
    except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
        raise translated(error) from error
    ledger = PostgresqlLedger(
        database, statements, node, ledger_limits=ledger_limits, route=route, begun=begun, division=division
    )
    try:
        await ledger.enter()
    except BaseException:
        ledger.abandon()
        raise
    return ledger


class PostgresqlLedger(WorkVerbs[Writer], PostgresqlViews):
    """A database, open as one of its nodes. The contract of each verb is in `collator.seams.ledger`."""

    _steps = steps

    def __init__(
        self,
        database: Database,
        statements: dict[str, str],
        node: int,
        *,
        ledger_limits: LedgerLimits,
        route: Routing,
        begun: bool,
        division: Division,
    ) -> None:
        """Use `open_ledger`."""
        self.begun, self.node = begun, node
        self.division = division
        """Its place among others."""
        self._hints = Hints()
        self._answers = Answers()
        self._reader = Reader(database.connect_reader, statements, away=self._away)

        def begin(connection: asyncpg.Connection) -> Step:
            return Step(connection, statements, node=node, ledger_limits=ledger_limits, route=route)

        self._writers = [
            Writer(
                number,
                connect=database.connect,
                begin=begin,
                answers=self._answers,
                touched=self._hints.wake,
                orphaned=self._take_back_orphaned,
            )
            for number in (WORK, UPKEEP)
        ]
        self._writer, self._upkeep = self._writers
        if division.count > 1:
            self._writer.patience = PATIENCE_IN_LIST

    async def claim(self, *, capacity: int, operation: str = "") -> Sequence[Run]:
        """Lease due packets."""
        for part in islice(operations_of_steps(operation), CLAIMS):
            runs = await self._writer.call(steps.CLAIM, (capacity,), operation=part)
            if runs is not None:
                return runs
            await asyncio.sleep(PAUSE)
        return []

    async def expire(self, *, accepting: bool, limit: int, capacity: Capacity, operation: str = "") -> StepResult:
        """Close what time has ended."""
        with suppress(Uncertain):  # the next beat makes up for it
            await self._upkeep.call(steps.BEAT, (accepting,))
        return await self._upkeep.call(steps.EXPIRE, (limit, capacity), operation=operation)

    def pieces(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The frozen body, piece by piece."""
        return pieces_of(self._reader, delivery)

    def look(self) -> AbstractAsyncContextManager[Statements]:
        """The statements of one look at the server. `Unavailable`."""
        return self._reader.look()

    def watch(self, committed: Committed) -> None:
        """Tell *committed* of each commit from now on: its seconds and its size."""
        for writer in self._writers:
            writer.committed = committed

    def health(self) -> str | None:
        """The trouble with the store, in words; `None` while all is well."""
        return next((words for writer in self._writers if (words := writer.stalled() or writer.trouble)), None)

    def refusal(self) -> Unavailable | None:
        """The error for all packets while they would wait for long; `None` while they would not."""
        reason = self._writer.stalled() or self._writer.trouble
        if reason is None:
            return None
        return (StorageFull if self._writer.full else Unavailable)(reason, retry_after=2.0)

    async def _repair(self, verb: Verb[Step, R], arguments: tuple[Any, ...], operation: str = "") -> R:
        return await self._upkeep.call(verb, arguments, operation=operation)

    async def _find_resources(self, wanted: ResourceFilter, after: str, limit: int) -> FoundResources:
        async with self._reader.look(whole=True) as look:
            return await retry_views.find(look, wanted, after, limit)

    async def _find_deliveries(
        self, wanted: DeliveryFilter, after: str, limit: int
    ) -> tuple[Sequence[int], str | None]:
        async with self._reader.look(whole=True) as look:
            found = await deliveries.find_to_replay(look, wanted, after, limit)
        return found.delivery_rows(), found.after

    async def _find_delivery(self, delivery_id: str) -> int:
        async with self._reader.look() as look:
            return (await deliveries.locate(look, delivery_id))[0]

    def _away(self) -> str | None:
        return self._writer.trouble if self._writer.away else None

    async def enter(self) -> None:
        """Begin as a node."""
        await self._upkeep.call(steps.ENTER, ([WORK, UPKEEP],))

    async def aclose(self) -> None:
        """A clean stop: what this node holds is due at once."""
        await self._writer.stop()
        with suppress(Unavailable):  # else others find out that this node is gone
            await self._upkeep.call(steps.LEAVE, ())
        await self._upkeep.stop()
        self._reader.close()

    def abandon(self) -> None:
        """Stop as a dying process does: nothing is marked, memory is lost. For tests of what others find."""
        for writer in self._writers:
            writer.abandon()
        self._reader.close()
