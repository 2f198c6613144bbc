"""Waiting: for the end of a task; and for a resource, by looking, as only the service knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from collator.client.answer import Unreachable
from collator.states import State

SOONEST, LATEST = 0.01, 1.0
"""Seconds between two looks: a tenth of the time that has passed, within these."""
_SHARE = 0.1

R = TypeVar("R")
M = TypeVar("M", bound=Mapping[str, Any])


async def wait_for_end(work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
    """The task that did *work*, once it has ended in whatever way; never raises what it raised.

    Where this is cancelled, *work* is too, and how it ends then is dropped: asyncio would complain of its error.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        task.cancelled() or task.exception()
        raise
    return task


async def poll_until_ended(look: Callable[[], Awaitable[M]], *, patience: float | None) -> M:
    """Call *look* until its resource has ended, and return the last report.

    Raises what *look* raises; `Unreachable` only where there was no answer for *patience* seconds, `None` for never.
    """
    started = answered = time.monotonic()
    while True:
        now = time.monotonic()
        try:
            report = await look()
        except Unreachable:
            if patience is not None and now - answered >= patience:
                raise
        else:
            answered = now
            if report["state"] != State.OPEN:
                return report
        await asyncio.sleep(pause(now - started))


def pause(passed: float, *, least: float = 0.0) -> float:
    """Seconds until the next look, after *passed* seconds of looking; *least* where a service asked for so many."""
    return min(max(SOONEST, _SHARE * passed, least), LATEST)
