"""The views of several ledgers: of one resource where it lives, of all merged, lists in one ledger after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter

from collator.ledgers.slots import merger
from collator.ledgers.slots.places import cursor, parse_cursor
from collator.ledgers.slots.slots import Slots
from collator.ledgers.slots.timelines import Piece, merged
from collator.messages import (
    Counts,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
    DeliveryReport,
    NodeReport,
    OutcomePage,
    PacketDetail,
    Pause,
    ResourceFilter,
    ResourceReport,
    ResourceSearch,
    ResourceSearchPage,
    ResourceSummary,
    UnfinishedPage,
    UnfinishedResource,
)
from collator.paging import UNBOUNDED
from collator.seams.ledger import Ledger
from collator.states import State


class SlotViews:
    """What several ledgers hold. The contract of each view is in `collator.seams.views`.

    `Unavailable` where a ledger is away that may have what is asked for: a list with holes would tell what is not so.
    """

    _slots: Slots
    _counted: dict[int, Counts]
    """The latest counts of each ledger."""

    async def resource(self, resource_id: str) -> ResourceReport:
        """The report on one resource."""
        return await self._slots.of(resource_id).resource(resource_id)

    async def packet(self, resource_id: str, index: int) -> PacketDetail:
        """One packet."""
        return await self._slots.of(resource_id).packet(resource_id, index)

    async def resources(
        self, *, state: State | None = None, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[ResourceSummary]:
        """Resources of all ledgers in order of id."""
        found = await self._slots.ask_all(
            lambda ledger: ledger.resources(state=state, prefix=prefix, after=after, limit=limit)
        )
        return sorted([line for lines in found for line in lines], key=lambda line: line.resource_id)[:limit]

    async def search(self, wanted: ResourceSearch, *, after: str = "", limit: int = 100) -> ResourceSearchPage:
        """Resources of all ledgers by time."""

        async def look(ledger: Ledger, cursor: str) -> Piece:
            page = await ledger.search(wanted, after=cursor, limit=limit)
            return Piece(page.resources, page.places, page.after)

        key: Callable[[ResourceSummary], str] = attrgetter("opened_at")
        found, behind = await merged(self._slots, look, key, after=after, limit=limit, newest=wanted.newest)
        return ResourceSearchPage(resources=found, after=behind, places=())

    async def unfinished(self, wanted: ResourceFilter, *, after: str = "", limit: int = 256) -> UnfinishedPage:
        """The resources that a retry would retry, one ledger after the other."""
        found: list[UnfinishedResource] = []
        place: str | None = after
        while place is not None and len(found) < limit:
            slot, behind = parse_cursor(place, self._slots.count)
            page = await self._slots.ledger(slot).unfinished(wanted, after=behind, limit=limit - len(found))
            found += page.resources
            place = cursor(slot, page.after, self._slots.count)
            if page.after is not None:
                break
        return UnfinishedPage(resources=found, after=place)

    async def outputs(
        self,
        resource_id: str,
        *,
        after: int = -1,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """Outputs of a resource."""
        ledger = self._slots.of(resource_id)
        return await ledger.outputs(resource_id, after=after, limit=limit, size=size, webhook_id=webhook_id)

    async def outcomes(
        self,
        resource_id: str,
        *,
        after_seq: int = 0,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """Outcomes of a resource."""
        ledger = self._slots.of(resource_id)
        return await ledger.outcomes(resource_id, after_seq=after_seq, limit=limit, size=size, webhook_id=webhook_id)

    def hint(self, resource_id: str) -> AbstractContextManager[asyncio.Event]:
        """An event that is set when the resource has news."""
        return self._slots.of(resource_id).hint(resource_id)

    async def deliveries(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 100, size: int = UNBOUNDED
    ) -> DeliveryPage:
        """Deliveries, one ledger after the other; a page of a size ends with its ledger."""
        if wanted.id is not None:
            wanted_id = wanted.id
            slot, _ = await self._slots.find(lambda ledger: ledger.delivery(wanted_id))
            return await self._slots.ledger(slot).deliveries(wanted, limit=limit, size=size)
        if wanted.resource_id is not None:
            ledger = self._slots.of(wanted.resource_id)
            return await ledger.deliveries(wanted, after=after, limit=limit, size=size)
        if wanted.newest:
            return await self._newest_deliveries(wanted, after, limit, size)
        found: list[DeliveryReport] = []
        place: str | None = after
        while place is not None and len(found) < limit and not (found and size != UNBOUNDED):
            slot, behind = parse_cursor(place, self._slots.count)
            page = await self._slots.ledger(slot).deliveries(wanted, after=behind, limit=limit - len(found), size=size)
            found += page.deliveries
            place = cursor(slot, page.after, self._slots.count)
            if page.after is not None:
                break
        return DeliveryPage(deliveries=found, after=place)

    async def _newest_deliveries(self, wanted: DeliveryFilter, after: str, limit: int, size: int) -> DeliveryPage:
        async def look(ledger: Ledger, cursor: str) -> Piece:
            page = await ledger.deliveries(wanted, after=cursor, limit=limit, size=size // self._slots.count)
            return Piece(page.deliveries, page.places, page.after)

        key: Callable[[DeliveryReport], str] = attrgetter("created_at")
        found, behind = await merged(self._slots, look, key, after=after, limit=limit, newest=True)
        return DeliveryPage(deliveries=found, after=behind)

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery and its history."""
        _, found = await self._slots.find(lambda ledger: ledger.delivery(delivery_id))
        return found

    async def paused(self) -> Mapping[str, Pause]:
        """The endpoints that are paused, as far as the ledgers that are there know."""
        slots = self._slots
        answers = await slots.ask(lambda slot: slots.ledger(slot).paused(), slots.all)
        return merger.pauses(merger.there(answers).values())

    async def due_endpoints(self) -> frozenset[str]:
        """The endpoints that have a delivery due, in the ledgers that are there."""
        slots = self._slots
        answers = await slots.ask(lambda slot: slots.ledger(slot).due_endpoints(), slots.all)
        return frozenset[str]().union(*merger.there(answers).values())

    async def counts(self) -> Counts:
        """The counts of all ledgers; of one that is away, those that it had when it was last asked, if it was."""
        slots = self._slots
        answers = await slots.ask(lambda slot: slots.ledger(slot).counts(), slots.all)
        self._counted.update(merger.there(answers))
        return merger.counts(self._counted.values())

    async def nodes(self, *, limit: int = 100) -> Sequence[NodeReport]:
        """The nodes, as the ledgers that are there know them."""
        slots = self._slots
        answers = await slots.ask(lambda slot: slots.ledger(slot).nodes(limit=limit), slots.all)
        return merger.nodes(merger.there(answers).values())[:limit]
