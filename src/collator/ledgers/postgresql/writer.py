"""A writer: a connection, on which calls that come while a commit runs are committed together.

When a commit fails. *The connection is lost before the commit was asked for*: nothing of the group is stored, and every
caller is told. *It is lost while the commit runs*: the writer's own row says, once the server can be asked, whether the
step was taken; meanwhile every caller is told `Uncertain`. *A deadlock*: the group is committed again. *Anything else*:
the group is halved, and halved again, so that only the culprit is told. *It takes long*, as the server says nothing: no
caller waits for more than `PATIENCE`, or `PATIENCE_IN_LIST`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from copy import copy
from typing import Any, TypeVar

import asyncpg
import structlog

from collator.errors import Broken, Unavailable, Uncertain
from collator.ledgers.acts import ACTING
from collator.ledgers.batching.answers import Answers, Orphaned, resolve
from collator.ledgers.batching.calls import Call, Verb, fail_calls, refuse_calls
from collator.ledgers.batching.culprits import conclude, parts_of
from collator.ledgers.batching.groups import Groups
from collator.ledgers.postgresql.failures import (
    CONNECTION_ERRORS,
    NOT_CONNECTED,
    in_words,
    is_lost,
    is_transient,
    refused,
)
from collator.ledgers.postgresql.step import Step
from collator.ledgers.postgresql.steps import beside, execute, in_order
from collator.rules.resource import Snapshot
from collator.throttle import Throttle

log = structlog.get_logger("collator.ledger")

R = TypeVar("R")
S = TypeVar("S")

Connect = Callable[[], Awaitable[asyncpg.Connection]]
Begin = Callable[[asyncpg.Connection], Step]
Committed = Callable[[float, int], None]
"""Is told of each commit: its seconds, and how many items it had."""
Touched = Callable[[Sequence[Iterable[Snapshot]]], None]

AGAIN = 5
"""Commits of one group that may fail in a deadlock."""
STALLED = 3.0
"""Seconds after which a group that is not committed yet shows that the server does not answer."""
PATIENCE = 10.0
"""Seconds after which the callers of such a group are told that its answer is uncertain, and others that they come in
vain. The group goes on: its end tells who asks again."""
PATIENCE_IN_LIST = STALLED + 0.2
"""The same in a list of ledgers: as soon as this one counts as away, so that what concerns others too does not wait."""


class Writer:
    """A connection that commits groups of calls, one after the other."""

    def __init__(
        self, number: int, *, connect: Connect, begin: Begin, answers: Answers, touched: Touched, orphaned: Orphaned
    ) -> None:
        """Commit what is called; results whose caller has gone are passed to *orphaned*."""
        self.committed: Committed = lambda _seconds, _items: None
        self.trouble: str | None = None
        """Why nothing can be stored; `None` while all is well."""
        self.away = False
        """Whether that is because the server cannot be reached."""
        self.full = False
        """Whether that is because its disk is full."""
        self.patience = PATIENCE  # seconds, for each caller
        self._number, self._connect, self._begin = number, connect, begin
        self._touched, self._orphaned, self._answers = touched, orphaned, answers
        self._connection: asyncpg.Connection | None = None
        self._groups = Groups()
        self._steps = 0
        self._in_doubt: tuple[int, Sequence[Call]] | None = None  # a step whose commit was not answered
        self._began: float | None = None
        self._came = asyncio.Event()
        self._stopping = False
        self._throttle = Throttle()
        self._patience: asyncio.TimerHandle
        self._task = asyncio.create_task(self._run(), name=f"collator-writer-{number}")

    async def call(
        self,
        verb: Verb[Step, R],
        arguments: Any,  # noqa: ANN401 - the verb knows
        *,
        size: int = 1,
        weight: int = 0,
        operation: str = "",
    ) -> R:
        """Execute *verb*, with *size* items of *weight* bytes, in the next group that has room; its result, durable.

        Where *operation* was answered before, that answer.
        """
        if self._stopping:
            raise Unavailable("the store is closed")
        call = Call(verb, arguments, size, weight, operation=operation, act=ACTING.get())
        call.future = asyncio.get_running_loop().create_future()
        self._groups.waiting.append(call)
        self._came.set()
        result: R = await call.future
        return result

    def post(self, verb: Verb[Step, Any], arguments: Any) -> None:  # noqa: ANN401 - the verb knows
        """Execute *verb* in the next group; nobody waits for it."""
        self._groups.waiting.append(Call(verb, arguments))
        self._came.set()

    def stalled(self) -> str | None:
        """The reason why a call would wait for long, in words; `None` where it would not."""
        seconds = 0.0 if self._began is None else time.perf_counter() - self._began
        return f"the server has not answered for {seconds:.0f} s" if seconds >= STALLED else None

    async def stop(self) -> None:
        """End once all calls are done; who calls later is told so."""
        self._stopping = True
        self._came.set()
        await self._task
        if self._connection is not None:
            self._connection.terminate()

    def abandon(self) -> None:
        """End as a dying process does. For tests of what it leaves behind."""
        self._stopping = True
        self._task.cancel()
        if self._connection is not None:
            self._connection.terminate()

    async def _run(self) -> None:
        while True:
            while not self._groups.waiting:
                if self._stopping:
                    return
                self._came.clear()
                await self._came.wait()
            await self._take_group()

    async def _take_group(self) -> None:
        group = self._groups.take()
        self._began = began = time.perf_counter()
        self._wait_for(group, self.patience)
        try:
            connection = await self._ready()
            first, again = self._answers.split(group)
            self._groups.waiting += again
            await self._commit(connection, first)
            self._answers.keep_of(first)
            answered = [call for call in group if call not in again] if again else group
        except Unavailable as error:
            refuse_calls(group, error, doubted=self._in_doubt[1] if self._in_doubt is not None else ())
            answered = group
        except Exception as error:  # noqa: BLE001 - a waiter must never wait for ever
            log.critical("a writer failed", error=repr(error))
            fail_calls(group, Broken())
            answered = group
        self._patience.cancel()
        if self.stalled() and (self._connection is None or self._connection.is_closed()):
            self._refuse_behind(group)  # they have waited as long, and a new connection may take as long again
        self._began = None
        self.committed(time.perf_counter() - began, sum(call.size for call in group))
        resolve(answered, self._orphaned)

    def _wait_for(self, group: Sequence[Call], seconds: float) -> None:
        self._patience = asyncio.get_running_loop().call_later(seconds, self._lose_patience, group)

    def _lose_patience(self, group: Sequence[Call]) -> None:
        """Let nobody wait any longer for *group*, or behind it."""
        words = f"the store cannot be used at the moment: {self.stalled()}"
        for call in group:
            if call.future is not None and not call.future.done():
                call.future.set_exception(Uncertain(words))
        self._refuse_behind(group)
        self._wait_for(group, 1.0)

    def _refuse_behind(self, group: Sequence[Call]) -> None:
        """Let nobody wait behind *group*, for which the server takes too long."""
        behind, self._groups.waiting = self._groups.waiting, []
        words = f"the store cannot be used at the moment: {self.stalled()}"
        refuse_calls(behind, Unavailable(words), doubted=group)
        resolve(behind, self._orphaned)

    async def _ready(self) -> asyncpg.Connection:
        """Return the connection, opened anew where it was lost, once nothing is in doubt. `Unavailable`."""
        connection = self._connection
        try:
            if connection is None or connection.is_closed():
                connection = self._connection = await self._connect()
                await self._begin(connection).prepare()
            if self._in_doubt is not None:
                await self._clear_up(connection, *self._in_doubt)
            full = self.full and await self._is_full(connection)
        except (*NOT_CONNECTED, Unavailable) as error:
            if connection is not None:
                connection.terminate()
            self._tell(error)
            self.away = isinstance(error, Unavailable)  # of who connects
            raise Unavailable(self.trouble) from error
        if self.trouble is not None and not full:
            log.info("the store can be used again")
            self.trouble, self.away, self.full = None, False, False
            self._throttle.over()
        return connection

    async def _clear_up(self, connection: asyncpg.Connection, number: int, calls: Sequence[Call]) -> None:
        """Keep the answers of *calls*, the step *number*, if it was committed after all."""
        step = self._begin(connection)
        last = await step.value("last_step", step.node, self._number)  # waits for a commit that still goes on
        if last == number:
            self._answers.keep_of(calls)
        self._in_doubt = None

    async def _is_full(self, connection: asyncpg.Connection) -> bool:
        """Return whether the disk is full still: what changes something may find room where what is new finds none."""
        step = self._begin(connection)
        try:
            await step.begin()
            await step.run("take_space")
        except asyncpg.DiskFullError:
            return True
        finally:
            await step.roll_back()
        return False

    async def _commit(self, connection: asyncpg.Connection, group: Sequence[Call]) -> None:
        """Commit *group*, and nothing of it twice: what fails is told or tried again only of what is not committed."""
        if not group:
            await self._begin(connection).roll_back()  # what the commit before may have begun
            return
        again = AGAIN
        while again:
            again -= 1
            try:
                await self._commit_once(connection, group)
            except Uncertain as error:
                fail_calls(group, error)
            except Exception as error:  # noqa: BLE001 - whatever it is, only the culprit may suffer
                if is_transient(error) and again:
                    continue
                await self._fail(connection, group, error)
            again = 0

    async def _fail(self, connection: asyncpg.Connection, group: Sequence[Call], error: Exception) -> None:
        """Tell those of *group* whom *error* concerns, and commit what the others called."""
        if is_lost(error):
            connection.terminate()  # the next may be to another server
            self._tell(error)
            fail_calls(group, Unavailable(self.trouble))
            return
        if (words := refused(error)) is not None:
            self._tell(error)
            fail_calls(group, words)
            return
        parts = parts_of(group)
        for part in parts:
            await self._commit(connection, part)
        conclude(group, parts, error)

    async def _commit_once(self, connection: asyncpg.Connection, group: Sequence[Call]) -> None:
        step = self._begin(connection)
        number = self._steps = self._steps + 1
        try:
            await step.begin()
            parts = in_order(group)
            step.beside = beside(parts)
            for calls in parts:
                await execute(step, calls)
            if not (step.changes or step.wrote):
                await step.roll_back()  # of what changed nothing, no answer can be lost
                return
        except CONNECTION_ERRORS:
            raise  # nothing to roll back: the connection is given up
        except BaseException:
            await step.roll_back()
            raise
        try:
            await step.commit(self._number, number, more=bool(self._groups.waiting))
        except (*CONNECTION_ERRORS, asyncpg.OperatorInterventionError) as error:  # it may be cancelled once it is done
            self._tell(error)
            connection.terminate()
            self._in_doubt = number, [copy(call) for call in group]  # their callers are told otherwise
            raise Uncertain from error
        except asyncpg.PostgresError:
            await step.roll_back()
            raise
        if step.touched:
            self._touched(step.touched)

    def _tell(self, error: Exception) -> None:
        self.full = isinstance(error, asyncpg.DiskFullError)
        self.trouble = f"the store cannot be used at the moment: {in_words(error)}"
        if times := self._throttle.times():
            log.error("the store cannot be used", error=repr(error), times=times)
