"""The views of packets: one with all that is stored of it, and those of a resource that are tried again."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from collator.errors import Damaged
from collator.ledgers.postgresql.bodies import check_output
from collator.ledgers.postgresql.step import Statements
from collator.messages import PacketDetail, RetryReport
from collator.paging import fitting
from collator.states import PacketState

SHOWN, SIZE = 100, 64 * 1024
"""Packets of a resource that are shown as tried again, and their bytes."""


async def retrying(look: Statements, first: int, last: int) -> tuple[Sequence[RetryReport], bool]:
    """The packets of the keys *first* to *last* that are tried again, and whether there are others."""
    rows, now = await look.rows("retrying_of", first, last, SHOWN + 1), await look.value("now")
    reports = [RetryReport(index, reason, attempts, _due_in(due_at, now)) for index, reason, attempts, due_at in rows]
    shown = fitting(reports[:SHOWN], SIZE)
    return shown, len(rows) > len(shown)


async def detail(look: Statements, resource_row: int, index: int, *, is_open: bool) -> PacketDetail | None:
    """The packet *index* of *resource_row*; `None` where there is none. `Damaged`."""
    row = await look.row("packet_detail", resource_row, index)
    if row is None:
        return None
    payload = row["payload"]
    if zlib.crc32(payload) != row["crc"]:
        raise Damaged(f"the payload of index {index} does not match its checksum")
    if not row["ended"]:
        state = (PacketState.WAITING if row["waits"] else PacketState.LEASED) if is_open else None
        return PacketDetail(
            state=state,
            attempts=row["attempts"],
            reason=row["reason"],
            due_in=_due_in(row["due_at"], await look.value("now")),
            payload=payload,
            output=None,
            seq=None,
        )
    output = row["output"]
    return PacketDetail(
        state=PacketState.FAILED if output is None else PacketState.DONE,
        attempts=row["used"],
        reason=row["failure"] if output is None else "",
        due_in=None,
        payload=payload,
        output=None if output is None else check_output(index, output, row["output_crc"]),
        seq=row["seq"],
    )


def _due_in(due_at: float | None, now: float) -> float | None:
    return None if due_at is None else round(max(0.0, due_at - now), 3)
