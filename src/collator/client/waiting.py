"""Waiting for the end of a resource: by looking, as what a service holds is the truth and everything else a hint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from collator.client.answer import Unreachable
from collator.states import State

SOONEST, LATEST = 0.01, 1.0
"""Seconds between two looks: a tenth of the time that has passed, within these."""
_SHARE = 0.1


async def ended(look: Callable[[], Awaitable[dict[str, Any]]], *, patience: float | None) -> dict[str, Any]:
    """What *look* says of a resource once that has ended.

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
        await asyncio.sleep(min(max(SOONEST, _SHARE * (now - started)), LATEST))
