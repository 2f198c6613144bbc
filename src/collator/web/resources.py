"""`/v1/resources/{id}`: look at a resource, take its outputs, repair it. Thin: the ledger decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
from starlette.responses import StreamingResponse

from collator.errors import Malformed
from collator.exchange import ResourceReport
from collator.ledger import Ledger
from collator.outbox import Outbox
from collator.packet import Bounds
from collator.web.explaining import why_undelivered
from collator.web.incoming import JSON, Answer, Incoming, answer_json
from collator.workforce import Workforce

_PAGE = 16  # outputs that are in memory at a time: each may have 1 MiB
_SMALL = 4096  # bytes of a body that says what to do


class ResourceView(ResourceReport, frozen=True, kw_only=True):
    """A resource, as its page shows it."""

    why_undelivered: str | None
    """What has to happen before it is delivered, in one sentence; null once it is."""


class Completion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a person completes a resource (R15)."""

    total: int | None = None
    force: bool = False


class Resources:
    """The pages of one resource."""

    def __init__(self, ledger: Ledger, workforce: Workforce, outbox: Outbox, *, bounds: Bounds) -> None:
        """Look into *ledger*; hand what a repair sets free to *workforce* and *outbox*."""
        self._ledger = ledger
        self._workforce = workforce
        self._outbox = outbox
        self._bounds = bounds
        self._completion = msgspec.json.Decoder(Completion)

    async def show(self, request: Incoming, resource_id: str) -> Answer:
        """All that there is to know. `Unknown`."""
        request.options()
        return await self._view(resource_id)

    async def outputs(self, request: Incoming, resource_id: str) -> StreamingResponse:
        """``{"outputs": [{"index", "output"}, …]}``: those that there are, in index order, from behind ``?after=``."""
        after = request.number("after", default=-1)
        first = await self._ledger.outputs(resource_id, after=after, limit=_PAGE)
        return StreamingResponse(self._pages(resource_id, first), media_type=JSON)

    async def complete(self, request: Incoming, resource_id: str) -> Answer:
        """Fix the total, or close now (R15); the resource as it is then. `Unknown`, `Conflict`."""
        wanted = await self._wanted(request)
        outcome = await self._ledger.complete(
            resource_id, total=wanted.total, force=wanted.force, room=self._outbox.room()
        )
        self._outbox.take(outcome.deliveries, outcome.endpoints)
        return await self._view(resource_id)

    async def cancel(self, request: Incoming, resource_id: str) -> Answer:
        """End it without a webhook; the resource as it is then. `Unknown`, `Ended`."""
        await _nothing(request)
        await self._ledger.cancel(resource_id)
        return await self._view(resource_id)

    async def retry(self, request: Incoming, resource_id: str) -> Answer:
        """Give its failed packets a new set of attempts (R16). `Unknown`, `Ended`."""
        await _nothing(request)
        keys = await self._ledger.retry(resource_id)
        self._workforce.submit((), keys)
        return answer_json({"resource_id": resource_id, "retried": len(keys)})

    async def _view(self, resource_id: str) -> Answer:
        report = await self._ledger.resource(resource_id)
        return answer_json(ResourceView(**msgspec.structs.asdict(report), why_undelivered=why_undelivered(report)))

    async def _pages(self, resource_id: str, page: Sequence[tuple[int, bytes]]) -> AsyncIterator[bytes]:
        separator = b'{"outputs":['
        while page:
            yield separator + b",".join(b'{"index":%d,"output":%s}' % output for output in page)
            separator = b","
            page = await self._ledger.outputs(resource_id, after=page[-1][0], limit=_PAGE)
        yield b"]}" if separator == b"," else separator + b"]}"

    async def _wanted(self, request: Incoming) -> Completion:
        try:
            wanted = self._completion.decode(await request.json(_SMALL))
        except msgspec.MsgspecError as error:
            raise Malformed(str(error)) from None
        if wanted.total is None and not wanted.force:
            raise Malformed("say how many packets it has (total), or that it ends now (force)")
        if wanted.total is not None and not 1 <= wanted.total <= self._bounds.max_packets:
            raise Malformed(f"total: {wanted.total} is not between 1 and {self._bounds.max_packets}")
        return wanted


async def _nothing(request: Incoming) -> None:
    """Read a body that says nothing, as nothing is asked."""
    if (await request.body(_SMALL)).strip() not in {b"", b"{}"}:
        raise Malformed("this takes no body")
