"""How a test waits: for a condition, with a deadline, and never for time to pass."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Awaitable, Callable

import anyio

PAUSE = 0.002
PATIENCE = 60.0
"""Seconds that a condition has; generous, as machines that test are busy. Nothing waits for them to pass."""


async def until(predicate: Callable[[], object | Awaitable[object]], timeout: float = PATIENCE) -> None:
    """Return as soon as *predicate* holds, while the event loop goes on; fail after *timeout* seconds."""
    end = time.monotonic() + timeout
    while not (await found if inspect.isawaitable(found := predicate()) else found):
        assert time.monotonic() < end, f"not within {timeout:g} s"
        with anyio.move_on_after(PAUSE):
            await anyio.sleep_forever()


def until_sync(predicate: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Return as soon as *predicate* holds; fail after *timeout* seconds. For tests without an event loop."""
    end = time.monotonic() + timeout
    never = threading.Event()
    while not predicate():
        assert time.monotonic() < end, f"not within {timeout:g} s"
        never.wait(PAUSE)
