"""The views of `collator.seams.views` on PostgreSQL: of resources and outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import asyncpg
import msgspec

from collator.clock import rfc3339
from collator.errors import Conflict, Unknown
from collator.ledgers import acts
from collator.ledgers.first_ranges import FirstRanges
from collator.ledgers.hints import Hints
from collator.ledgers.postgresql import deliveries, packet_views, ranges, retry_views, searches, tombstones
from collator.ledgers.postgresql.bodies import check_output
from collator.ledgers.postgresql.closure import span
from collator.ledgers.postgresql.reader import Reader
from collator.ledgers.postgresql.step import Statements, clean
from collator.ledgers.prefix import behind
from collator.ledgers.searches import summary
from collator.messages import (
    AuditPage,
    Counts,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
    NodeReport,
    OutcomePage,
    OutcomeReport,
    PacketDetail,
    PacketReport,
    Pause,
    ResourceFilter,
    ResourceReport,
    ResourceSearch,
    ResourceSearchPage,
    ResourceSummary,
    UnfinishedPage,
)
from collator.messages import webhook_id as webhook_id_of
from collator.paging import UNBOUNDED, fitting
from collator.states import EndedBy, State

FAILURES_SHOWN, FAILURES_SIZE = 100, 64 * 1024
"""Failures of a resource that are shown, and their bytes."""
LATE = 0.5
"""Seconds after which who waits for news looks again, as another node may have them."""


class PostgresqlViews:
    """What the ledger holds. The contract of each verb is in `collator.seams.views`."""

    node: int
    _reader: Reader
    _hints: Hints

    async def resource(self, resource_id: str) -> ResourceReport:
        """All of one resource."""
        async with self._reader.look(whole=True) as look:
            row = await _find(look, resource_id)
            first, last = span(row["rk"])
            received, done, failed = row["received"], row["done"], row["failed"]
            missing, unfinished = await _lacking(look, row)
            failures = await look.rows("failures_of", first, last, FAILURES_SHOWN) if failed else []
            shown = fitting([PacketReport(*failure) for failure in failures], FAILURES_SIZE)
            posts, posts_more = await deliveries.of(look, row["rk"])
            retrying, retrying_more = (
                await packet_views.retrying(look, first, last) if received > done + failed else ((), False)
            )
        return ResourceReport(
            resource_id=row["id"],
            webhook_id=webhook_id_of(row["id"], row["generation"]),
            state=State(row["state"]),
            completed_by=_ended_by(row),
            total=row["total"],
            metadata=msgspec.Raw(row["metadata"] or b"{}"),
            received=received,
            done=done,
            failed=failed,
            missing=missing.ranges,
            missing_more=missing.more,
            unfinished=unfinished.ranges,
            unfinished_more=unfinished.more,
            failures=shown,
            failures_more=failed - len(shown),
            opened_at=rfc3339(row["opened_at"]),
            closed_at=None if row["closed_at"] is None else rfc3339(row["closed_at"]),
            deliveries=posts,
            deliveries_more=posts_more,
            supersedes=None if row["superseded"] is None else webhook_id_of(row["id"], row["superseded"]),
            retrying=retrying,
            retrying_more=retrying_more,
        )

    async def packet(self, resource_id: str, index: int) -> PacketDetail:
        """One packet."""
        async with self._reader.look(whole=True) as look:
            row = await _find(look, resource_id)
            found = await packet_views.detail(look, row["rk"], index, is_open=row["state"] == State.OPEN)
        if found is None:
            raise Unknown(f"resource {resource_id!r} has not received a packet with index {index}")
        return found

    async def unfinished(self, wanted: ResourceFilter, *, after: str = "", limit: int = 256) -> UnfinishedPage:
        """A page of resources to retry."""
        async with self._reader.look(whole=True) as look:
            found = await retry_views.find(look, wanted, after, limit)
        return UnfinishedPage(resources=found.resources, after=found.after)

    async def resources(
        self, *, state: State | None = None, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[ResourceSummary]:
        """A page of resources."""
        begin = prefix if prefix > after else clean(after) + "\x01"  # the least text behind `after`
        page = (clean(begin), behind(clean(prefix)), limit)
        async with self._reader.look() as look:
            asked = ("list_resources", *page) if state is None else ("list_resources_in", *page, state.value)
            rows = await look.rows(*asked)
        return [summary(row) for row in rows]

    async def search(self, wanted: ResourceSearch, *, after: str = "", limit: int = 100) -> ResourceSearchPage:
        """A page of a search."""
        async with self._reader.look(whole=True) as look:
            return await searches.search(look, wanted, after, limit)

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
        async with self._reader.look(whole=True) as look:
            row = await _find_generation(look, resource_id, webhook_id)
            first, last = span(row["rk"])
            start = min(first + max(after, -1), last)
            return _page(row, await look.rows("list_outputs", start, last, limit, size))

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
        async with self._reader.look(whole=True) as look:
            row = await _find_generation(look, resource_id, webhook_id)
            last = row["done"] + row["failed"] + row["withdrawn"]
            if after_seq > last:
                raise Conflict(
                    f"resource {resource_id!r} has no outcome {after_seq} (the last is {last}): it was opened again"
                )
            return _page(row, await look.rows("list_outcomes", row["rk"], after_seq, limit, size, last))

    @contextmanager
    def hint(self, resource_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the resource may have news; now and then, as another node may have them."""
        with self._hints.of(resource_id) as event:

            async def look_again() -> None:
                while True:
                    await asyncio.sleep(LATE)
                    event.set()

            task = asyncio.get_running_loop().create_task(look_again())
            try:
                yield event
            finally:
                task.cancel()

    async def deliveries(
        self, wanted: DeliveryFilter, *, after: str = "", limit: int = 100, size: int = UNBOUNDED
    ) -> DeliveryPage:
        """A page of deliveries."""
        async with self._reader.look(whole=True) as look:
            return await deliveries.page(look, wanted, after, limit, size)

    async def delivery(self, delivery_id: str) -> DeliveryDetail:
        """One delivery and its history."""
        async with self._reader.look(whole=True) as look:
            return await deliveries.detail(look, delivery_id)

    async def paused(self) -> Mapping[str, Pause]:
        """The endpoints that are paused."""
        async with self._reader.look() as look:
            rows = await look.rows("paused_endpoints")
        return {endpoint: Pause(since=rfc3339(since), reason=reason) for endpoint, since, reason in rows}

    async def due_endpoints(self) -> frozenset[str]:
        """The endpoints that have a delivery due."""
        async with self._reader.look() as look:
            rows = await look.rows("due_endpoints", await look.value("now"))
        return frozenset(row["endpoint"] for row in rows)

    async def counts(self) -> Counts:
        """The counts of the store."""
        async with self._reader.look() as look:
            row = await look.row("counts")
        return Counts(**dict(row or {}))

    async def nodes(self, *, limit: int = 100) -> Sequence[NodeReport]:
        """The nodes."""
        async with self._reader.look() as look:
            rows = await look.rows("list_nodes", limit)
        return [
            NodeReport(
                id=row["node"],
                name=row["name"],
                version=row["version"],
                since=rfc3339(row["since"]),
                beat=row["beat"],
                leased=row["leased"],
                here=row["node"] == self.node,
            )
            for row in rows
        ]

    async def audit(self, *, after: int | None = None, limit: int = 100, size: int = UNBOUNDED) -> AuditPage:
        """A page of the audit log."""
        async with self._reader.look() as look:
            rows = await look.rows("list_audit", acts.NEWEST if after is None else after, limit + 1)
        return acts.page(rows, limit, size)


