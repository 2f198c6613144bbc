"""The side of a client of `children.Client`, for programs in the environment of the peers: nothing of Collator in it.

A client says that it is ready, then takes a load a line, a JSON array, and answers each with the monotonic seconds at
which all of it was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

Submit = Callable[[Any], Awaitable[Any]]
"""Hands over one unit of a load; returns once it is acknowledged."""


def loads() -> Iterator[list[Any]]:
    """Yield a load after the other; each is acknowledged when the next one is asked for."""
    print("ready", flush=True)
    for line in sys.stdin:
        yield json.loads(line)
        print(repr(time.monotonic()), flush=True)


async def feed(submit: Submit, *, at_once: int) -> None:
    """Submit what comes, so many units at a time."""
    coming = loads()
    while (load := await asyncio.to_thread(next, coming, None)) is not None:
        units = iter(load)
        await asyncio.gather(*(_each(units, submit) for _ in range(min(at_once, len(load)))))


async def _each(units: Iterator[Any], submit: Submit) -> None:
    for unit in units:
        await submit(unit)
