"""`/v1/resources`: look at resources, take outputs, repair, forget. Thin: the ledger decides."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import msgspec
from starlette.responses import StreamingResponse

from collator.errors import Conflict, Malformed, Unknown
from collator.exchange import ResourceReport, ResourceSummary
from collator.ledger import Ledger, Outputs
from collator.outbox import Outbox
from collator.packet import Bounds
from collator.states import State
from collator.web.explaining import why_undelivered
from collator.web.formats import JSON
from collator.web.incoming import Answer, Buffered, Incoming, answer_json
from collator.web.limits import KIB
from collator.workforce import Workforce

_PAGE = 1000  # outputs that are in memory at a time: 50,000 small ones take 0.12 s, and 0.82 s in pages of 16 …
_PAGE_SIZE = 256 * KIB  # … and their bytes, or one that is larger: each may have 1 MiB
_COPIES = 2  # as a part of the answer, and as what waits in the connection for a client who reads slowly
_SMALL = 4096  # bytes of a body that says what to do
_SLICE = 1000  # rows that are forgotten in one step, so that no packet waits long behind it


class ResourceView(ResourceReport, frozen=True, kw_only=True):
    """A resource, as its page shows it."""

    why_undelivered: str | None
    """What has to happen before it is delivered, in one sentence; null once it is."""


class ResourcePage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the list of resources."""

    resources: Sequence[ResourceSummary]
    next_cursor: str | None
    """Where the next page begins; null where there is no more."""


class OutputView(msgspec.Struct, frozen=True):
    """An output."""

    index: int
    output: msgspec.Raw
    """Any JSON value."""


class OutputsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Outputs of a resource, in index order."""

    outputs: Sequence[OutputView]
    next_cursor: str | None
    """Where the next page begins; null where there is no more, for now."""


class Retried(msgspec.Struct, frozen=True):
    """What a retry did."""

    resource_id: str
    retried: int
    """Packets that had failed."""


class Purged(msgspec.Struct, frozen=True):
    """What was forgotten."""

    resource_id: str
    purged: bool = True


class Completion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a person completes a resource (R15)."""

    total: int | None = None
    """How many packets it has."""
    force: bool = False
    """Whether it is closed now, whatever is missing."""


class Resources:
    """The pages of resources."""

    def __init__(self, ledger: Ledger, workforce: Workforce, outbox: Outbox, *, bounds: Bounds) -> None:
        """Look into *ledger*; hand what a repair sets free to *workforce* and *outbox*."""
        self._ledger = ledger
        self._workforce = workforce
        self._outbox = outbox
        self._bounds = bounds
        self._turn = asyncio.Lock()
        self._completion = msgspec.json.Decoder(Completion)

    async def index(self, _request: Incoming, *, state: State | None, prefix: str, cursor: str, limit: int) -> Answer:
        """A page of those in *state* whose ids begin with *prefix*, from behind the id *cursor*."""
        found = await self._ledger.resources(state=state, prefix=prefix, after=cursor, limit=limit + 1)
        more = found[limit - 1].resource_id if len(found) > limit else None
        return answer_json(ResourcePage(resources=found[:limit], next_cursor=more))

    async def show(self, _request: Incoming, *, resource_id: str) -> Answer:
        """All that there is to know. `Unknown`."""
        return await self._view(resource_id)

    async def outputs(
        self, request: Incoming, *, resource_id: str, cursor: int | None, limit: int | None
    ) -> StreamingResponse:
        """The outputs that there are, in index order, from behind the index *cursor*: `OutputsPage`."""
        after, left = -1 if cursor is None else cursor, limit or sys.maxsize
        first = await self._page(resource_id, after, left)
        request.buffered.check(_COPIES * sum(len(output) for _, output in first))
        return StreamingResponse(self._parts(request.buffered, resource_id, first, left), media_type=JSON)

    async def complete(self, request: Incoming, *, resource_id: str) -> Answer:
        """Fix the total, or close now (R15); the resource as it is then. `Unknown`, `Conflict`."""
        wanted = await self._wanted(request)
        outcome = await self._ledger.complete(
            resource_id, total=wanted.total, force=wanted.force, room=self._outbox.room()
        )
        self._outbox.take(outcome.deliveries, outcome.endpoints)
        return await self._view(resource_id)

    async def cancel(self, request: Incoming, *, resource_id: str) -> Answer:
        """End it without a webhook; the resource as it is then. `Unknown`, `Ended`."""
        await request.nothing()
        await self._ledger.cancel(resource_id)
        return await self._view(resource_id)

    async def retry(self, request: Incoming, *, resource_id: str) -> Answer:
        """Give its failed packets a new set of attempts (R16). `Unknown`, `Ended`."""
        await request.nothing()
        keys = await self._ledger.retry(resource_id)
        self._workforce.submit((), keys)
        return answer_json(Retried(resource_id, len(keys)))

    async def purge(self, request: Incoming, *, resource_id: str) -> Answer:
        """Forget it (R25). `Unknown`; `Conflict` while it is open or has a delivery due."""
        await request.nothing()
        forgotten = await self._ledger.purge(limit=_SLICE, resource_id=resource_id)
        with suppress(Unknown, Conflict):  # it is gone; and perhaps its id has been opened anew since
            while forgotten >= _SLICE:
                forgotten = await self._ledger.purge(limit=_SLICE, resource_id=resource_id)
        return answer_json(Purged(resource_id))

    async def _view(self, resource_id: str) -> Answer:
        report = await self._ledger.resource(resource_id)
        why = why_undelivered(report, self._outbox.why, endpoints=bool(self._outbox.room()))
        return answer_json(ResourceView(**msgspec.structs.asdict(report), why_undelivered=why))

    async def _page(self, resource_id: str, after: int, left: int) -> Outputs:
        return await self._ledger.outputs(resource_id, after=after, limit=min(left, _PAGE) or 1, size=_PAGE_SIZE)

    async def _parts(self, buffered: Buffered, resource_id: str, page: Outputs, left: int) -> AsyncIterator[bytes]:
        """The parts of an `OutputsPage` of *left* outputs at most; whether there are more is looked up at the end.

        Each is counted in *buffered* while it is in memory. What is new is refused where there is no room; this has
        begun, and waits.
        """
        opening, last = b'{"outputs":[', -1
        while page and left:
            last, left = page[-1][0], left - len(page)
            part = opening + b",".join(b'{"index":%d,"output":%s}' % output for output in page)
            opening, page = b",", ()  # the part is held, and not what it is made of
            with buffered.holding(_COPIES * len(part)):
                yield part
                yield b""  # waits until the client has read the part
            async with self._turn:  # so that what has room is a page at most beyond it
                await buffered.room()
                page = await self._page(resource_id, last, left)
        yield opening.rstrip(b",") + b'],"next_cursor":%s}' % (b'"%d"' % last if page else b"null")

    async def _wanted(self, request: Incoming) -> Completion:
        wanted = await request.order(self._completion, _SMALL)
        if wanted.total is None and not wanted.force:
            raise Malformed("say how many packets it has (total), or that it ends now (force)")
        if wanted.total is not None and not 1 <= wanted.total <= self._bounds.max_packets:
            raise Malformed(f"total: {wanted.total} is not between 1 and {self._bounds.max_packets}")
        return wanted