def _ended_by(row: asyncpg.Record) -> EndedBy | None:
    return None if row["ended_by"] is None else EndedBy(row["ended_by"])


async def _lacking(look: Statements, row: asyncpg.Record) -> tuple[FirstRanges, FirstRanges]:
    """The indexes of the resource *row* that were never received, and those without an outcome."""
    (first, _), received, seen = span(row["rk"]), row["received"], row["highest"] + 1
    end, waiting = seen if row["total"] is None else row["total"], received - row["done"] - row["failed"]
    missing = await ranges.first_ranges(look, ranges.missing, first=first, end=end, count=end - received)
    unfinished = await ranges.first_ranges(look, ranges.unfinished, first=first, end=seen, count=waiting)
    return missing, unfinished


async def _find(look: Statements, resource_id: str) -> asyncpg.Record:
    row = await look.row("report", clean(resource_id))
    if row is None:
        raise tombstones.unknown(resource_id, await look.row("tombstone", clean(resource_id)))
    return row


async def _find_generation(look: Statements, resource_id: str, webhook: str | None) -> asyncpg.Record:
    row = await _find(look, resource_id)
    name = webhook_id_of(row["id"], row["generation"])
    if webhook not in {None, name}:
        raise Conflict(f"resource {resource_id!r} was opened again: its webhook id is {name}")
    return row


def _page(row: asyncpg.Record, rows: Sequence[asyncpg.Record]) -> OutcomePage:
    """The page of the resource *row* with outcomes, each output verified against its checksum. `Damaged`."""
    shown = [one for one in rows if one["shown"]]
    return OutcomePage(
        webhook_id=webhook_id_of(row["id"], row["generation"]),
        state=State(row["state"]),
        completed_by=_ended_by(row),
        total=row["total"],
        outcomes=[
            OutcomeReport(one["seq"], one["index"], None, one["reason"], one["attempts"])
            if one["output"] is None
            else OutcomeReport(one["seq"], one["index"], check_output(one["index"], one["output"], one["crc"]))
            for one in shown
        ],
        more=len(rows) > len(shown),
    )
