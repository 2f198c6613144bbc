"""The views of deliveries: lists in pages, one with its history, and which are wanted for a replay.

Deliveries are listed in the order of their handles; that is the cursor, so that a page is exact whatever endpoints a
resource has. One look goes through `LOOKED` of them at most, so that no filter, however little fits it, holds up other
views: the page is then short, and says where the next begins.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from collator.clock import rfc3339
from collator.errors import Malformed, Unknown
from collator.ledgers.postgresql.step import Statements, clean
from collator.ledgers.prefix import behind
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

LOOKED = 4_000
"""Deliveries that one look goes through."""
SHOWN, SHOWN_SIZE = 100, 96 * 1024
"""Deliveries that the view of their resource has, and their bytes."""

_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


class _Stretch(NamedTuple):
    """A range of rows to look at."""

    source: str
    """``all``, ``undelivered``, or ``one`` resource."""
    resource_row: int
    first: int
    """The handle behind which to begin."""
    until: int
    """The last handle."""


_NOTHING = _Stretch("one", 0, 0, 0)


class Found(NamedTuple):
    """Deliveries, and where to go on."""

    rows: Sequence[asyncpg.Record]
    after: str | None
    until: int
    """The last handle of all that are looked through."""

    def delivery_rows(self) -> list[int]:
        """The handles."""
        return [row["did"] for row in self.rows]


async def page(look: Statements, wanted: DeliveryFilter, after: str, limit: int, size: int) -> DeliveryPage:
    """A page of those that are *wanted*. `Malformed`, `Unknown`."""
    found = await find(look, wanted, after, limit)
    reports = await _reports(look, found.rows)
    shown = fitting(reports, size)
    if len(shown) < len(reports):
        return DeliveryPage(deliveries=shown, after=f"{found.rows[len(shown) - 1]['did']}-{found.until}")
    return DeliveryPage(deliveries=shown, after=found.after)


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
    rows, _ = await _look(look, _Stretch("one", resource_row, delivery_row - 1, delivery_row), DeliveryFilter(), 1)
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
        cursor = _CURSOR.fullmatch(after)
        if cursor is None:
            raise Malformed(f"cursor: {quoted(after)} is not a cursor of a previous page")
        where = where._replace(first=max(where.first, int(cursor[1])), until=min(where.until, int(cursor[2])))
    rows, last = await _look(look, where, wanted, limit)
    if last is None:
        return Found(rows, None, where.until)
    return Found(rows, f"{last}-{where.until}" if last < where.until else None, where.until)


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


async def _where(look: Statements, wanted: DeliveryFilter) -> _Stretch:
    if wanted.id is not None:
        delivery_row, resource_row = await locate(look, wanted.id)
        return _Stretch("one", resource_row, delivery_row - 1, delivery_row)
    if wanted.webhook_id is not None:  # a generation has its deliveries at its end, and no other any in between
        of_id = await _of_webhook(look, wanted.webhook_id)
        rows = [(row, of) for row, of, resource_id in of_id if wanted.resource_id in {None, resource_id}]
        return _Stretch("one", rows[0][1], min(rows)[0] - 1, max(rows)[0]) if rows else _NOTHING
    until = await look.value("last_delivery")
    if wanted.resource_id is not None:
        handle = await look.value("resource_handle", clean(wanted.resource_id))
        return _Stretch("one", handle or 0, 0, until)  # 0: of none
    source = "undelivered" if wanted.state in {DeliveryState.DUE, DeliveryState.DEAD} else "all"
    return _Stretch(source, 0, 0, until)


async def _look(
    look: Statements, where: _Stretch, wanted: DeliveryFilter, limit: int
) -> tuple[list[asyncpg.Record], int | None]:
    """Up to *limit* rows that fit, and the last one behind which there may be more; `None` where there are none."""
    endpoint = None if wanted.endpoint is None else clean(wanted.endpoint)
    fits = (wanted.state, endpoint, clean(wanted.prefix), behind(clean(wanted.prefix)), wanted.since)
    looked = await look.rows("list_deliveries", *where, LOOKED, *fits)
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
