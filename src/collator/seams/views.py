"""THE SEAM to views: what people and programs look at.

A view never waits for a writer, and never holds a transaction across an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

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


class Views(Protocol):
    """What a ledger holds."""

    async def resource(self, resource_id: str) -> ResourceReport:
        """The report on one resource, for people. `Unknown`.

        Of what there is much, it has the first, and says how many more there are. Of a large resource the ranges may be
        found in several looks, so that other views have their turn meanwhile.
        """
        ...

    async def packet(self, resource_id: str, index: int) -> PacketDetail:
        """One packet, verified against what was accepted. `Unknown` where it was never received, `Damaged`."""
        ...

    async def resources(
        self, *, state: State | None = None, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[ResourceSummary]:
        """Up to *limit* resources in order of id, from behind the id *after*; of *state*, with *prefix*."""
        ...

    async def search(self, wanted: ResourceSearch, *, after: str = "", limit: int = 100) -> ResourceSearchPage:
        """Up to *limit* resources that are *wanted*, by time, from where `ResourceSearchPage.after` says.

        Who follows `after` to the end sees each that was there all the time once, or, of those that are undelivered,
        that was so all the time. `Malformed` for an *after* that no page gave.
        """
        ...

    async def unfinished(self, wanted: ResourceFilter, *, after: str = "", limit: int = 256) -> UnfinishedPage:
        """The resources that `Repair.retry_all` would retry: of up to *limit*, in order of id, those that are *wanted*.

        `Malformed` for an *after* that no page gave.
        """
        ...

    async def outputs(
        self,
        resource_id: str,
        *,
        after: int = -1,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """Up to *limit* outputs in index order, from behind the index *after*. `Unknown`, `Damaged`.

        They have up to *size* bytes together; the first is given whatever it has, so that only the end is empty.
        `Conflict` where the resource is another generation than that of *webhook_id*.
        """
        ...

    async def outcomes(
        self,
        resource_id: str,
        *,
        after_seq: int = 0,
        limit: int = 1000,
        size: int = UNBOUNDED,
        webhook_id: str | None = None,
    ) -> OutcomePage:
        """As `outputs`, but outputs and failures in the order in which they were recorded, behind *after_seq* (R26).

        Who asks again behind the last `seq` that he got sees each outcome once, whatever order the indexes come in. A
        failure that `retry` withdraws is gone, and the outcome that follows has a number of its own. `Conflict` too
        where so many outcomes were never recorded.
        """
        ...

    def hint(self, resource_id: str) -> AbstractContextManager[asyncio.Event]:
        """An event that is set after each step that gave the resource an outcome or ended it, within the context.

        For who waits for news: ask for hints first, then look. A hint may be idle, and where several processes share
        a store it may be late; what there is says the look. Whoever waits clears it.
        """
        ...

    async def deliveries(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 100, size: int = UNBOUNDED
    ) -> DeliveryPage:
        """Up to *limit* deliveries that are *wanted*, in an order that stays, from where `DeliveryPage.after` says.

        Several ledgers are one after the other; where the newest come first, those of all are merged by their time.
        They have up to *size* bytes together as JSON; where there is any, one is given whatever it has.
        Who follows `after` to the end sees every delivery that was there all the time once. `Malformed` for an *after*
        that no page gave; `Unknown` where an `id` has no delivery.
        """
        ...

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery and its history. `Unknown`."""
        ...

    async def paused(self) -> Mapping[str, Pause]:
        """The endpoints that are paused, by name."""
        ...

    async def due_endpoints(self) -> frozenset[str]:
        """The endpoints that have a delivery due, leased ones included, and are not paused."""
        ...

    async def counts(self) -> Counts:
        """The counts of the store."""
        ...

    async def nodes(self, *, limit: int = 100) -> Sequence[NodeReport]:
        """The nodes that have the ledger open, the earliest first, up to *limit*; a dead one until others noticed."""
        ...
