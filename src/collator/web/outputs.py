"""`GET /v1/resources/{id}/outputs`: what has come out of a resource, by index, or by `seq` for who follows it (R26).

By index it is a page of what is there, for resources that have ended: in one that grows, an index may still come that
is lower than those of the page before. By `seq` nothing is missed, and who finds nothing new may wait for it. What
wakes him is a hint; what he is told is read from the store.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec
from starlette.responses import StreamingResponse

from collator.errors import Unavailable
from collator.exchange import OutcomePage, OutcomeReport
from collator.ledger import Ledger
from collator.states import EndedBy, State
from collator.web.formats import JSON
from collator.web.incoming import HALF_CLOSED, Buffered, Gone, Incoming
from collator.web.limits import KIB
from collator.web.load import Load
from collator.web.problems import encode

_PAGE = 1000  # outputs that are in memory at a time: 50,000 small ones take 0.12 s, and 0.82 s in pages of 16 …
_PAGE_SIZE = 256 * KIB  # … and their bytes, or one that is larger: each may have 1 MiB
_COPIES = 2  # as a part of the answer, and as what waits in the connection for a client who reads slowly
_OVERHEAD = 100  # bytes of an outcome beside its output, about

Look = Callable[[int, int, str | None], Awaitable[OutcomePage]]
"""Takes where the page begins, how many outcomes it may have and the webhook id that the resource must have."""


class FailureView(msgspec.Struct, frozen=True):
    """How a packet has failed."""

    reason: str
    attempts: int
    """How many were made."""


class OutputView(msgspec.Struct, frozen=True):
    """An outcome: an output, or a failure."""

    seq: int
    """Its number: 1, 2, 3 … in the order in which the outcomes of the resource were recorded."""
    index: int
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """Any JSON value; not there where the packet has failed."""
    failed: FailureView | msgspec.UnsetType = msgspec.UNSET
    """Only there where the packet has failed, which is told to who asks by `after_seq`."""


class OutputsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Outputs of a resource in index order, or, by `after_seq`, its outcomes in the order of their `seq`."""

    webhook_id: str
    """That of this generation of the resource: another one, where its id was purged and opened anew."""
    state: State
    """As it was when the first of these outputs was read: in one that has ended nothing is added."""
    completed_by: EndedBy | None
    total: int | None
    outputs: Sequence[OutputView]
    next_cursor: str | None
    """Where the next page in index order begins; null where there is no more, for now."""
    after_seq: int | msgspec.UnsetType = msgspec.UNSET
    """By `after_seq`: where the next page begins."""
    more: bool | msgspec.UnsetType = msgspec.UNSET
    """By `after_seq`: whether anything more is there or may come; false at the end of a resource that has ended."""


