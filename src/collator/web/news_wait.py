"""A request that waits for news: a hint ends the wait, and so does what cuts the request off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

from collator.errors import Unavailable
from collator.web.load import Load
from collator.web.request_body import HALF_CLOSED, ClientGone, RequestBody


class NewsWait:
    """The wait of one request."""

    def __init__(self, hint: asyncio.Event, draining: asyncio.Event, half_closed: asyncio.Event) -> None:
        """Use `waiting`."""
        self.client_gone = False
        self._hint, self._draining, self._half_closed = hint, draining, half_closed

    def is_cut_off(self) -> bool:
        """Return whether nobody reads what else comes, or the service stops."""
        return self.client_gone or self._half_closed.is_set() or self._draining.is_set()

    async def hinted(self, seconds: float) -> bool:
        """Return whether there is a hint, or an end, within so many *seconds*. Raises `ClientGone`."""
        try:
            async with asyncio.timeout(seconds):
                await self._hint.wait()
        except TimeoutError:
            return False
        if self.client_gone:
            raise ClientGone
        return True

    def look(self) -> None:
        """Say that a look begins: what is hinted from now on is news again."""
        self._hint.clear()


@asynccontextmanager
async def waiting(
    request: RequestBody, hinting: AbstractContextManager[asyncio.Event], *, load: Load, draining: asyncio.Event
) -> AsyncIterator[NewsWait]:
    """A wait of *request*, in a place of *load*; what *hinting* tells from now on is not missed, nor is an end."""
    half_closed = request.scope.setdefault(HALF_CLOSED, asyncio.Event())
    with load.instead(load.waits, request.who, retry_after=1.0), hinting as hint:
        wait = NewsWait(hint, draining, half_closed)

        async def gone() -> None:
            await request.gone()
            wait.client_gone = True

        ends = [asyncio.create_task(end) for end in (gone(), half_closed.wait(), draining.wait())]
        for end in ends:
            end.add_done_callback(lambda _: hint.set())
        try:
            yield wait
        finally:
            for end in ends:
                end.cancel()


def stopping() -> Unavailable:
    """The refusal of a wait while the service stops."""
    return Unavailable("the service is stopping; try again later", retry_after=5.0)
