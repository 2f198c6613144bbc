"""The signals to stop: SIGTERM and Ctrl-C everywhere; the end of the terminal, but under nohup; Ctrl-Break on Windows.

On Windows there is no SIGTERM from outside.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def stops() -> list[signal.Signals]:
    """The signals that tell this process to stop."""
    told = [signal.SIGTERM, signal.SIGINT]
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # there is none on Windows
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        told.append(hangup)
    return told


@contextmanager
def ending_on_stop(say: Callable[[], object]) -> Iterator[None]:
    """Have this process *say* so and end, with success, when it is told to stop; until `on_stop` has it do otherwise.

    For as long as there is nothing to finish, and the event loop may stand still behind an import of the user's code.
    Leaving it brings back the handlers that were there before, as the program may go on.
    """

    def end(*_: object) -> None:
        say()
        os._exit(0)

    before = {number: signal.signal(number, end) for number in stops()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not one of Python


def obey() -> None:
    """Have this process, a fork of one that does otherwise, end on these signals as any program does.

    `multiprocessing` ends its processes so; and what reached a fork would stop the original, whose event loop hears of
    signals by a socket that both have.
    """
    signal.set_wakeup_fd(-1)
    for number in stops():
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def cancel_on_stop() -> None:
    """Have the running task cancelled, as Ctrl-C does, whenever this process is told to stop: no child outlives it."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine calls this
    on_stop(task.cancel)


def on_stop(tell: Callable[[], object]) -> None:
    """Have *tell* called in the running event loop whenever this process is told to stop."""
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":  # its loops have no signal handlers
        for number in (*stops(), signal.SIGBREAK):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(tell))
    else:
        for number in stops():
            loop.add_signal_handler(number, tell)
