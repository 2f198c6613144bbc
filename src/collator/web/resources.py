"""`/v1/resources`: look at resources, repair, forget. Thin: the ledger decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from os.path import commonprefix
from typing import Any

import msgspec

from collator.errors import Conflict, Malformed, Unavailable, Unknown
from collator.messages import ResourceReport, ResourceSearch, ResourceSummary
from collator.packet import PacketLimits, as_integer
from collator.paging import fitting
from collator.rules.repair import check_total
from collator.seams.ledger import Ledger
from collator.seams.operations import Operations
from collator.seams.outbox import Outbox
from collator.states import EndedBy, State
from collator.tokens import Role
from collator.web.audit import acting
from collator.web.auth import forbidden, reachable, within
from collator.web.diagnosis import why_undelivered
from collator.web.request_body import HttpAnswer, RequestBody, answer_json

_SMALL = 4096  # bytes of a body that says what to do
_BY_TIME = 250  # resources of a page by time, so that it stays below `PAGE` whatever their ids are
_SLICE = 1000  # rows that are forgotten in one step, so that no packet waits long behind it


class ResourceOrder(StrEnum):
    """An order of resources: of their ids, or of when they were opened."""

    ID = "id"
    NEWEST = "newest"
    OLDEST = "oldest"


class ResourceView(ResourceReport, frozen=True, kw_only=True):
    """A resource, as its page shows it."""

    why_undelivered: str | None
    """What has to happen before it is delivered, in one sentence; null once it is."""


class ResourceState(msgspec.Struct, frozen=True, kw_only=True):
    """The view of a resource for a token of the role `send`."""

    resource_id: str
    state: State
    completed_by: EndedBy | None
    """Why it ended; null while it is open."""
    total: int | None
    """How many packets it has; null while nobody has said."""


class ResourcePage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the list of resources."""

    resources: Sequence[ResourceSummary]
    next_cursor: str | None
    """Where the next page begins; null where there is no more."""


class Purged(msgspec.Struct, frozen=True):
    """The result of a purge."""

    resource_id: str
    purged: bool = True


