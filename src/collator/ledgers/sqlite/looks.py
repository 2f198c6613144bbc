"""The thread that looks at the store: who asks has it when all are done who asked before him.

It is no executor, whose futures, locks and work items were two thirds of the Python calls of a short look.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import apsw

from collator.errors import Damaged, Unavailable

R = TypeVar("R")

_MISREAD = (ValueError, OverflowError, OSError)  # the last two of a time
"""What a value that is not what was written comes to: no hexadecimal number, no time, no state."""


class StoreLook(NamedTuple):
    """A look for which somebody waits."""

    view: Callable[..., Any]
    arguments: Sequence[object]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    def answer(self, result: Any, error: Exception | None = None) -> None:  # noqa: ANN401 - any view's
        """Give who waits *result*, or *error*; from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self.loop.call_soon_threadsafe(_resolve, self.future, result, error)


class Looks:
    """The thread, and the looks that wait for it."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Look by *connection*. `close` it."""
        self.looking = threading.Lock()
        """Held by each look, so that who holds it knows that there is none."""
        self._connection = connection
        self._queue: queue.SimpleQueue[StoreLook | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="collator-reader", daemon=True)
        self._thread.start()

    async def ask(self, view: Callable[..., R], *arguments: object) -> R:
        """Call *view* in the thread; all its statements see the same commit.

        `Damaged` or `Unavailable` where the store cannot be read.
        """
        loop = asyncio.get_running_loop()
        look = StoreLook(view, arguments, loop, loop.create_future())
        self._queue.put(look)
        if self._closed:
            self._refuse_late()
        result: R = await look.future
        return result

    def close(self) -> None:
        """Finish what was asked for, and close the connection."""
        self._queue.put(None)
        self._thread.join()
        self._closed = True
        self._refuse_late()
        self._connection.close()

    def _run(self) -> None:
        while (look := self._queue.get()) is not None:
            if look.future.cancelled():
                continue
            try:
                look.answer(self._look(look.view, *look.arguments))
            except Exception as error:  # noqa: BLE001 - it is raised where the result is awaited
                look.answer(None, error)

    def _look(self, view: Callable[..., R], *arguments: object) -> R:
        try:
            with self.looking:
                self._connection.execute("begin")
                try:
                    return view(*arguments)
                finally:
                    self._connection.execute("commit")
        except (apsw.CorruptError, apsw.SQLError, *_MISREAD) as error:
            raise Damaged(f"the database is damaged: {error}") from error
        except apsw.Error as error:
            raise Unavailable(f"the store cannot be read at the moment: {error}") from error

    def _refuse_late(self) -> None:
        with suppress(queue.Empty):
            while (look := self._queue.get_nowait()) is not None:
                look.answer(None, Unavailable("the store is closed"))


def _resolve(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:  # noqa: ANN401
    if future.done():  # nobody waits any more
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
