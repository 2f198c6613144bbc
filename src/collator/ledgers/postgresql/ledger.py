"""The ledger on PostgreSQL (`collator.seams.ledger`): verbs are steps of a lane, views looks of the reader."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import TypeVar, cast

import asyncpg

from collator.errors import Unavailable, Uncertain
from collator.ledgers.batching.answers import Answers, handed_out
from collator.ledgers.hints import Hints
from collator.ledgers.postgresql import deliveries, steps
from collator.ledgers.postgresql.address import Address
from collator.ledgers.postgresql.audit import ACTING
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, in_words
from collator.ledgers.postgresql.lane import Committed, Lane
from collator.ledgers.postgresql.pieces import pieces_of
from collator.ledgers.postgresql.reader import Reader
from collator.ledgers.postgresql.schema import migrate
from collator.ledgers.postgresql.step import Step, load_statements
from collator.ledgers.postgresql.views import PostgresqlViews
from collator.messages import (
    Accepted,
    Act,
    Attempt,
    Delivery,
    DeliveryFilter,
    Group,
    Lease,
    Replayed,
    Result,
    Run,
    StepResult,
    output_size,
)
from collator.rules.resource import INDEX_MASK, LedgerLimits
from collator.seams.backend import Routing
from collator.seams.ledger import Capacity

R = TypeVar("R")

WORK, UPKEEP = 0, 1
"""The lanes: what packets and deliveries need; and what time and people ask for, which holds up none of them."""


async def open_ledger(address: Address, *, ledger_limits: LedgerLimits, route: Routing) -> PostgresqlLedger:
    """The ledger at *address*, as a new node. Raises `Unavailable`, and `SchemaTooNew`.

    *route* gives the endpoints of a resource by its id.
    """
    try:
        connection = await address.connect()
        try:
            begun = await migrate(connection) == 0
            statements = load_statements()
            node = await connection.fetchval(statements["register_node"])
        finally:
            connection.terminate()
    except CONNECTION_ERRORS as error:
        raise Unavailable(in_words(error)) from error
    ledger = PostgresqlLedger(address, statements, node, ledger_limits=ledger_limits, route=route, begun=begun)
    try:
        await ledger.enter()
    except BaseException:
        ledger.abandon()
        raise
    return ledger


class PostgresqlLedger(PostgresqlViews):
    """A database, open as one of its nodes. The contract of each verb is in `collator.seams.ledger`."""

    def __init__(
        self,
        address: Address,
        statements: dict[str, str],
        node: int,
        *,
        ledger_limits: LedgerLimits,
        route: Routing,
        begun: bool,
    ) -> None:
        """Use `open_ledger`."""
        self.begun, self.node = begun, node
        self._hints = Hints()
        self._answers = Answers()
        self._reader = Reader(address.connect_reader, statements)

        def begin(connection: asyncpg.Connection) -> Step:
            return Step(connection, statements, node=node, ledger_limits=ledger_limits, route=route)

        self._lanes = [
            Lane(
                number,
                connect=address.connect,
                begin=begin,
                answers=self._answers,
                touched=self._hints.wake,
                orphaned=self._take_back_orphaned,
            )
            for number in (WORK, UPKEEP)
        ]
        self._work, self._upkeep = self._lanes

    async def accept(self, groups: Sequence[Group], *, capacity: int, operation: str = "") -> Accepted:
        """Store what the rules accept."""
        size = sum([len(group) for group in groups])
        weight = sum([len(packet.payload) for group in groups for packet in group])
        return await self._work.call(steps.ACCEPT, (groups, capacity), size=size, weight=weight, operation=operation)

    async def claim(self, *, capacity: int, operation: str = "") -> Sequence[Run]:
        """Lease due packets."""
        return await self._work.call(steps.CLAIM, (capacity,), operation=operation)

    async def record(self, results: Sequence[Result], *, capacity: Capacity, operation: str = "") -> StepResult:
        """Store outcomes; close what is finished."""
        return await self._work.call(
            steps.RECORD, (results, capacity), size=len(results), weight=output_size(results), operation=operation
        )

    async def renew(self, leases: Sequence[Lease]) -> Sequence[bool]:
        """Prolong leases."""
        return await self._work.call(steps.RENEW, (leases,))

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back."""
        await self._work.call(steps.RELEASE, (leases,))

    async def expire(self, *, accepting: bool, limit: int, capacity: Capacity, operation: str = "") -> StepResult:
        """Close what time has ended."""

        with suppress(Uncertain):  # the next beat makes up for it
            await self._upkeep.call(steps.BEAT, (accepting,))
        return await self._upkeep.call(steps.EXPIRE, (limit, capacity), operation=operation)

    async def work_due(self) -> bool:
        """Return whether packets are due that nobody holds."""
        return await self._work.call(steps.WORK_DUE, ())

    async def claim_deliveries(
        self, endpoint: str, *, capacity: int, large: bool = False, probe: bool = False, operation: str = ""
    ) -> Sequence[Delivery]:
        """Lease due deliveries."""
        return await self._work.call(steps.CLAIM_DELIVERIES, (endpoint, capacity, large, probe), operation=operation)

    def pieces(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The frozen body, piece by piece."""
        return pieces_of(self._reader, delivery)

    async def body(self, delivery: Delivery) -> bytes:
        """The frozen body."""
        return b"".join([piece async for piece in pieces_of(self._reader, delivery)])

    async def record_attempts(self, attempts: Sequence[Attempt]) -> Sequence[bool]:
        """Store how attempts ended."""
        return await self._work.call(steps.SETTLE, attempts, size=len(attempts))

    async def complete(
        self,
        resource_id: str,
        *,
        total: int | None = None,
        force: bool = False,
        capacity: Capacity | None = None,
        operation: str = "",
    ) -> StepResult:
        """Fix the total, or close now."""
        arguments = (resource_id, total, force, capacity or {})
        return await self._upkeep.call(steps.COMPLETE, arguments, operation=operation)

    async def cancel(self, resource_id: str, *, operation: str = "") -> bool:
        """End without a webhook."""
        return await self._upkeep.call(steps.CANCEL, (resource_id,), operation=operation)

    async def retry(self, resource_id: str, *, operation: str = "") -> int:
        """New attempts for failed packets."""
        return await self._once(operation, lambda: self._retry(resource_id, operation))

    async def replay(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 1000, operation: str = ""
    ) -> Replayed:
        """Make ended deliveries due again."""
        return await self._once(operation, lambda: self._replay(wanted, after, limit, operation))

    async def give_up(self, delivery_id: str, *, operation: str = "") -> bool:
        """Give up a delivery."""
        async with self._reader.look() as look:
            delivery_row, _ = await deliveries.locate(look, delivery_id)
        return await self._upkeep.call(steps.STOP, (delivery_row,), operation=operation)

    async def pause(self, endpoint: str, *, reason: str, operation: str = "") -> bool:
        """Hand out nothing to an endpoint."""
        return await self._upkeep.call(steps.PAUSE, (endpoint, reason), operation=operation)

    async def resume(self, endpoint: str, *, operation: str = "") -> bool:
        """Go on with an endpoint."""
        return await self._upkeep.call(steps.RESUME, (endpoint,), operation=operation)

    async def purge(self, *, limit: int, resource_id: str | None = None, operation: str = "") -> int:
        """Forget what may be forgotten."""
        return await self._once(operation, lambda: self._purge(limit, resource_id, operation))

    @contextmanager
    def audited(self, act: Act) -> Iterator[None]:
        """Record what is done within the context as one act."""
        token = ACTING.set(act)
        try:
            yield
        finally:
            ACTING.reset(token)

    async def note(self, act: Act) -> None:
        """Record an act that no verb does."""
        await self._upkeep.call(steps.NOTE, (act,))

    def watch(self, committed: Committed) -> None:
        """Tell *committed* of each commit from now on: its seconds and its size."""
        for lane in self._lanes:
            lane.committed = committed

    def health(self) -> str | None:
        """The trouble with the store, in words; `None` while all is well."""
        return next((words for lane in self._lanes if (words := lane.stalled() or lane.trouble)), None)

    def refusal(self) -> Unavailable | None:
        """The error for all packets while they would wait for long; `None` while they would not."""
        reason = self._work.stalled() or self._work.trouble
        return None if reason is None else Unavailable(reason, retry_after=2.0)

    async def enter(self) -> None:
        """Begin as a node."""
        await self._upkeep.call(steps.ENTER, ())

    async def aclose(self) -> None:
        """A clean stop: what this node holds is due at once."""
        await self._work.stop()
        with suppress(Unavailable):  # else others find out that this node is gone
            await self._upkeep.call(steps.LEAVE, ())
        await self._upkeep.stop()
        self._reader.close()

    def abandon(self) -> None:
        """Stop as a dying process does: nothing is marked, memory is lost. For tests of what others find."""
        for lane in self._lanes:
            lane.abandon()
        self._reader.close()

    async def _once(self, operation: str, steps_of_verb: Callable[[], Awaitable[R]]) -> R:
        """Take several steps as one *operation*: the first answer to it, where there is one."""
        if operation in self._answers:
            return cast("R", self._answers.get(operation))
        answer = await steps_of_verb()
        if operation:
            self._answers.keep(operation, answer, 0)
        return answer

    async def _retry(self, resource_id: str, operation: str) -> int:
        retried, after = 0, -1
        for part in parts_of(operation):
            step = await self._upkeep.call(steps.RETRY, (resource_id, after), operation=part)
            retried += step.number
            after = step.after
            if after == INDEX_MASK:
                break
        return retried

    async def _replay(self, wanted: DeliveryFilter, after: str, limit: int, operation: str) -> Replayed:
        found = await self._once(operation and f"{operation}/found", lambda: self._find_to_replay(wanted, after, limit))
        delivery_rows, number, endpoints = found.delivery_rows(), 0, frozenset[str]()
        for part in parts_of(operation):
            if not delivery_rows:
                break
            step = await self._upkeep.call(steps.REPLAY, (delivery_rows, wanted.state), operation=part)
            delivery_rows, number = delivery_rows[step.looked :], number + step.number
            endpoints |= step.endpoints
        return Replayed(replayed=number, endpoints=endpoints, after=found.after)

    async def _find_to_replay(self, wanted: DeliveryFilter, after: str, limit: int) -> deliveries.Found:
        async with self._reader.look(whole=True) as look:
            return await deliveries.find_to_replay(look, wanted, after, limit)

    async def _purge(self, limit: int, resource_id: str | None, operation: str) -> int:
        removed = 0
        for part in parts_of(operation):  # what a person wants to be gone goes first
            step = await self._upkeep.call(steps.PURGE, (limit - removed, resource_id), operation=part)
            removed, resource_id = removed + step.rows, None
            if not step.more or removed >= limit:
                break
        return removed

    def _take_back_orphaned(self, result: object) -> None:
        """Take back what was handed to a caller who has gone."""
        handed = handed_out(result)
        leases = [lease for item in handed for lease in (item.leases() if isinstance(item, Run) else [item.lease])]
        if leases:
            self._work.post(steps.RELEASE, (leases,))


def parts_of(operation: str) -> Iterator[str]:
    """Give the operations of the steps of a verb that takes several: none where it is none."""
    return (operation and f"{operation}/{number}" for number in count())
