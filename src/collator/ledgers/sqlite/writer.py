"""The writer thread: verbs that are called while a commit runs are committed together (`collator.ledgers.batching`).

One thread owns the writing connection, and wakes the event loop once a group.

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
from collator.ledgers.acts import ACTING
from collator.ledgers.batching.answers import Answers, Orphaned, answer
from collator.ledgers.batching.calls import Call, Verb, batches, fail_calls
from collator.ledgers.batching.culprits import conclude, parts_of
from collator.ledgers.batching.groups import Groups
from collator.ledgers.sqlite.log import Log
from collator.ledgers.sqlite.presence import Presence
from collator.ledgers.sqlite.reserve import Reserve
from collator.ledgers.sqlite.steps import execute
from collator.ledgers.sqlite.store import Store
from collator.throttle import Throttle

log = structlog.get_logger("collator.ledger")

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

    def __init__(self, store: Store, reserve: Reserve, presence: Presence, log: Log, *, orphaned: Orphaned) -> None:
        """Start the thread. Results whose caller has gone are passed to *orphaned*, on the event loop."""
        self.committed: Committed = lambda _seconds, _items: None
        self._store, self._reserve, self._presence, self._orphaned = store, reserve, presence, orphaned
        self._log = log
        self._throttle = Throttle()
        self._began: float | None = None  # when the group that is being committed was begun
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._groups = Groups()
        self._answers = Answers()
        self._broken: CollatorError | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="collator-writer", daemon=True)
        self._thread.start()

    async def call(
        self,
        verb: Verb[Store, R],
        arguments: Any,  # noqa: ANN401
        *,
        size: int = 1,
        weight: int = 0,
        operation: str = "",
    ) -> R:
        """Execute *verb*, with *size* items of *weight* bytes, in the next group that has room; its result, durable.

        Where *operation* was answered before, that answer.
        """
        call = Call(verb, arguments, size, weight, operation=operation, act=ACTING.get())
        call.loop = asyncio.get_running_loop()
        call.future = call.loop.create_future()
        self._queue.put(call)
        if self._stopped:
            self._refuse_late()
        result: R = await call.future
        return result

    def post(self, verb: Verb[Store, Any], arguments: Any) -> None:  # noqa: ANN401
        """Execute *verb* in the next group; nobody waits for it."""
        self._queue.put(Call(verb, arguments))

    def writable(self) -> bool:
        """Return whether the store may be written: no fsync has failed, and the files are those that were opened."""
        return self._broken is None and self._presence.look() is None

    def health(self) -> str | None:
        """The reason why no new packets are accepted, in words; `None` while they are."""
        if self._broken is not None:
            return self._broken.detail
        trouble = self.stalled() or self._store.trouble
        return trouble or (StorageFull().detail if self._reserve.spent else None)

    def stalled(self) -> str | None:
        """The reason why a call would wait for long or in vain, in words; `None` where it would not."""
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
        answer(late, self._orphaned)

    def _run(self) -> None:
        while (group := self._gather()) is not None:
            first, again = self._answers.split(group)
            self._groups.waiting += again
            try:
                self._commit_or_fail(first)
            except BaseException as error:  # noqa: BLE001 - a waiter must never wait for ever
                log.critical("the writer failed", error=repr(error))
                fail_calls(first, Broken())
            self._answers.keep_of(first)
            answer([call for call in group if call not in again] if again else group, self._orphaned)

    def _gather(self) -> list[Call] | None:
        """The next group of all calls that have come; `None` once all is done and the end was asked for."""
        waiting = self._groups.waiting
        while not (waiting and self._queue.empty()):
            call = self._queue.get()
            if call is None:
                self._queue.put(None)
                break
            waiting.append(call)
        return self._groups.take() or None

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
                self._log.shorten(sum([call.weight for call in group]))
        finally:
            self._began = None
        self.committed(time.perf_counter() - began, sum([call.size for call in group]))
        if missing := self._presence.look():  # it was written to what is lost with this process
            fail_calls(group, Unavailable(missing))

    def _refuse_growth(self, group: Sequence[Call]) -> None:
        self._store.refused = True
        fail_calls([call for call in group if call.verb.grows], StorageFull())

    def _commit(self, group: Sequence[Call]) -> None:
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
            parts = parts_of(group)
            for part in parts:
                self._commit(part)
            conclude(group, parts, error)
        else:
            if troubled and not self._store.trouble:
                log.info("the store is writable again")
                self._throttle.over()

    def _on_full(self, group: Sequence[Call]) -> None:
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

    def _on_disk_error(self, group: Sequence[Call], error: apsw.Error) -> None:
        if getattr(error, "extendedresult", 0) in _FSYNC_ERRORS:
            log.critical("fsync failed; read-only until restart", error=repr(error))
            self._broken = ReadOnly(retry_after=60.0)
            fail_calls(group, self._broken)
        else:
            self._store.trouble = f"the store cannot be written at the moment: {_in_words(error)}"
            if times := self._throttle.times():
                log.error("the store cannot be written", error=repr(error), times=times)
            fail_calls(group, Unavailable(self._store.trouble))


def _in_words(error: apsw.Error) -> str:
    match error:
        case apsw.BusyError():
            return "another process has locked the database"
        case apsw.ReadOnlyError():
            return f"the disk or the database is read-only ({error})"
        case _:
            return f"the disk fails ({error})"
