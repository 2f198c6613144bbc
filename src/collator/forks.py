"""Forks of this process: what a copy may not keep, and where it ends.

The user's code forks, by `multiprocessing` or by itself, and a copy has every descriptor of the original: a copy that
outlives it would hold the lock, the port, the database and the pipes. So each of those is made to mean the null device
in every copy. Its number stays taken, so that code that closes it later closes no file of the user's, and as that is
open for reading alone, nothing can be written to it and no lock be had on it: SQLite can do no harm in a copy.

A copy that returns from the function that forked would go on as a worker of ours; it ends there.

A signal to a copy waits until all of this is done. One that came before would be lost, as to a handler of ours that the
copy has no more, or reach the original, by the socket on which its event loop hears of signals; and `multiprocessing`
sends SIGTERM to processes that it has just made, and waits for their end.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self
from weakref import WeakSet

_KEPT: WeakSet[Kept] = WeakSet()
"""Of the whole process, as forks and their hooks are, and a hook cannot be taken back."""


class Kept:
    """Descriptors that no copy has, from the making of this until `release`, and while it is a context."""

    def __init__(self, descriptors: Callable[[], Iterable[int]] = tuple, *, first: Callable[[], object] = bool) -> None:
        """*descriptors* gives them, in the copy, after *first* was called there; neither may take a lock."""
        self._descriptors = descriptors
        self._first = first
        _KEPT.add(self)

    def release(self) -> None:
        """Let copies have them: they are closed, or will be before anything forks."""
        _KEPT.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def take_away(self) -> None:
        """Do so, in the copy."""
        self._first()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor in self._descriptors():
            with suppress(OSError):  # it is not open
                os.fstat(descriptor)
                os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)


def end_copy(original: int, error: BaseException | None = None) -> None:
    """End this process, unless it is the process *original*: at once, and with the exit code that *error* means."""
    if os.getpid() == original:
        return
    code = getattr(error, "code", None) if isinstance(error, SystemExit) else error
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))


_STOPS = (signal.SIGTERM, signal.SIGINT)
_masks = threading.local()
"""The signals that the thread which forks had blocked."""


def _hold_signals() -> None:
    if _KEPT:
        _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)


def _let_signals() -> None:
    if (before := _masks.__dict__.pop("before", None)) is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _take_away() -> None:
    for kept in [*_KEPT]:
        with suppress(Exception):  # whatever is left is no reason to let the others be
            kept.take_away()
    _let_signals()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    os.register_at_fork(before=_hold_signals, after_in_parent=_let_signals, after_in_child=_take_away)
