"""`GET /v1/resources/{id}/outputs`: the outputs of a resource by index, or by `seq` while it grows (R26).

An answer is a page: as many outputs as it holds, or a single one that is larger. By index it is a page of what is
there, for resources that have ended: in one that grows, an index may still come that is lower than those of the page
before. By `seq` nothing is missed, and a request that finds nothing new may wait. A hint wakes it; the answer is read
from the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from collator.messages import OutcomePage, OutcomeReport
from collator.paging import PAGE
from collator.seams.ledger import Ledger
from collator.states import EndedBy, State
from collator.web.load import Load
from collator.web.news_wait import stopping, waiting
from collator.web.problems import encode
from collator.web.request_body import JSON_FIELDS, HttpAnswer, RequestBody

_MOST = 1000  # outcomes of a page; and their bytes, or one that is larger, are those of a page

OutcomeLookup = Callable[[str | None], Awaitable[OutcomePage]]
"""Takes the webhook id that the resource must have."""


class FailureView(msgspec.Struct, frozen=True):
    """The failure of a packet."""

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

    async def show(
        self,
        request: RequestBody,
        *,
        resource_id: str,
        cursor: int | None,
        after_seq: int | None,
        wait: float | None,
        webhook_id: str | None,
        limit: int | None,
    ) -> HttpAnswer:
        """The outcomes behind *after_seq*, which *wait* implies, or else the outputs behind the index *cursor*.

        An `OutputsPage`.
        `Conflict` where the resource is another generation than that of *webhook_id*, or has no such *after_seq*.
        """
        limit = min(limit or _MOST, _MOST)
        if after_seq is None and wait is None:
            after = -1 if cursor is None else cursor
            page = await self._ledger.outputs(resource_id, after=after, limit=limit, size=PAGE, webhook_id=webhook_id)
            return _answer(page, {"next_cursor": str(page.outcomes[-1].index) if page.more else None})

        place = after_seq or 0

        async def look(of: str | None) -> OutcomePage:
            return await self._ledger.outcomes(
                resource_id, after_seq=place, limit=limit, size=PAGE, webhook_id=of or webhook_id
            )

        page = await self._news(request, resource_id, look, wait or 0.0)
        last = page.outcomes[-1].seq if page.outcomes else place
        coming = page.more or page.state is State.OPEN
        return _answer(page, {"next_cursor": None, "after_seq": last, "more": coming})

    async def _news(self, request: RequestBody, resource_id: str, look: OutcomeLookup, seconds: float) -> OutcomePage:
        """The page from *look* as soon as it has an outcome or the resource has ended, or after *seconds*."""
        if not seconds:
            return await look(None)
        stops = self._draining.is_set()
        until = asyncio.get_running_loop().time() + seconds
        in_wait = waiting(request, self._ledger.hint(resource_id), load=self._load, draining=self._draining)
        async with in_wait as wait:
            page = await look(None)
            while not _is_news(page) and not wait.is_cut_off():
                left = until - asyncio.get_running_loop().time()
                if left <= 0:
                    return page
                await wait.hinted(left)
                wait.look()
                page = await look(page.webhook_id)
        if stops and not _is_news(page):
            raise stopping()
        return page


def _is_news(page: OutcomePage) -> bool:
    return bool(page.outcomes) or page.state is not State.OPEN


def _answer(page: OutcomePage, ending: Mapping[str, object]) -> HttpAnswer:
    """*page* as an `OutputsPage` with the members of *ending*; its outputs stay the bytes that they are."""
    said = {"webhook_id": page.webhook_id, "state": page.state, "completed_by": page.completed_by, "total": page.total}
    outputs = b",".join([_encoded(outcome) for outcome in page.outcomes])
    body = b'%b,"outputs":[%b],%b\n' % (encode(said)[:-1], outputs, encode(ending)[1:])
    return HttpAnswer(200, JSON_FIELDS, body)


def _encoded(outcome: OutcomeReport) -> bytes:
    if outcome.output is not None:
        return b'{"seq":%d,"index":%d,"output":%s}' % (outcome.seq, outcome.index, outcome.output)
    return encode(OutputView(outcome.seq, outcome.index, failed=FailureView(outcome.reason, outcome.attempts)))
