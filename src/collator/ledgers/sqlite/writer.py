"""The writer thread: verbs that are called while a commit runs are gathered and committed together.

One thread owns the writing connection. There is no timer: an idle ledger commits a call at once, a busy one commits
all calls that came meanwhile as one group, each verb's calls as one batch, and wakes the event loop once. Upkeep
gives way: its calls are committed alone, each between two groups of the others, and their steps are short (`slices`).

When a commit fails. *The disk* (I/O error, full): nobody in the group has anything, so every caller is told. A failed
fsync leaves the state of the page cache unknown, so nothing is written any more until a restart. *Anything else*: the
group is halved, and halved again, so that only the culprit is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw
import structlog

from collator.errors import Broken, CollatorError, ReadOnly, StorageFull, Unavailable
from collator.ledgers.sqlite.answers import Answers
from collator.ledgers.sqlite.audit import ACTING
from collator.ledgers.sqlite.log import Log
from collator.ledgers.sqlite.presence import Presence
from collator.ledgers.sqlite.reserve import Reserve
from collator.ledgers.sqlite.store import Store
from collator.ledgers.sqlite.verbs import Call, Verb, batches, execute, fail_calls
from collator.throttle import Throttle

log = structlog.get_logger("collator.ledger")

MAX_GROWTH = 1024
"""New packets in one commit; further calls wait for the next. Outcomes and claims are never held back, so that what
comes in cannot outrun what goes out: packets are handed out as they are stored instead of piling up behind it."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of payloads and outputs in one commit, or those of a single call; further calls wait for the next. A commit
of hundreds of MiB holds up all others for seconds, and its log is never shorter again than itself."""
R = TypeVar("R")

Committed = Callable[[float, int], None]
"""Is told of each commit, in the thread that commits: its seconds, and how many items it had."""

STALLED = 3.0
"""Seconds after which a group that is not committed yet shows that the disk is frozen, or the database locked."""
_DISK_ERRORS = (
    apsw.IOError,
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.ProtocolError,
)
_FSYNC_ERRORS = {apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC}


class Writer:
    """The thread that commits."""

    def __init__(
        self, store: Store, reserve: Reserve, presence: Presence, log: Log, *, orphaned: Callable[[Any], None]
    ) -> None:
        """Start the thread. Results whose caller has gone are passed to *orphaned*, on the event loop."""
        self.committed: Committed = lambda _seconds, _items: None
        self._store, self._reserve, self._presence, self._orphaned = store, reserve, presence, orphaned
        self._log = log
        self._throttle = Throttle()
        self._began: float | None = None  # when the group that is being committed was begun
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._held: list[Call] = []
        self._answers = Answers()
        self._gave_way = False  # whether the last group was a call that gives way
        self._broken: CollatorError | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="collator-writer", daemon=True)
        self._thread.start()

    async def call(
        self,
        verb: Verb[R],
        arguments: Any,  # noqa: ANN401
        *,
        size: int = 1,
        weight: int = 0,
        operation: str = "",
    ) -> R:
        """Execute *verb*, with *size* items of *weight* bytes, in the next group that has room; its result, durable.

        Where *operation* was answered before, that answer.
        """
        call = Call(verb, arguments, size, weight)
        call.operation = operation
        call.act = ACTING.get()
        call.loop = asyncio.get_running_loop()
        call.future = call.loop.create_future()
        self._queue.put(call)
        if self._stopped:
            self._refuse_late()
        result: R = await call.future
        return result

    def post(self, verb: Verb[Any], arguments: Any) -> None:  # noqa: ANN401
        """Execute *verb* in the next group; nobody waits for it."""
        self._queue.put(Call(verb, arguments))

    def writable(self) -> bool:
        """Whether anything may still be written: no fsync has failed, and the files are those that were opened."""
        return self._broken is None and self._presence.look() is None

    def health(self) -> str | None:
        """Return why no new packets are taken, in words; `None` while they are."""
        if self._broken is not None:
            return self._broken.detail
        trouble = self.stalled() or self._store.trouble
        return trouble or (StorageFull().detail if self._reserve.spent else None)

    def stalled(self) -> str | None:
        """Return why a call would wait for long or in vain, in words; `None` where it would not."""
        began = self._began
        seconds = 0.0 if began is None else time.perf_counter() - began
        if seconds >= STALLED:
            return f"nothing can be stored: the disk hangs or the database is locked, for {seconds:.0f} s"
        return self._presence.words

    def stop(self) -> None:
        """End the thread once all calls are done; who calls later is told so."""
        self._queue.put(None)
        self._thread.join()
        self._stopped = True
        self._refuse_late()

    def _refuse_late(self) -> None:
        late: list[Call] = []
        with contextlib.suppress(queue.Empty):
            while True:
                late += filter(None, [self._queue.get_nowait()])
        fail_calls(late, Unavailable("the store is closed"))
        self._answer(late)

    def _run(self) -> None:
        while (group := self._gather()) is not None:
            first, again = self._answers.split(group)
            self._held += again
            try:
                self._commit_or_fail(first)
            except BaseException as error:  # noqa: BLE001 - a waiter must never wait for ever
                log.critical("the writer failed", error=repr(error))
                fail_calls(first, Broken())
            self._answers.keep_of(first)
            self._answer([call for call in group if call not in again] if again else group)

    def _gather(self) -> list[Call] | None:
        """All calls that wait, but for what is beyond its share; `None` once all is done and the end was asked for."""
        calls, self._held = self._held, []
        while not (calls and self._queue.empty()):
            call = self._queue.get()
            if call is None:
                self._queue.put(None)
                break
            calls.append(call)
        growth = weight = 0
        group: list[Call] = []
        for call in self._turn(calls):
            growth += call.size if call.verb.grows else 0
            weight += call.weight
            many = call.verb.grows and growth > MAX_GROWTH and growth > call.size
            heavy = call.weight and weight > MOST_BYTES and weight > call.weight
            (self._held if many or heavy else group).append(call)
        return group or None

    def _turn(self, calls: list[Call]) -> list[Call]:
        """Those of *calls* whose turn it is: one that gives way, or all of the others. The rest is held."""
        patient = [call for call in calls if call.verb.gives_way]
        if not patient:
            self._gave_way = False
            return calls
        others = [call for call in calls if not call.verb.gives_way]
        self._gave_way = not (others and self._gave_way)
        self._held = others + patient[1:] if self._gave_way else patient
        return patient[:1] if self._gave_way else others

    def _commit_or_fail(self, group: list[Call]) -> None:
        if self._broken is None and self._reserve.spent and not self._reserve.restore():
            self._refuse_growth(group)
            group = [call for call in group if not call.verb.grows]
        if missing := self._presence.look():
            fail_calls(group, Unavailable(missing))
            return
        self._began = began = time.perf_counter()
        try:
            self._commit(group)
            if self._broken is None:
                self._log.shorten(sum(call.weight for call in group))
        finally:
            self._began = None
        self.committed(time.perf_counter() - began, sum(call.size for call in group))
        if missing := self._presence.look():  # it was written to what is lost with this process
            fail_calls(group, Unavailable(missing))

    def _refuse_growth(self, group: list[Call]) -> None:
        self._store.refused = True
        fail_calls([call for call in group if call.verb.grows], StorageFull())

    def _commit(self, group: list[Call]) -> None:
        """Commit *group*, and nothing of it twice: what fails is told or tried again only of what is not committed."""
        if self._broken is not None:
            fail_calls(group, self._broken)
            return
        if not group:
            return
        troubled = self._store.trouble
        try:
            with self._store.transaction():
                for calls in batches(group):
                    execute(self._store, calls)
        except apsw.FullError:
            self._on_full(group)
        except _DISK_ERRORS as error:
            self._on_disk_error(group, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, only the culprit may suffer
            self._bisect(group, error)
        else:
            if troubled and not self._store.trouble:
                log.info("the store is writable again")
                self._throttle.over()

    def _bisect(self, group: list[Call], error: Exception) -> None:
        if len(group) > 1:
            self._commit(group[: len(group) // 2])
            self._commit(group[len(group) // 2 :])
            return
        call, verb = group[0], group[0].verb
        if verb.split is not None and verb.join is not None and call.size > 1:
            parts = [Call(verb, arguments, (call.size + 1) // 2) for arguments in verb.split(call.arguments)]
            for part in parts:
                self._commit([part])
            failed = next((part.result for part in parts if isinstance(part.result, BaseException)), None)
            call.result = failed or verb.join([part.result for part in parts])
            return
        log.error("a call of the store failed", verb=verb.step.__name__, error=repr(error))
        call.result = Broken() if verb.isolate is None else verb.isolate(error)

    def _on_full(self, group: list[Call]) -> None:
        """Refuse what is new; what is in flight may use the reserve."""
        spent = self._reserve.spent
        if not spent:
            log.error("disk full; new packets are refused until space is free")
            self._reserve.spend()
        self._refuse_growth(group)
        rest = [call for call in group if not call.verb.grows]
        if spent and len(rest) == len(group):
            fail_calls(rest, StorageFull())
        else:
            self._commit(rest)

    def _on_disk_error(self, group: list[Call], error: apsw.Error) -> None:
        if getattr(error, "extendedresult", 0) in _FSYNC_ERRORS:
            log.critical("fsync failed; read-only until restart", error=repr(error))
            self._broken = ReadOnly(retry_after=60.0)
            fail_calls(group, self._broken)
        else:
            self._store.trouble = f"the store cannot be written at the moment: {_in_words(error)}"
            if times := self._throttle.times():
                log.error("the store cannot be written", error=repr(error), times=times)
            fail_calls(group, Unavailable(self._store.trouble))

    def _answer(self, group: list[Call]) -> None:
        loops = {call.loop for call in group}
        for loop in loops:
            if loop is not None:
                mine = [call for call in group if call.loop is loop]
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    loop.call_soon_threadsafe(self._resolve, mine)

    def _resolve(self, calls: Sequence[Call]) -> None:
        for call in calls:
            if call.act is not None and call.changed is not None and not isinstance(call.result, BaseException):
                call.act.changed += call.changed  # here, as a step that is undone and taken again changes nothing twice
                call.act.stored = True
            if call.future is None or call.future.done():
                self._orphaned(call.result)
            elif isinstance(call.result, BaseException):
                call.future.set_exception(call.result)
            else:
                call.future.set_result(call.result)


def _in_words(error: apsw.Error) -> str:
    match error:
        case apsw.BusyError():
            return "another process has locked the database"
        case apsw.ReadOnlyError():
            return f"the disk or the database is read-only ({error})"
        case _:
            return f"the disk fails ({error})"
