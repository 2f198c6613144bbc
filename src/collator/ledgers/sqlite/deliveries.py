"""The views of deliveries: lists in pages, one with its history, and which endpoints have something due.

Deliveries are listed in the order in which they were created; their handle is the cursor, so that a page is exact
whatever endpoints a resource has. One look goes through `LOOKED` of them at most, so that no filter, however little
fits it, holds up other views: the page is then short, and says where the next begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from collator.clock import rfc3339
from collator.errors import Unknown
from collator.ledgers.prefix import behind
from collator.ledgers.stretch import LOOKED, NOTHING, Stretch
from collator.messages import (
    LOG,
    AttemptReport,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
    DeliveryReport,
    Pause,
    delivery_id,
    parse_delivery_id,
    parse_webhook_id,
    webhook_id,
)
from collator.paging import fitting
from collator.rules.deliveries import answer_report
from collator.states import DeliveryState
from collator.text import quoted

SHOWN, SHOWN_SIZE = 100, 96 * 1024
"""Deliveries that the view of their resource has, and their bytes."""

_Row = tuple[int, str, str, str, DeliveryState, int, str, float | None, float, float]


class _Looked(msgspec.Struct):
    looked: int
    last: int | None
    rows: list[_Row]


class _Of(msgspec.Struct):
    count: int
    rows: list[_Row]


class Found(NamedTuple):
    """Deliveries by handle, and where to go on."""

    rows: Sequence[_Row]
    after: str | None
    where: Stretch
    """The rows that are looked through."""

    def delivery_rows(self) -> list[int]:
        """The handles."""
        return [row[0] for row in self.rows]


_decode_looked = msgspec.json.Decoder(_Looked).decode
_decode_of = msgspec.json.Decoder(_Of).decode
_decode_numbered = msgspec.json.Decoder(list[tuple[int, int, str, str]]).decode
_decode_history = msgspec.json.Decoder(list[tuple[int, float, float, str, str]]).decode
_decode_paused = msgspec.json.Decoder(list[tuple[str, float, str]]).decode
_decode_names = msgspec.json.Decoder(frozenset[str]).decode


class DeliveryViews:
    """Views of deliveries, on the connection of a reader."""

    def __init__(self, value: Callable[..., bytes], *, now: Callable[[], float]) -> None:
        """*value* gives what a named statement gives, as JSON; *now* is the ledger's time."""
        self._value, self._now = value, now

    def page(self, wanted: DeliveryFilter, after: str, limit: int, size: int) -> DeliveryPage:
        """A page of those that are *wanted*. `Malformed`, `Unknown`."""
        found = self.find(wanted, after, limit)
        shown = fitting(self._reports(found.rows), size)
        places = [found.where.behind(row[0], newest=wanted.newest) for row in found.rows[: len(shown)]]
        last = places[-1] if len(shown) < len(found.rows) else found.after
        return DeliveryPage(deliveries=shown, after=last, places=places)

    def of(self, resource_row: int) -> tuple[Sequence[DeliveryReport], int]:
        """Some deliveries of a resource, by its handle, and how many there are beside them."""
        found = _decode_of(self._value("deliveries_of", resource_row, SHOWN))
        shown = len(fitting(self._reports(found.rows), SHOWN_SIZE))
        return self._reports(sorted(found.rows[:shown])), found.count - shown

    def detail(self, name: str) -> DeliveryDetail:
        """The delivery with the id *name*, and its history. `Unknown`."""
        delivery_row, resource_row = self._locate(name)
        (report,) = self._reports(
            self._look(Stretch("one", resource_row, delivery_row - 1, delivery_row), DeliveryFilter(), 1).rows
        )
        log = [
            AttemptReport(attempt=attempt, at=rfc3339(at), seconds=round(seconds, 6), result=result, reason=reason)
            for attempt, at, seconds, result, reason in _decode_history(
                self._value("delivery_history", delivery_row, LOG)
            )
        ]
        answer = answer_report(self._value("delivery_answer", delivery_row))
        return DeliveryDetail(**msgspec.structs.asdict(report), log=log, answer=answer)

    def delivery_row(self, name: str) -> int:
        """The handle of the delivery with the id *name*. `Unknown`."""
        return self._locate(name)[0]

    def find_to_replay(self, wanted: DeliveryFilter, after: str, limit: int) -> Found:
        """As `find`, but `Unknown` where a resource that is named has no delivery."""
        if wanted.resource_id is not None and not self._look(self._where(wanted), DeliveryFilter(), 1).rows:
            raise Unknown(f"resource {wanted.resource_id!r} has no delivery")
        return self.find(wanted, after, limit)

    def find(self, wanted: DeliveryFilter, after: str, limit: int) -> Found:
        """Up to *limit* of those that are *wanted*, from the cursor *after* on. `Malformed`, `Unknown`."""
        where = self._where(wanted)
        if after:
            where = where.onward(after)
        looked = self._look(where, wanted, limit)
        if len(looked.rows) == limit:
            last = looked.rows[-1][0]
        elif looked.looked == LOOKED and looked.last is not None:
            last = looked.last
        else:
            return Found(looked.rows, None, where)
        return Found(looked.rows, where.behind(last, newest=wanted.newest), where)

    def paused(self) -> dict[str, Pause]:
        """The endpoints that are paused."""
        rows = _decode_paused(self._value("paused_endpoints"))
        return {endpoint: Pause(since=rfc3339(since), reason=reason) for endpoint, since, reason in rows}

    def due_endpoints(self) -> frozenset[str]:
        """The endpoints that have something due."""
        return _decode_names(self._value("due_endpoints", self._now()))

    def _where(self, wanted: DeliveryFilter) -> Stretch:
        if wanted.id is not None:
            delivery_row, resource_row = self._locate(wanted.id)
            return Stretch("one", resource_row, delivery_row - 1, delivery_row)
        if wanted.webhook_id is not None:  # a generation has its deliveries at its end, and no other any in between
            of_id = self._of_webhook(wanted.webhook_id)
            rows = [(row, of) for row, of, resource_id in of_id if wanted.resource_id in {None, resource_id}]
            return Stretch("one", rows[0][1], min(rows)[0] - 1, max(rows)[0]) if rows else NOTHING
        until = int(self._value("last_delivery"))
        if wanted.resource_id is not None:
            return Stretch("one", int(self._value("resource_handle", wanted.resource_id)), 0, until)  # 0: of none
        source = "undelivered" if wanted.state in {DeliveryState.DUE, DeliveryState.DEAD} else "all"
        return Stretch(source, 0, 0, until)

    def _look(self, where: Stretch, wanted: DeliveryFilter, limit: int) -> _Looked:
        fits = (wanted.state, wanted.endpoint, wanted.prefix, behind(wanted.prefix), wanted.since, wanted.until)
        asked = (*where, LOOKED, *fits, wanted.reason, wanted.newest, limit)
        return _decode_looked(self._value("list_deliveries", *asked))

    def _locate(self, name: str) -> tuple[int, int]:
        """The handles of the delivery with the id *name*, and of its resource."""
        parsed = parse_delivery_id(name)
        if parsed is not None:
            webhook, _, endpoint = parsed
            for delivery_row, resource_row, _ in self._of_webhook(webhook, endpoint):
                return delivery_row, resource_row
        raise Unknown(f"delivery {quoted(name)} is unknown: it never existed, or was purged")

    def _of_webhook(self, webhook: str, endpoint: str | None = None) -> list[tuple[int, int, str]]:
        """Of each delivery under the id *webhook*, to *endpoint* or to all: its handle, and its resource."""
        number = parse_webhook_id(webhook)
        numbered = [] if number is None else _decode_numbered(self._value("resources_by_number", number, endpoint))
        return [
            (delivery_row, resource_row, resource_id)
            for delivery_row, resource_row, resource_id, generation in numbered
            if webhook_id(resource_id, bytes.fromhex(generation)) == webhook
        ]

    def _reports(self, rows: Sequence[_Row]) -> list[DeliveryReport]:
        now = self._now()
        return [self._report(row, now) for row in rows]

    @staticmethod
    def _report(row: _Row, now: float) -> DeliveryReport:
        _, resource_id, generation, endpoint, state, attempts, reason, tried_at, due_at, created_at = row
        webhook = webhook_id(resource_id, bytes.fromhex(generation))
        return DeliveryReport(
            id=delivery_id(webhook, endpoint),
            resource_id=resource_id,
            webhook_id=webhook,
            endpoint=endpoint,
            state=state,
            attempts=attempts,
            reason=reason,
            created_at=rfc3339(created_at),
            attempted_at=None if tried_at is None else rfc3339(tried_at),
            due_in=max(0.0, due_at - now) if state is DeliveryState.DUE else None,
        )