class Completion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request to complete a resource (R15)."""

    total: int | float | None = None
    """How many packets it has; 0 where there are none, also of one that nobody sent a packet for."""
    force: bool | None = False
    """Whether it is closed now, whatever is missing."""


class Resources:
    """The pages of resources."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        *,
        packet_limits: PacketLimits,
        refusal: Callable[[], Unavailable | None],
        trouble: Callable[[], str | None],
    ) -> None:
        """Look into *ledger*; hand what a repair sets free to *outbox*.

        *refusal* says why nothing new is taken at the moment, and *trouble* why nothing is processed.
        """
        self._trouble = trouble
        self._ledger, self._operations = ledger, Operations()
        self._outbox = outbox
        self._packet_limits = packet_limits
        self._refusal = refusal
        self._completion = msgspec.json.Decoder(Completion)

    async def index(
        self,
        request: RequestBody,
        *,
        state: State | None,
        prefix: str,
        order: ResourceOrder | None,
        cursor: str,
        limit: int,
        **wanted: Any,  # noqa: ANN401 - the other fields of a search
    ) -> HttpAnswer:
        """A page of those that fit: by id where nothing is said but state and prefix, else by time. `Malformed`."""
        by_time = any(one not in {None, False} for one in wanted.values())
        if order is ResourceOrder.ID and by_time:
            raise Malformed("order: by id, resources are selected by state and prefix alone")
        own = within(request.caller, prefix)
        if order in {None, ResourceOrder.ID} and not by_time:
            return await self._by_id(own, state, cursor, limit)
        if not own:
            return answer_json(ResourcePage(resources=(), next_cursor=None))
        newest, begins = order is not ResourceOrder.OLDEST, commonprefix(own)  # noqa: RUF071 - of texts, not of paths
        search = ResourceSearch(state=state, prefix=begins, newest=newest, **wanted)

        async def look(after: str) -> tuple[Sequence[ResourceSummary], str | None]:
            page = await self._ledger.search(search, after=after, limit=min(limit, _BY_TIME))
            return page.resources, page.after

        shown, behind = await reachable(own, cursor, look)
        return answer_json(ResourcePage(resources=shown, next_cursor=behind))

    async def _by_id(self, own: Sequence[str], state: State | None, cursor: str, limit: int) -> HttpAnswer:
        """A page of those in *state* with one of the prefixes *own*, from behind the id *cursor*."""
        found: list[ResourceSummary] = []
        for prefix in own:
            more = limit + 1 - len(found)
            found += await self._ledger.resources(state=state, prefix=prefix, after=cursor, limit=more) if more else ()
        shown = fitting(found[:limit])
        behind = shown[-1].resource_id if len(found) > len(shown) else None
        return answer_json(ResourcePage(resources=shown, next_cursor=behind))

    async def show(self, _request: RequestBody, *, resource_id: str) -> HttpAnswer:
        """All that there is to know. `Unknown`."""
        return await self._view(resource_id)

    async def complete(self, request: RequestBody, *, resource_id: str) -> HttpAnswer:
        """Fix the total, or close now (R15); the resource as it is then. `Unknown`, `Conflict`."""
        total, force = await self._wanted(request)
        refusal = self._refusal() if total == 0 else None  # it may open a resource, as a packet does (R9)
        if refusal is not None:
            raise refusal
        caller = request.caller
        if not force:
            await self._complete(resource_id, total, force=False)
        elif caller is not None and not caller.may(Role.ADMIN):
            raise forbidden(caller, Role.ADMIN, "force")
        else:
            async with acting(self._ledger, request, "complete", "resource completed by force", target=resource_id):
                await self._complete(resource_id, total, force=True)
        if caller is None or caller.may(Role.READ):
            return await self._view(resource_id)
        report = await self._ledger.resource(resource_id)
        return answer_json(ResourceState(**{name: getattr(report, name) for name in ResourceState.__struct_fields__}))

    async def cancel(self, request: RequestBody, *, resource_id: str) -> HttpAnswer:
        """End it without a webhook; the resource as it is then. `Unknown`, `Ended`."""
        await request.nothing()
        async with acting(self._ledger, request, "cancel", "resource cancelled", target=resource_id):
            await self._operations.certain(self._ledger.cancel, resource_id)
        return await self._view(resource_id)

    async def purge(self, request: RequestBody, *, resource_id: str) -> HttpAnswer:
        """Forget it (R25). `Unknown`; `Conflict` while it is open or has a delivery due."""
        await request.nothing()
        async with acting(self._ledger, request, "purge", "resource purged", target=resource_id):
            forgotten = await self._ledger.purge(limit=_SLICE, resource_id=resource_id)
        with suppress(Unknown, Conflict):  # it is gone; and perhaps its id has been opened anew since
            while forgotten >= _SLICE:
                forgotten = await self._ledger.purge(limit=_SLICE, resource_id=resource_id)
        return answer_json(Purged(resource_id))

    async def _complete(self, resource_id: str, total: int | None, *, force: bool) -> None:
        outcome = await self._operations.certain(
            self._ledger.complete, resource_id, total=total, force=force, capacity=self._outbox.capacity()
        )
        self._outbox.take(outcome.deliveries, outcome.endpoints)

    async def _view(self, resource_id: str) -> HttpAnswer:
        report = await self._ledger.resource(resource_id)
        why = why_undelivered(
            report, self._outbox.why, endpoints=bool(self._outbox.capacity()), trouble=self._trouble()
        )
        return answer_json(ResourceView(**msgspec.structs.asdict(report), why_undelivered=why))

    async def _wanted(self, request: RequestBody) -> tuple[int | None, bool]:
        wanted = await request.decode(self._completion, _SMALL)
        if wanted.total is None and not wanted.force:
            raise Malformed("give the number of packets (total), or force to close it now")
        total = None if wanted.total is None else as_integer(wanted.total, "total")
        check_total(total, self._packet_limits)
        return total, bool(wanted.force)
