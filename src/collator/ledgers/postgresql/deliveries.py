"""The views of deliveries: lists in pages, one with its history, and which are wanted for a replay.

Deliveries are listed in the order of their handles; that is the cursor, so that a page is exact whatever endpoints a
resource has. One look goes through `LOOKED` of them at most, so that no filter, however little fits it, holds up other
views: the page is then short, and says where the next begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from collator.clock import rfc3339
from collator.errors import Unknown
from collator.ledgers.postgresql.step import Statements, clean
from collator.ledgers.prefix import behind
from collator.ledgers.stretch import LOOKED, NOTHING, Stretch
from collator.messages import (
    LOG,
    AttemptReport,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
    DeliveryReport,
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


class Found(NamedTuple):
    """Deliveries, and where to go on."""

    rows: Sequence[asyncpg.Record]
    after: str | None
    where: Stretch
    """The rows that are looked through."""

    def delivery_rows(self) -> list[int]:
        """The handles."""
        return [row["did"] for row in self.rows]


async def page(look: Statements, wanted: DeliveryFilter, after: str, limit: int, size: int) -> DeliveryPage:
    """A page of those that are *wanted*. `Malformed`, `Unknown`."""
    found = await find(look, wanted, after, limit)
    shown = fitting(await _reports(look, found.rows), size)
    places = [found.where.behind(row["did"], newest=wanted.newest) for row in found.rows[: len(shown)]]
    last = places[-1] if len(shown) < len(found.rows) else found.after
    return DeliveryPage(deliveries=shown, after=last, places=places)


async def of(look: Statements, resource_row: int) -> tuple[Sequence[DeliveryReport], int]:
    """Some deliveries of a resource, by its handle, and how many there are beside them."""
    rows = await look.rows("deliveries_of", resource_row, SHOWN)
    if not rows:
        return [], 0
    shown = len(fitting(await _reports(look, rows), SHOWN_SIZE))
    kept = sorted(rows[:shown], key=lambda row: int(row["did"]))
    return await _reports(look, kept), rows[0]["number"] - shown


async def detail(look: Statements, name: str) -> DeliveryDetail:
    """The delivery with the id *name*, and its history. `Unknown`."""
    delivery_row, resource_row = await locate(look, name)
    rows, _ = await _look(look, Stretch("one", resource_row, delivery_row - 1, delivery_row), DeliveryFilter(), 1)
    (report,) = await _reports(look, rows)
    history = reversed(await look.rows("delivery_history", delivery_row, LOG))
    log = [
        AttemptReport(attempt=attempt, at=rfc3339(at), seconds=round(seconds, 6), result=result, reason=reason)
        for attempt, at, seconds, result, reason in history
    ]
    answer = answer_report(await look.value("delivery_answer", delivery_row))
    return DeliveryDetail(**msgspec.structs.asdict(report), log=log, answer=answer)


async def find_to_replay(look: Statements, wanted: DeliveryFilter, after: str, limit: int) -> Found:
    """As `find`, but `Unknown` where a resource that is named has no delivery."""
    if wanted.resource_id is not None:
        rows, _ = await _look(look, await _where(look, wanted), DeliveryFilter(), 1)
        if not rows:
            raise Unknown(f"resource {wanted.resource_id!r} has no delivery")
    return await find(look, wanted, after, limit)


async def find(look: Statements, wanted: DeliveryFilter, after: str, limit: int) -> Found:
    """Up to *limit* of those that are *wanted*, from the cursor *after* on. `Malformed`, `Unknown`."""
    where = await _where(look, wanted)
    if after:
        where = where.onward(after)
    rows, last = await _look(look, where, wanted, limit)
    if last is None:
        return Found(rows, None, where)
    return Found(rows, where.behind(last, newest=wanted.newest), where)


async def locate(look: Statements, name: str) -> tuple[int, int]:
    """The handles of the delivery with the id *name* and of its resource. `Unknown`."""
    parsed = parse_delivery_id(name)
    if parsed is not None:
        webhook, _, endpoint = parsed
        for did, rk, _ in await _of_webhook(look, webhook, clean(endpoint)):
            return did, rk
    raise Unknown(f"delivery {quoted(name)} is unknown: it never existed, or was purged")


async def _of_webhook(look: Statements, webhook: str, endpoint: str | None = None) -> list[tuple[int, int, str]]:
    """Of each delivery under the id *webhook*, to *endpoint* or to all: its handle, and its resource."""
    number = parse_webhook_id(webhook)
    numbered = [] if number is None else await look.rows("resources_by_number", number, endpoint)
    return [(did, rk, id_) for did, rk, id_, generation in numbered if webhook_id(id_, generation) == webhook]


async def _where(look: Statements, wanted: DeliveryFilter) -> Stretch:
    if wanted.id is not None:
        delivery_row, resource_row = await locate(look, wanted.id)
        return Stretch("one", resource_row, delivery_row - 1, delivery_row)
    if wanted.webhook_id is not None:  # a generation has its deliveries at its end, and no other any in between
        of_id = await _of_webhook(look, wanted.webhook_id)
        rows = [(row, of) for row, of, resource_id in of_id if wanted.resource_id in {None, resource_id}]
        return Stretch("one", rows[0][1], min(rows)[0] - 1, max(rows)[0]) if rows else NOTHING
    until = await look.value("last_delivery")
    if wanted.resource_id is not None:
        handle = await look.value("resource_handle", clean(wanted.resource_id))
        return Stretch("one", handle or 0, 0, until)  # 0: of none
    source = "undelivered" if wanted.state in {DeliveryState.DUE, DeliveryState.DEAD} else "all"
    return Stretch(source, 0, 0, until)


async def _look(
    look: Statements, where: Stretch, wanted: DeliveryFilter, limit: int
) -> tuple[list[asyncpg.Record], int | None]:
    """Up to *limit* rows that fit, and the last one behind which there may be more; `None` where there are none."""
    endpoint = None if wanted.endpoint is None else clean(wanted.endpoint)
    reason = None if wanted.reason is None else clean(wanted.reason)
    fits = (wanted.state, endpoint, clean(wanted.prefix), behind(clean(wanted.prefix)), wanted.since, wanted.until)
    looked = await look.rows("list_deliveries", *where, LOOKED, *fits, reason, wanted.newest)
    rows = [row for row in looked if row["fits"]]
    if len(rows) >= limit:
        return rows[:limit], rows[limit - 1]["did"] if limit else where.first
    return rows, looked[-1]["did"] if len(looked) == LOOKED else None


async def _reports(look: Statements, rows: Sequence[asyncpg.Record]) -> list[DeliveryReport]:
    now = await look.value("now") if rows else 0.0
    return [_report(row, now) for row in rows]


def _report(row: asyncpg.Record, now: float) -> DeliveryReport:
    webhook, state = webhook_id(row["id"], row["generation"]), DeliveryState(row["state"])
    return DeliveryReport(
        id=delivery_id(webhook, row["endpoint"]),
        resource_id=row["id"],
        webhook_id=webhook,
        endpoint=row["endpoint"],
        state=state,
        attempts=row["attempts"],
        reason=row["reason"],
        created_at=rfc3339(row["created_at"]),
        attempted_at=None if row["tried_at"] is None else rfc3339(row["tried_at"]),
        due_in=max(0.0, row["due_at"] - now) if state is DeliveryState.DUE else None,
    )
