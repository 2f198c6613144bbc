"""Forks and signals: what is sent to a copy reaches it alone, however early it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from collator.forks import Kept

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")

EARLY = """
import os, signal, sys
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))  # before the hooks of forks.py
from collator.forks import Kept
from collator.signals import obey
signal.signal(signal.SIGTERM, lambda *_: print("the original was told"))
with Kept(first=obey):
    copy = os.fork()
    if not copy:
        signal.pause()
    print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]))
"""
"""A copy is told to stop at the first moment at which anything can run in it."""


@contextmanager
def blocked(number: signal.Signals) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def fork_and_ask() -> set[int]:
    """The signals that are blocked in a fork."""
    reader, writer = os.pipe()
    copy = os.fork()
    if not copy:
        os.write(writer, bytes(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))))
        os._exit(0)
    os.close(writer)
    os.waitpid(copy, 0)
    with os.fdopen(reader, "rb") as told:
        return {*told.read()}


def test_a_copy_that_is_told_to_stop_at_once_ends_and_the_original_hears_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split() == [str(-signal.SIGTERM)], done.stderr


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # said of every fork with threads since 3.12
def test_original_and_copy_have_the_signals_blocked_that_the_original_had() -> None:
    with Kept(), blocked(signal.SIGUSR1):
        assert fork_and_ask() >= {signal.SIGUSR1}
        assert fork_and_ask().isdisjoint({signal.SIGTERM, signal.SIGINT})
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()).isdisjoint({signal.SIGTERM, signal.SIGINT})
        with blocked(signal.SIGTERM):
            assert fork_and_ask() >= {signal.SIGTERM, signal.SIGUSR1}
