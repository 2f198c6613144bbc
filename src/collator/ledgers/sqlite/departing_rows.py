"""The rows of a data directory as those of the ledger into which they are moved. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from collator.errors import Damaged
from collator.ledgers.move_slices import MoveStage, Row, RowSlice, Shift
from collator.ledgers.sqlite.outruns import outputs_of, verified
from collator.rules.resource import INDEX_BITS, INDEX_MASK

NEVER = 1e15
"""When the lease on a packet ends whose service was killed: its node is found dead before."""

INDEXES = 5
"""The column of a run of outputs that has its indexes."""

SourceRows = Sequence[Sequence[Any]]
"""Rows as the statement of a stage gives them."""


def slice_of(stage: MoveStage, found: SourceRows, shift: Shift, attempts: SourceRows) -> RowSlice:
    """The rows *found* of *stage* as they are in the target; of deliveries, with the *attempts* before the last.

    `Damaged` where a checksum differs.
    """
    rows: dict[str, Sequence[Row]]
    match stage:
        case MoveStage.PACKETS:
            rows = _packets(found, shift)
        case MoveStage.OUTCOMES:
            rows = {"outcome": [outcome for row in found for outcome in _outcomes(row, shift)]}
        case MoveStage.SUPERSEDED:
            rows = {"superseded": [_superseded(row, shift) for row in found]}
        case MoveStage.DELIVERIES:
            rows = {
                "delivery": [_delivery(row, shift) for row in found],
                "delivery_log": [(row[0] + shift.delivery, *row[1:5], clean(row[5])) for row in attempts],
            }
        case MoveStage.RESOURCES:
            rows = {"resource": [_resource(row, shift) for row in found]}
        case MoveStage.TOMBSTONES:
            rows = {"tombstone": [(*row[1:7], row[7] + shift.clock) for row in found]}
        case MoveStage.DELIVERED:
            rows = {"tombstone": [(*row[1:], shift.moved_at) for row in found]}
    return RowSlice(stage, found[-1][0], rows)


def clean(text: str | None) -> str | None:
    """*text* without NUL, which not all ledgers can store."""
    return None if text is None else text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _packets(found: SourceRows, shift: Shift) -> dict[str, Sequence[Row]]:
    waiting: dict[int, list[int]] = {}
    in_work: dict[int, list[tuple[int, int, int, bool]]] = {}
    attempts: list[Row] = []
    packets: list[Row] = []
    for k, payload, crc, unfinished, ready, used, deaths, alone, due_at, reason in found:
        key = k + (shift.resource << INDEX_BITS)
        row, index = key >> INDEX_BITS, key & INDEX_MASK
        if zlib.crc32(payload) != crc:
            raise Damaged(
                f"the payload of index {index} of a resource does not match its checksum; collator check says of which"
            )
        packets.append((key, payload, crc))
        if not unfinished:
            continue
        suspect = bool(alone and alone % 2)
        if used is not None:
            stops = (alone + 1) // 2
            attempts.append((key, used, deaths, stops, suspect, _later(due_at, shift.clock), clean(reason)))
        if ready:
            waiting.setdefault(row, []).append(index)
        elif due_at is None and not suspect:
            in_work.setdefault(row, []).append((index, len(payload), (used or 0) + 1, used is not None))
    leases = [_lease(row, held, shift) for row, held in in_work.items()]
    runs = [(row, indexes[0], indexes) for row, indexes in waiting.items()]
    return {"packet": packets, "waiting": runs, "attempt": attempts, "lease": leases}


def _lease(row: int, held: Sequence[tuple[int, int, int, bool]], shift: Shift) -> Row:
    """The lease on packets that were in work: no other has a token below 0."""
    indexes, sizes, attempts, tried = ([*column] for column in zip(*held, strict=True))
    return -(row << INDEX_BITS | held[0][0]), shift.node, row, NEVER, indexes, sizes, attempts, tried, False, 0.0


def _outcomes(row: Sequence[Any], shift: Shift) -> Iterator[Row]:
    """The outcomes of a run, one by one."""
    _, rk, seq, attempts, reason, indexes, crc, outputs = row
    first = (rk + shift.resource) << INDEX_BITS
    if outputs is None:
        (index,) = verified(indexes, b"", crc)
        yield first | index, None, 0, clean(reason), attempts, seq
    else:
        for number, (index, output) in enumerate(outputs_of(indexes, outputs, crc), seq):
            yield first | index, output, zlib.crc32(output), None, attempts, number


def _superseded(row: Sequence[Any], shift: Shift) -> Row:
    number, rk, generation, closed_at, done, body_size, last_seq, head, tail, crc, wid = row
    _check_frame(head, tail, crc)
    handles = shift.superseded - number, rk + shift.resource
    return *handles, bytes.fromhex(generation), closed_at, done, body_size, last_seq, head, tail, crc, wid


def _delivery(row: Sequence[Any], shift: Shift) -> Row:
    did, rk, endpoint, large, state, attempts, step, due_at, reason, note, *last = row
    owner = rk + (shift.resource if rk > 0 else shift.superseded)
    said = clean(reason), clean(note)
    return did + shift.delivery, owner, endpoint, bool(large), state, attempts, step, due_at + shift.clock, *said, *last


def _resource(row: Sequence[Any], shift: Shift) -> Row:
    rk, id_, generation, *middle, opened_at, active_at, idle_at, deadline_at, closed_at, ended_by, seen = row[:20]
    head, tail, crc, wid, purge_at = row[20:]
    _check_frame(head, tail, crc)
    times = opened_at, active_at + shift.uptime, _later(idle_at, shift.uptime), _later(deadline_at, shift.clock)
    end = closed_at, ended_by, seen, head, tail, crc, wid, _later(purge_at, shift.clock)
    return rk + shift.resource, id_, bytes.fromhex(generation), *middle, *times, *end


def _later(at: float | None, by: float) -> float | None:
    return None if at is None else at + by


def _check_frame(head: bytes | None, tail: bytes | None, crc: int | None) -> None:
    if crc is not None and zlib.crc32(tail or b"", zlib.crc32(head or b"")) != crc:
        raise Damaged("the frame of a body does not match its checksum; collator check says of which resource")
