"""Bodies, read piece by piece: so much of a body as a piece has is in memory, however large it is (P5).

Every part is verified against its checksum before its last byte is given (P3), the frame before anything is. Each piece
is a look of its own. What a generation that has ended holds does not change, so that all looks see the same; a retry
between two of them adds outputs of another, which have higher numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator

import asyncpg

from collator.errors import Damaged, Unknown
from collator.ledgers.postgresql.bodies import check_output, framed_crc
from collator.ledgers.postgresql.reader import Reader
from collator.messages import Delivery
from collator.rules.body import around
from collator.rules.resource import INDEX_BITS, INDEX_MASK
from collator.states import State

PIECE = 256 * 1024
"""Bytes that are read of the store for one piece."""
_EVERY = 2**31 - 1
"""A number that no output has."""
_MOST_OUTPUTS = 4096
"""Outputs in a piece."""


async def pieces_of(reader: Reader, delivery: Delivery) -> AsyncGenerator[bytes, None]:
    """The body of *delivery*, each piece read as it is asked for. `Unknown`, `Damaged`, `Unavailable`."""
    if delivery.body is not None:
        yield delivery.body
        return
    rows = await reader.rows("body_to_read", delivery.resource_id, delivery.generation, delivery.endpoint)
    if not rows:
        raise Unknown(f"the delivery of resource {delivery.resource_id!r} to {delivery.endpoint} is gone")
    (row,) = rows
    head, tail = row["head"] or b"", row["tail"] or b""
    if framed_crc(head, tail) != row["frame_crc"]:
        raise Damaged("the frame of the body does not match its checksum")
    for start in range(0, len(head), PIECE):
        yield head[start : start + PIECE]
    async for piece in _outputs(reader, delivery, row):
        yield piece
    for start in range(0, len(tail), PIECE):
        yield tail[start : start + PIECE]


async def _outputs(reader: Reader, delivery: Delivery, row: asyncpg.Record) -> AsyncGenerator[bytes, None]:
    state, done, last = State(row["state"]), row["done"], row["rk"] << INDEX_BITS | INDEX_MASK
    behind, count, comma = (row["rk"] << INDEX_BITS) - 1, 0, b""
    while rows := await _outputs_behind(reader, delivery, behind, last):
        parts = []
        for key, output, crc in rows:
            before, after = around(state, key & INDEX_MASK)
            parts += [comma, before]
            comma = b","
            if output is not None:
                parts += [check_output(key & INDEX_MASK, output, crc), after]
                continue
            yield b"".join(parts)
            parts = [after]
            async for piece in _large_output(reader, key, crc):
                yield piece
        yield b"".join(parts)
        behind, count = rows[-1]["k"], count + len(rows)
    if count != done:
        raise Damaged(f"{done} outputs were stored, {count} were found")


async def _outputs_behind(reader: Reader, delivery: Delivery, behind: int, last: int) -> list[asyncpg.Record]:
    """The next outputs of *delivery*, none of a generation that a retry has opened since."""
    async with reader.look(whole=True) as look:
        last_seq = await look.value("last_output", delivery.resource_id, delivery.generation)
        return await look.rows(
            "outputs_behind", behind, last, PIECE, _MOST_OUTPUTS, _EVERY if last_seq is None else last_seq
        )


async def _large_output(reader: Reader, key: int, crc: int) -> AsyncGenerator[bytes, None]:
    """Give the output of *key*, the last piece of it once it is known that all match *crc*."""
    checked, held, start = 0, b"", 1
    while True:
        async with reader.look() as look:
            piece = await look.value("piece_of_output", key, start, PIECE)
        if not piece:
            break
        if held:
            yield held
        checked, held, start = zlib.crc32(piece, checked), piece, start + len(piece)
    if checked != crc:
        raise Damaged(f"the output of index {key & INDEX_MASK} does not match its checksum")
    yield held
