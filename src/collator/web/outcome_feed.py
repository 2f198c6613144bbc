"""What becomes of one resource, told on a WebSocket: the events of it, as messages (R26).

As with server-sent events (`events`) what is told is read from the store, and nothing is kept but the place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from collator.errors import Conflict, Unavailable
from collator.interim import Interim
from collator.web.event_text import EventPage, Order, Place, ResourceEvent, interim_of, reset_of
from collator.web.events import BETWEEN, Events
from collator.web.stream_messages import event_message
from collator.web.websocket import WebSocket

_AGAIN = 1.0  # seconds until the store is looked at again where it could not be


class OutcomeFeed:
    """The outcomes of one resource, to one client."""

    def __init__(self, events: Events, socket: WebSocket, resource_id: str, *, after_seq: int) -> None:
        """Tell on *socket* what *events* know of the resource behind *after_seq*."""
        self._events, self._socket = events, socket
        self._resource_id = resource_id
        self._place = Place(after_seq)
        self._webhook_id: str | None = None
        self._shown = 0  # the number of the last interim output that was told

    async def run(self) -> None:
        """Tell of it until it has ended, and of the end. Raises `Removed`, `Damaged`."""
        loop = asyncio.get_running_loop()
        with self._events.hints(self._resource_id) as hint:
            hint.set()
            while not self._place.ended:
                await hint.wait()
                hint.clear()
                interim = self._events.interim(self._resource_id, after=self._shown)  # before the store, as in `Events`
                try:
                    more = await self._look(interim)
                except Unavailable:
                    more = False
                    loop.call_later(_AGAIN, hint.set)
                await self._socket.drain()
                if more:
                    hint.set()
                else:
                    await asyncio.sleep(BETWEEN - loop.time() % BETWEEN)

    async def _look(self, interim: Sequence[Interim]) -> bool:
        """Tell what there is, and *interim* before it; whether there is more."""
        try:
            page: EventPage | None = await self._events.look(
                (self._resource_id, Order.SEQ, self._place, self._webhook_id)
            )
        except Conflict as error:
            self._place, self._webhook_id = Place(0), None
            self._tell([reset_of(self._resource_id, error.detail)])
            return True
        if interim:
            self._shown = interim[-1].number
            self._tell([interim_of(self._resource_id, one) for one in interim])
        if page is None:
            return False
        self._place, self._webhook_id = page.place, page.webhook_id
        self._tell(page.events)
        return page.more

    def _tell(self, events: Sequence[ResourceEvent]) -> None:
        for event in events:
            self._socket.send(event_message(event))
