"""The views of packets: one with all that is stored of it, and those of a resource that are tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from collator.ledgers.sqlite.bodies import check_payload
from collator.ledgers.sqlite.output_map import OutputMap
from collator.messages import PacketDetail, RetryReport
from collator.paging import fitting
from collator.rules.resource import INDEX_BITS
from collator.states import PacketState

SHOWN, SIZE = 100, 64 * 1024
"""Packets of a resource that are shown as tried again, and their bytes."""

_Failure = tuple[str, int, int]
_decode_detail = msgspec.json.Decoder(tuple[str, int, int, int, str, float | None, _Failure | None] | None).decode
_decode_retries = msgspec.json.Decoder(list[tuple[int, str, int, float | None]]).decode

StatementValue = Callable[..., bytes]
"""Gives what a statement gives, by its name and its parameters."""


def retrying(value: StatementValue, first: int, last: int, now: float) -> tuple[Sequence[RetryReport], bool]:
    """The packets of the keys *first* to *last* that are tried again at *now*, and whether there are others."""
    rows = _decode_retries(value("retrying_of", first, last, SHOWN + 1))
    reports = [RetryReport(index, reason, attempts, _due_in(due_at, now)) for index, reason, attempts, due_at in rows]
    shown = fitting(reports[:SHOWN], SIZE)
    return shown, len(rows) > len(shown)


def detail(
    value: StatementValue, where: OutputMap, resource_row: int, index: int, *, is_open: bool, now: float
) -> PacketDetail | None:
    """The packet *index* of *resource_row*, whose outputs are where *where* says, at *now*. `Damaged`.

    `None` where there is none.
    """
    row = _decode_detail(value("packet_detail", resource_row << INDEX_BITS | index, empty="null"))
    if row is None:
        return None
    text, crc, waits, attempts, reason, due_at, failure = row
    payload = check_payload(index, text, crc)
    run = where.run_of(index)
    if run is None and failure is None:
        state = (PacketState.WAITING if waits else PacketState.LEASED) if is_open else None
        due_in = _due_in(due_at, now)
        return PacketDetail(
            state=state, attempts=attempts, reason=reason, due_in=due_in, payload=payload, output=None, seq=None
        )
    if run is not None:
        state, reason, attempts = PacketState.DONE, "", run.attempts
        seq, output = next((seq, output) for seq, (i, output) in enumerate(where.outputs(run), run.seq) if i == index)
    else:
        state, output, (reason, attempts, seq) = PacketState.FAILED, None, failure
    return PacketDetail(
        state=state, attempts=attempts, reason=reason, due_in=None, payload=payload, output=output, seq=seq
    )


def _due_in(due_at: float | None, now: float) -> float | None:
    return None if due_at is None else round(max(0.0, due_at - now), 3)