class Outputs:
    """The outputs of resources."""

    def __init__(self, ledger: Ledger, *, draining: asyncio.Event, load: Load) -> None:
        """Read from *ledger*; let as many requests wait as *load* has places for, and none once it is *draining*."""
        self._ledger = ledger
        self._draining = draining
        self._load = load
        self._turn = asyncio.Lock()

    async def show(
        self,
        request: Incoming,
        *,
        resource_id: str,
        cursor: int | None,
        after_seq: int | None,
        wait: float | None,
        webhook_id: str | None,
        limit: int | None,
    ) -> StreamingResponse:
        """The outcomes behind *after_seq*, which *wait* implies, or else the outputs behind the index *cursor*.

        An `OutputsPage`.
        `Conflict` where the resource is another generation than that of *webhook_id*, or has no such *after_seq*.
        """
        if after_seq is None and wait is not None:
            after_seq = 0
        left = limit or sys.maxsize
        if after_seq is None:
            look, after = self._by_index(resource_id), -1 if cursor is None else cursor
            first = await look(after, left, webhook_id)
        else:
            look, after = self._by_seq(resource_id), after_seq
            first = await self._news(request, resource_id, lambda of: look(after, left, of or webhook_id), wait or 0.0)
        request.buffered.check(_COPIES * _size(first))
        parts = self._parts(request.buffered, look, first, left, None if after_seq is None else after)
        return StreamingResponse(parts, media_type=JSON)

    def _by_index(self, resource_id: str) -> Look:
        async def look(after: int, left: int, webhook_id: str | None) -> OutcomePage:
            limit = min(left, _PAGE) or 1
            return await self._ledger.outputs(
                resource_id, after=after, limit=limit, size=_PAGE_SIZE, webhook_id=webhook_id
            )

        return look

    def _by_seq(self, resource_id: str) -> Look:
        async def look(after: int, left: int, webhook_id: str | None) -> OutcomePage:
            limit = min(left, _PAGE) or 1
            return await self._ledger.outcomes(
                resource_id, after_seq=after, limit=limit, size=_PAGE_SIZE, webhook_id=webhook_id
            )

        return look

    async def _news(
        self, request: Incoming, resource_id: str, look: Callable[[str | None], Awaitable[OutcomePage]], wait: float
    ) -> OutcomePage:
        """What *look* gives once there is something, or the resource has ended, or *wait* seconds have passed."""
        if not wait:
            return await look(None)
        place = self._load.instead(self._load.waits, request.who, retry_after=1.0)
        with place, self._ledger.hint(resource_id) as hint:  # before the look, so that nothing is missed
            stopping = self._draining.is_set()
            ends = (self._draining, request.scope.setdefault(HALF_CLOSED, asyncio.Event()))
            until = asyncio.get_running_loop().time() + wait
            page = await look(None)
            while not _is_news(page) and not any(end.is_set() for end in ends):
                left = until - asyncio.get_running_loop().time()
                if left <= 0:
                    return page
                await _first_of(request, (hint, *ends), left)
                hint.clear()
                page = await look(page.webhook_id)
            if stopping and not _is_news(page):
                raise Unavailable("the service is stopping; ask again in a moment", retry_after=5.0)
            return page

    async def _parts(
        self, buffered: Buffered, look: Look, first: OutcomePage, left: int, after_seq: int | None
    ) -> AsyncIterator[bytes]:
        """The parts of an `OutputsPage` of *left* outcomes at most; whether there are more is looked up at the end.

        Each is counted in *buffered* while it is in memory. What is new is refused where there is no room; this has
        begun, and waits.
        """
        page, last, opening = first.outcomes, after_seq or 0, _opening(first)
        while page and left:
            last, left = page[-1].index if after_seq is None else page[-1].seq, left - len(page)
            part = opening + b",".join([_encoded(outcome) for outcome in page])
            opening, page = b",", ()  # the part is held, and not what it is made of
            with buffered.holding(_COPIES * len(part)):
                yield part
                yield b""  # waits until the client has read the part
            async with self._turn:  # so that what has room is a page at most beyond it
                await buffered.room()
                page = (await look(last, left, first.webhook_id)).outcomes
        yield opening.removesuffix(b",") + _ending(first, last, more=bool(page), by_seq=after_seq is not None)


def _is_news(page: OutcomePage) -> bool:
    return bool(page.outcomes) or page.state is not State.OPEN


async def _first_of(request: Incoming, events: Sequence[asyncio.Event], seconds: float) -> None:
    """Return at the first of *events*, and after *seconds*. Raises `Gone`."""
    gone = asyncio.create_task(request.gone())
    waits = [gone, *(asyncio.create_task(event.wait()) for event in events)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            raise Gone
    finally:
        for task in waits:
            task.cancel()


def _opening(page: OutcomePage) -> bytes:
    said = {"webhook_id": page.webhook_id, "state": page.state, "completed_by": page.completed_by, "total": page.total}
    return encode(said)[:-1] + b',"outputs":['


def _ending(first: OutcomePage, last: int, *, more: bool, by_seq: bool) -> bytes:
    if not by_seq:
        return b'],"next_cursor":%s}' % (b'"%d"' % last if more else b"null")
    coming = more or first.state is State.OPEN
    return b'],"next_cursor":null,"after_seq":%d,"more":%s}' % (last, b"true" if coming else b"false")


def _encoded(outcome: OutcomeReport) -> bytes:
    if outcome.output is not None:
        return b'{"seq":%d,"index":%d,"output":%s}' % (outcome.seq, outcome.index, outcome.output)
    return encode(OutputView(outcome.seq, outcome.index, failed=FailureView(outcome.reason, outcome.attempts)))


def _size(page: OutcomePage) -> int:
    return sum(len(outcome.output or b"") + len(outcome.reason) + _OVERHEAD for outcome in page.outcomes)
