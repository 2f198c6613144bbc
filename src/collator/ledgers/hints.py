"""Hints that a resource has news, for those who wait for it: the store is the truth, and a hint only wakes.

Steps lay down which resources they touched, batch by batch; after the commit those are woken who wait for one of them.
Who asks for hints before he looks misses nothing: what was committed before his look is seen, and the rest is hinted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from collator.rules.resource import Snapshot


class Hints:
    """The waiters of each resource. The writer's thread tells; everything else is of the event loop."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: dict[str, tuple[asyncio.Event, ...]] = {}  # values are replaced, as another thread reads them
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def of(self, resource_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at each commit that touches the resource, while the context is open."""
        self._loop = asyncio.get_running_loop()
        event = asyncio.Event()
        self._waiting[resource_id] = (*self._waiting.get(resource_id, ()), event)
        try:
            yield event
        finally:
            others = tuple(one for one in self._waiting[resource_id] if one is not event)
            if others:
                self._waiting[resource_id] = others
            else:
                del self._waiting[resource_id]

    def wake(self, touched: Sequence[Iterable[Snapshot]]) -> None:
        """Wake who waits for one of the resources that a commit *touched*."""
        if not self._waiting or self._loop is None:
            return
        ids = {snapshot.resource_id for snapshots in touched for snapshot in snapshots}
        events = [event for resource_id in ids for event in self._waiting.get(resource_id, ())]
        if events:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(_set, events)


def _set(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        event.set()
