"""The views: a connection and a thread of their own, so that looking never waits for a commit.

A view is one snapshot, which ends before its answer is passed on. Pages are keyset pages: as quick at the end of a long
list as at its beginning. Views have the thread in the order in which they asked, each for some milliseconds: one that
takes longer (`ranges`) goes back to the end of the queue, and may see a later commit then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from collator.clock import rfc3339
from collator.errors import Conflict, Unknown
from collator.ledgers.sqlite import audit, outcome_pages, packet_views, ranges, resource_pages, searches, tombstones
from collator.ledgers.sqlite.closure import span
from collator.ledgers.sqlite.deliveries import DeliveryViews
from collator.ledgers.sqlite.looks import Looks
from collator.ledgers.sqlite.output_map import OutputMaps
from collator.ledgers.sqlite.pieces import BodyReader
from collator.ledgers.sqlite.ranges import RangeSearch
from collator.ledgers.sqlite.retry_views import UnfinishedViews
from collator.ledgers.sqlite.statements import load_statements
from collator.ledgers.sqlite.store import connect, first_row
from collator.messages import (
    AuditPage,
    Delivery,
    OutcomePage,
    OutcomeReport,
    PacketDetail,
    PacketReport,
    ResourceReport,
    ResourceSearch,
    ResourceSearchPage,
    ResourceSummary,
    webhook_id,
)
from collator.paging import fitting
from collator.states import EndedBy, State

R = TypeVar("R")

FAILURES_SHOWN, FAILURES_SIZE = 100, 64 * 1024
"""Failures of a resource that are shown, and their bytes."""


class _Row(msgspec.Struct):
    resource_row: int
    resource_id: str
    generation: str
    state: State
    completed_by: EndedBy | None
    total: int | None
    metadata: msgspec.Raw
    received: int
    highest: int
    done: int
    failed: int
    withdrawn: int
    opened_at: float
    closed_at: float | None
    superseded: str | None

    @property
    def webhook_id(self) -> str:
        return webhook_id(self.resource_id, bytes.fromhex(self.generation))

    @property
    def supersedes(self) -> str | None:
        before = self.superseded
        return None if before is None else webhook_id(self.resource_id, bytes.fromhex(before))


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_failures = msgspec.json.Decoder(list[tuple[int, str, int]]).decode


class ResourceLook(NamedTuple):
    """A report on a resource in the making: what is found, and the searches that go on."""

    found: ResourceReport
    missing: RangeSearch
    unfinished: RangeSearch

    def report(self) -> ResourceReport:
        """All of it, as far as it is found."""
        return msgspec.structs.replace(
            self.found,
            missing=self.missing.ranges,
            missing_more=self.missing.more,
            unfinished=self.unfinished.ranges,
            unfinished_more=self.unfinished.more,
        )


class Reader(Looks):
    """Reads what is committed."""

    def __init__(self, path: Path, *, now: Callable[[], float]) -> None:
        """Open a reading connection to the database at *path*; *now* is the ledger's time."""
        super().__init__(connect(path, readonly=True))
        self.deliveries = DeliveryViews(self._value, now=now)
        self._now = now
        self.unfinished = UnfinishedViews(self._value)
        self._statements = load_statements()
        self._maps = OutputMaps(self._connection, self._statements)
        self._bodies = BodyReader(self._connection, self._statements, self._maps)

    async def body(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """The body of *delivery* in pieces. `Unknown`, `Damaged`, `Unavailable`."""
        if delivery.body is not None:
            yield delivery.body
            return
        pieces = self._bodies.pieces(delivery)
        while (piece := await self.ask(next, pieces, None)) is not None:
            if piece:
                yield piece

    async def ask_in_turns(self, view: Callable[..., Iterator[R | None]], *arguments: object) -> R:
        """Call *view* as `ask` does; it gives `None` where others have their turn, and its answer at last."""
        turns = view(*arguments)
        answer: R | None = None
        while answer is None:
            answer = await self.ask(next, turns)
        return answer

    async def report(self, resource_id: str) -> ResourceReport:
        """All about one resource: what is looked for long gives way to others meanwhile. `Unknown`."""
        look = await self.ask(self._resource, resource_id)
        for search in (look.missing, look.unfinished):
            while not search.over:
                await self.ask(search.advance, self._value)
        return look.report()

    def _resource(self, resource_id: str) -> ResourceLook:
        row = self._find(resource_id)
        first, last = span(row.resource_row)
        end = row.highest + 1 if row.total is None else row.total
        look = ResourceLook(
            self._report(row, first, last),
            RangeSearch(ranges.missing, first=first, end=end, count=end - row.received),
            RangeSearch(
                ranges.unfinished(self._maps.of(row.resource_row)),
                first=first,
                end=row.highest + 1,
                count=row.received - row.done - row.failed,
            ),
        )
        look.missing.advance(self._value)
        look.unfinished.advance(self._value)
        return look

    def _report(self, row: _Row, first: int, last: int) -> ResourceReport:
        failures = _decode_failures(self._value("failures_of", first, last, FAILURES_SHOWN)) if row.failed else []
        shown = fitting([PacketReport(*failure) for failure in failures], FAILURES_SIZE)
        unfinished = row.received - row.done - row.failed
        retrying, retrying_more = (
            packet_views.retrying(self._value, first, last, self._now()) if unfinished else ((), False)
        )
        deliveries, deliveries_more = self.deliveries.of(row.resource_row)
        return ResourceReport(
            resource_id=row.resource_id,
            webhook_id=row.webhook_id,
            supersedes=row.supersedes,
            state=row.state,
            completed_by=row.completed_by,
            total=row.total,
            metadata=msgspec.Raw(bytes(row.metadata)),
            received=row.received,
            done=row.done,
            failed=row.failed,
            missing=(),
            unfinished=(),
            retrying=retrying,
            retrying_more=retrying_more,
            failures=shown,
            failures_more=row.failed - len(shown),
            opened_at=rfc3339(row.opened_at),
            closed_at=None if row.closed_at is None else rfc3339(row.closed_at),
            deliveries=deliveries,
            deliveries_more=deliveries_more,
        )

    def packet(self, resource_id: str, index: int) -> Iterator[PacketDetail | None]:
        """One packet, in turns. `Unknown`, `Damaged`."""
        while not (where := self._maps.of((row := self._find(resource_id)).resource_row)).advance():
            yield None
        detail = packet_views.detail(
            self._value, where, row.resource_row, index, is_open=row.state is State.OPEN, now=self._now()
        )
        if detail is None:
            raise Unknown(f"resource {resource_id!r} has not received a packet with index {index}")
        yield detail

    def resources(
        self, state: State | None, prefix: str, after: str, limit: int
    ) -> Iterator[Sequence[ResourceSummary] | None]:
        """A page of resources, in turns."""
        return resource_pages.by_id(self._value, state, prefix, after, limit)

    def search(self, wanted: ResourceSearch, after: str, limit: int) -> ResourceSearchPage:
        """A page of a search. `Malformed`."""
        return searches.search(self._value, wanted, after, limit)

    def audit(self, after: int | None, limit: int, size: int) -> AuditPage:
        """A page of the audit log, the latest first."""
        return audit.page(self._value, after, limit, size)

    def outputs(
        self, resource_id: str, webhook: str | None, after: int, limit: int, size: int
    ) -> Iterator[OutcomePage | None]:
        """A page of outputs in index order, in turns. `Unknown`, `Conflict`, `Damaged`."""
        row = self._find_generation(resource_id, webhook)
        for found in outcome_pages.by_index(self._maps.of(row.resource_row), after, limit, size):
            yield None if found is None else _page(row, *found)

    def outcomes(self, resource_id: str, webhook: str | None, after: int, limit: int, size: int) -> OutcomePage:
        """A page of outcomes in the order of their numbers. `Unknown`, `Conflict`, `Damaged`."""
        row = self._find_generation(resource_id, webhook)
        last = row.done + row.failed + row.withdrawn
        if after > last:
            raise Conflict(f"resource {resource_id!r} has no outcome {after} (the last is {last}): it was opened again")
        runs = self._connection.execute(self._statements["outruns_from"], (row.resource_row, after + 1))
        return _page(row, *outcome_pages.by_number(runs, after, limit, size))

    def _find(self, resource_id: str) -> _Row:
        found = self._text("report", resource_id)
        if found is None:
            raise tombstones.unknown(resource_id, self._text("tombstone", resource_id))
        return _decode_row(found.encode())

    def _find_generation(self, resource_id: str, webhook: str | None) -> _Row:
        row = self._find(resource_id)
        if webhook not in {None, row.webhook_id}:
            raise Conflict(f"resource {resource_id!r} was opened again: its webhook id is {row.webhook_id}")
        return row

    def _text(self, name: str, *parameters: object) -> str | None:
        row = first_row(self._connection, self._statements[name], parameters)
        return None if row is None else row[0]

    def _value(self, name: str, *parameters: object, empty: str = "[]") -> bytes:
        return (self._text(name, *parameters) or empty).encode()


def _page(row: _Row, outcomes: Sequence[OutcomeReport], more: bool) -> OutcomePage:  # noqa: FBT001 - as a page is found
    return OutcomePage(
        webhook_id=row.webhook_id,
        state=row.state,
        completed_by=row.completed_by,
        total=row.total,
        outcomes=outcomes,
        more=more,
    )
