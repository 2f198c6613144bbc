"""The views of `collator.seams.views` on SQLite: each is a statement of the reader, in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from collator import __version__
from collator.clock import rfc3339
from collator.ledgers.node_name import node_name
from collator.ledgers.sqlite.reader import Reader
from collator.ledgers.sqlite.store import Store
from collator.messages import (
    Counts,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
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
)
from collator.paging import UNBOUNDED
from collator.states import State


class SqliteViews:
    """What the ledger holds. The contract of each verb is in `collator.seams.views`."""

    _store: Store
    _reader: Reader

    async def resource(self, resource_id: str) -> ResourceReport:
        """All of one resource."""
        return await self._reader.report(resource_id)

    async def packet(self, resource_id: str, index: int) -> PacketDetail:
        """One packet."""
        return await self._reader.ask_in_turns(self._reader.packet, resource_id, index)

    async def resources(
        self, *, state: State | None = None, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[ResourceSummary]:
        """A page of resources."""
        return await self._reader.ask_in_turns(self._reader.resources, state, prefix, after, limit)

    async def search(self, wanted: ResourceSearch, *, after: str = "", limit: int = 100) -> ResourceSearchPage:
        """A page of a search."""
        return await self._reader.ask(self._reader.search, wanted, after, limit)

    async def unfinished(self, wanted: ResourceFilter, *, after: str = "", limit: int = 256) -> UnfinishedPage:
        """A page of resources to retry."""
        return await self._reader.ask(self._reader.unfinished.page, wanted, after, limit)

    async def outputs(
        self,
        resource_id: str,
        *,
        after: int = -1,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """A page of outputs, by index."""
        return await self._reader.ask_in_turns(self._reader.outputs, resource_id, webhook_id, after, limit, size)

    async def outcomes(
        self,
        resource_id: str,
        *,
        after_seq: int = 0,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """A page of outcomes, by number."""
        return await self._reader.ask(self._reader.outcomes, resource_id, webhook_id, after_seq, limit, size)

    def hint(self, resource_id: str) -> AbstractContextManager[asyncio.Event]:
        """An event that is set when the resource may have news."""
        return self._store.hints.of(resource_id)

    async def deliveries(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 100, size: int = UNBOUNDED
    ) -> DeliveryPage:
        """A page of deliveries."""
        return await self._reader.ask(self._reader.deliveries.page, wanted, after, limit, size)

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery and its history."""
        return await self._reader.ask(self._reader.deliveries.detail, delivery_id)

    async def paused(self) -> Mapping[str, Pause]:
        """The endpoints that are paused."""
        return await self._reader.ask(self._reader.deliveries.paused)

    async def due_endpoints(self) -> frozenset[str]:
        """The endpoints that have a delivery due."""
        return await self._reader.ask(self._reader.deliveries.due_endpoints)

    async def counts(self) -> Counts:
        """The counts of the store."""
        return self._store.committed

    async def nodes(self, *, limit: int = 100) -> Sequence[NodeReport]:
        """The one node."""
        del limit
        store = self._store
        return [
            NodeReport(
                id=1,
                name=node_name(),
                version=__version__,
                since=rfc3339(store.opened_at),
                beat=0.0,
                leased=len(store.packets),
                here=True,
            )
        ]
